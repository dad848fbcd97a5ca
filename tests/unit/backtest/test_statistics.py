"""Statistics against published examples and known truths."""

from __future__ import annotations

import math

import empyrical
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.backtest import statistics as s

NOISE = np.random.default_rng(7).normal(0.0005, 0.01, 1250)


def test_the_first_return_counts_against_the_initial_cash():
    assert s.session_returns(np.array([110.0, 99.0]), 100.0) == pytest.approx([0.1, -0.1])
    assert s.total_return(np.array([0.1, -0.1])) == pytest.approx(-0.01)
    assert s.max_drawdown(np.array([-0.1, 0.05])) == pytest.approx(-0.1)


def test_a_year_of_252_sessions():
    assert s.cagr(np.full(252, 1.1 ** (1 / 252) - 1)) == pytest.approx(0.1)
    assert s.cagr(np.full(504, 1.21 ** (1 / 504) - 1)) == pytest.approx(0.1)


@given(st.lists(st.floats(-0.9, 2.0), min_size=2, max_size=400))
def test_figures_are_those_of_empyrical(values: list[float]):
    returns = np.array(values)
    varies = bool(returns.std() > 1e-12)
    expected = {
        s.total_return: empyrical.cum_returns_final(returns),
        s.cagr: empyrical.annual_return(returns),
        s.max_drawdown: empyrical.max_drawdown(returns),
        s.sharpe: empyrical.sharpe_ratio(returns) if varies else None,
        s.sortino: empyrical.sortino_ratio(returns) if varies and (returns < 0).any() else None,
    }
    for figure, value in expected.items():
        known = value is not None and math.isfinite(value)
        assert figure(returns) == (pytest.approx(float(value), rel=1e-12) if known else None)


def test_the_deflated_sharpe_of_its_papers_example():
    # Bailey and López de Prado (2014), numerical example: annual Sharpe 2.5 of 5 years of 250 sessions, skew -3, kurtosis 10,
    # variance of annual trial Sharpes 1/2: 100 trials give 0.1132 a session and 0.9004; 46 trials give 0.9505.
    ratio, variance = 2.5 / math.sqrt(250), 0.5 / 250
    assert s.expected_best_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert s.deflated_sharpe_from_moments(ratio, 1250, -3, 10, 100, variance) == pytest.approx(0.9004, abs=5e-5)
    assert s.deflated_sharpe_from_moments(ratio, 1250, -3, 10, 46, variance) == pytest.approx(0.9505, abs=5e-5)


@pytest.mark.parametrize(("a_year", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_the_minimum_track_record_of_its_papers_example(a_year, years):
    # Bailey and López de Prado (2012): an annual Sharpe ratio of 2 of independent normal returns, to be above 1 with 95 %.
    ratio, to_beat = 2 / math.sqrt(a_year), 1 / math.sqrt(a_year)
    assert s.min_track_record_from_moments(ratio, 0, 3, to_beat) / a_year == pytest.approx(years, abs=0.006)


def test_the_minimum_track_record_is_where_the_deflated_ratio_is_the_level():
    ratio, variance = 2.5 / math.sqrt(250), 0.5 / 250
    enough = s.min_track_record_from_moments(ratio, -3, 10, s.expected_best_sharpe(100, variance))
    assert s.deflated_sharpe_from_moments(ratio, enough, -3, 10, 100, variance) == pytest.approx(0.95)
    # A ratio below what luck reaches is never enough, nor is one below zero.
    assert s.min_track_record(-NOISE, 1) > 1250
    assert [s.min_track_record(-NOISE, 1000), s.min_track_record(NOISE, 1)] == [None, None]


def test_more_trials_deflate_more():
    values = [s.deflated_sharpe(NOISE, trials) for trials in (1, 10, 1000)]
    assert values == sorted(values, reverse=True)
    with pytest.raises(ValueError, match="trials is 0"):
        s.deflated_sharpe(NOISE, 0)


def test_the_interval_holds_the_estimate_and_is_the_same_for_the_same_run():
    seed = s.seed_of("run")
    low, high = s.sharpe_interval(NOISE, seed)
    assert low < s.sharpe(NOISE) < high
    assert (low, high) == s.sharpe_interval(NOISE, seed)
    assert (low, high) != s.sharpe_interval(NOISE, s.seed_of("another"))


def test_the_interval_is_as_wide_as_theory_says_for_independent_returns():
    # Standard error of an annual Sharpe ratio from T independent sessions is about √(252 / T): here 0.449.
    low, high = s.sharpe_interval(NOISE, 1, samples=1000)
    assert (high - low) / (2 * 1.96) == pytest.approx(math.sqrt(252 / 1250), rel=0.15)


def test_figures_that_are_not_defined_are_none():
    nothing, still = np.zeros(0), np.zeros(30)
    assert [f(nothing) for f in (s.total_return, s.cagr, s.max_drawdown, s.sharpe, s.sortino)] == [None] * 5
    assert [s.sharpe(still), s.sortino(np.full(30, 0.01)), s.deflated_sharpe(still, 3)] == [None] * 3
    assert s.sharpe_interval(NOISE[:5], 1) == (None, None)
    assert [s.win_rate(nothing), s.profit_factor(np.ones(2)), s.turnover(1.0, nothing)] == [None] * 3


def test_trade_statistics():
    pnl = np.array([10.0, -5.0, -5.0, 20.0])
    assert (s.win_rate(pnl), s.profit_factor(pnl), s.longest_losing_streak(list(pnl))) == (0.5, 3.0, 2)
    assert s.turnover(200.0, np.full(126, 100.0)) == pytest.approx(4.0)


@given(st.integers(1, 300), st.floats(1.0, 50.0), st.integers(0, 100))
def test_resampled_positions_stay_inside_and_run_on_in_blocks(size, mean_length, seed):
    index = s._stationary_indices(size, mean_length, np.random.default_rng(seed))
    assert index.min() >= 0
    assert index.max() < size
    if size == 300 and mean_length > 25:
        assert ((np.diff(index) % size) == 1).mean() > 0.7
