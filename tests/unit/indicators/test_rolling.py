"""Block sums and doubled extremes against exact arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.indicators.frame import HIGH, HIGH_9, HIGH_14, HIGH_20, HIGH_26, HIGH_52, LOW, LOW_9, LOW_52, ROWS
from pipelines.indicators.kernels.rolling import block_sums, block_variances, block_weighted_sums
from pipelines.indicators.kernels.workspace import fill_features

values = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(values, st.integers(1, 25), st.integers(0, 60))
def test_sums_are_right_from_any_first_bar(values, window, first):
    series = np.array(values)
    first = min(first, series.size)
    plain, weighted = np.empty(series.size - first), np.empty(series.size - first)
    block_sums(series, first, series.size, first, window, plain)
    block_weighted_sums(series, first, series.size, first, window, weighted)
    for t in range(first, series.size):
        last = series[max(t - window + 1, 0) : t + 1]
        if t < window - 1:
            assert math.isnan(plain[t - first])
            assert math.isnan(weighted[t - first])
        else:
            assert plain[t - first] == pytest.approx(math.fsum(last), rel=1e-14)
            assert weighted[t - first] == pytest.approx(math.fsum(last * np.arange(1, window + 1)), rel=1e-13)


def test_a_long_run_does_not_drift():
    rng = np.random.default_rng(1)
    series = 1e6 + rng.random(200_000)
    out = np.empty(series.size)
    block_sums(series, 0, series.size, 0, 20, out)
    assert out[-1] == pytest.approx(math.fsum(series[-20:]), rel=1e-15)


def test_variance_keeps_its_digits_on_a_high_price():
    series = 1e12 + np.tile([0.0, 1.0], 50)
    out = np.empty(series.size)
    block_variances(series, 0, series.size, 0, 20, out)
    np.testing.assert_array_equal(out[19:], 0.25)


def test_a_missing_value_blanks_only_the_windows_that_hold_it():
    series = np.ones(60)
    series[30] = np.nan
    out = np.empty(60)
    block_sums(series, 0, 60, 0, 7, out)
    assert np.flatnonzero(np.isnan(out)).tolist() == [*range(6), *range(30, 37)]


@pytest.mark.parametrize(
    ("row", "source", "window"),
    [
        (HIGH_9, HIGH, 9),
        (HIGH_14, HIGH, 14),
        (HIGH_20, HIGH, 20),
        (HIGH_26, HIGH, 26),
        (HIGH_52, HIGH, 52),
        (LOW_9, LOW, 9),
        (LOW_52, LOW, 52),
    ],
)
def test_extremes_of_any_width_come_from_two_overlapping_windows(row, source, window):
    frame = np.random.default_rng(3).random((ROWS, 300))
    fill_features(frame, 0, 300, 0)
    pick = max if source == HIGH else min
    for t in range(window - 1, 300):
        assert frame[row, t] == pick(frame[source, t - window + 1 : t + 1])
