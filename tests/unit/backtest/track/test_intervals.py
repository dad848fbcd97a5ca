"""Intervals of a win rate, against published values, scipy, and what a bootstrap must give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipelines.backtest.track.intervals import by_session, wilson


@pytest.mark.parametrize(
    ("wins", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_examples(wins: int, trials: int, low: float, high: float) -> None:
    """Table I of Newcombe (1998), Statistics in Medicine 17, method 3."""
    assert wilson(wins, trials) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy(counts: tuple[int, int]) -> None:
    expected = binomtest(*counts).proportion_ci(method="wilson")
    assert wilson(*counts) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_without_trials_there_is_no_interval() -> None:
    assert wilson(0, 0) == (None, None)


def drawn(wins: list[float], counts: list[float], content: str = "x") -> tuple[float, float]:
    low, high = by_session(np.array([wins]).T, np.array([counts]).T, content)
    return float(low[0]), float(high[0])


def test_one_signal_a_session_gives_the_binomial_interval() -> None:
    """200 sessions with one signal each, 80 of them won: √(0.4 · 0.6 / 200) = 0.0346 is the deviation of a resample."""
    low, high = drawn([1.0] * 80 + [0.0] * 120, [1.0] * 200)
    assert (low, high) == (pytest.approx(0.4 - 1.96 * 0.0346, abs=0.01), pytest.approx(0.4 + 1.96 * 0.0346, abs=0.01))


def test_signals_that_win_and_lose_together_make_it_wider_than_wilson() -> None:
    """The same 200 signals on 20 sessions of 10 alike: the deviation is √10 times as great."""
    low, high = drawn([10.0] * 8 + [0.0] * 12, [10.0] * 20)
    assert (high - low) / (2 * 1.96) == pytest.approx(0.0346 * np.sqrt(10), rel=0.1)
    lower, upper = wilson(80, 200)
    assert lower is not None
    assert upper is not None
    assert high - low > 2 * (upper - lower)


def test_the_same_content_draws_the_same_and_another_does_not() -> None:
    wins, counts = [1.0, 0.0, 1.0, 1.0, 0.0] * 7, [1.0] * 35
    assert drawn(wins, counts) == drawn(wins, counts)
    many = [drawn([k % 7 / 7 for k in range(35)], counts, content) for content in "abc"]
    assert len(set(many)) > 1


def test_one_session_says_nothing_of_the_spread_between_sessions() -> None:
    assert np.isnan(drawn([3.0, 0.0], [5.0, 0.0])).all()
