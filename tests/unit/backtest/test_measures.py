"""Measures of performance on returns that can be counted by hand, and where they are not defined."""

import numpy as np
import pytest

from pipelines.backtest.measures import absolute, relative

NOTHING, RISING = np.zeros(0), np.full(5, 0.01)
MIXED = np.array([0.1, -0.05, np.nan, 0.05, -0.1])


def test_gains_and_losses_are_counted_without_the_missing_return() -> None:
    assert absolute.omega(MIXED) == pytest.approx(1.0)
    assert absolute.d_ratio(MIXED) == pytest.approx(1.0)
    assert absolute.downside_frequency(MIXED) == absolute.upside_frequency(MIXED) == 0.5
    assert absolute.upside_potential(MIXED) == pytest.approx(0.15 / 4)
    assert absolute.downside_deviation(MIXED) == pytest.approx(np.sqrt(0.0125 / 4))


def test_drawdowns_count_from_the_start_and_runs_of_losses_add_up() -> None:
    assert absolute.drawdowns(np.array([-0.1, 0.0, 0.2, -0.5])) == pytest.approx([-0.1, -0.1, 0.0, -0.5])
    returns = np.array([-0.03, -0.01, 0.02, -0.03])
    assert absolute.burke_ratio(returns, periods=4) == pytest.approx((0.97 * 0.99 * 1.02 * 0.97 - 1) / 0.05)


def test_a_portfolio_of_twice_the_benchmark_has_a_beta_of_two_and_no_selectivity_by_risk() -> None:
    benchmark = np.array([0.01, -0.02, 0.03, 0.0, -0.01, 0.02])
    assert relative.beta(2 * benchmark, benchmark) == pytest.approx(2.0)
    assert relative.fama_beta(2 * benchmark, benchmark) == pytest.approx(2.0)
    assert relative.m_squared(benchmark, benchmark) == pytest.approx(absolute.annual_return(benchmark))
    assert relative.rolling_beta(2 * benchmark, benchmark, 4) == pytest.approx([2.0] * 3)


def test_what_is_not_defined_is_none() -> None:
    of_one = (
        absolute.omega,
        absolute.calmar,
        absolute.burke_ratio,
        absolute.martin_ratio,
        absolute.d_ratio,
        absolute.volatility_skewness,
    )
    assert [measure(RISING) for measure in of_one[:4]] == [None] * 4
    assert [measure(NOTHING) for measure in of_one] == [None] * 6
    assert [absolute.skewness(RISING), absolute.sample_excess_kurtosis(RISING), absolute.tail_risk(RISING)] == [None] * 3
    of_two = (
        relative.beta,
        relative.alpha,
        relative.up_capture,
        relative.jensen_alpha,
        relative.m2_sortino,
        relative.modified_treynor,
    )
    assert [measure(NOTHING, NOTHING) for measure in of_two] == [None] * 6
    assert relative.down_capture(RISING, RISING) is None
    assert absolute.rolling_max_drawdown(RISING, 9).size == 0


def test_series_that_are_not_aligned_and_windows_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="5 returns beside 4"):
        relative.beta(RISING, RISING[:4])
    with pytest.raises(ValueError, match="window is 0"):
        absolute.rolling_sharpe(RISING, 0)
