"""No value at bar t changes when everything after t is altered or missing, for every registered indicator."""

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays, Rescales
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import REGISTRY


def bars(n, seed=1, altered_from=None, sessions_of=1):
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, n)))
    high, low = close * (1 + rng.random(n) * 0.02), close * (1 - rng.random(n) * 0.02)
    volume = rng.integers(0, 10_000, n).astype(float)
    turnover = close * volume
    if altered_from is not None:
        other = np.random.default_rng(99)
        for values in (close, high, low):
            values[altered_from:] *= other.random(n - altered_from) * 10
        volume[altered_from:] = other.integers(0, 10**9, n - altered_from)
        turnover[altered_from:] = np.nan
        high, low = np.maximum(high, np.maximum(low, close)), np.minimum(low, np.minimum(high, close))
    return BarArrays(np.array([0, n]), close, high, low, close, volume, turnover, np.arange(n) // sessions_of)


@pytest.mark.parametrize("intraday", [False, True])
@pytest.mark.parametrize("moment", [1, 20, 77, 78, 250, 2047, 2048, 2060])
def test_values_up_to_a_moment_do_not_depend_on_what_follows(moment, intraday):
    sessions_of = 30 if intraday else 1
    n = 2300
    whole = compute(bars(n, sessions_of=sessions_of), intraday=intraday)
    altered = compute(bars(n, altered_from=moment, sessions_of=sessions_of), intraday=intraday)
    split = compute(bars(n, sessions_of=sessions_of), rescales=Rescales.splits([moment], [0.1]), intraday=intraday)
    part = bars(n, sessions_of=sessions_of)
    names = ("open", "high", "low", "close", "volume", "turnover", "session")
    cut = BarArrays(np.array([0, moment]), *(getattr(part, name)[:moment] for name in names))
    truncated = compute(cut, intraday=intraday)
    for name in REGISTRY.columns():
        for other in (altered, split, truncated):
            np.testing.assert_array_equal(whole.columns[name][:moment], other.columns[name][:moment], err_msg=name)
    assert len(whole.columns) == len(REGISTRY.columns())


def test_the_altered_future_does_change_every_indicator():
    """Guards the test above against comparing nothing."""
    whole, altered = compute(bars(400)), compute(bars(400, altered_from=250))
    for name in REGISTRY.columns():
        assert not np.array_equal(whole.columns[name][250:], altered.columns[name][250:]), name
