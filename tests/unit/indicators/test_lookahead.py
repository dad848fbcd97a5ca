"""No value at bar t changes when everything after t is altered or missing: for every registered indicator, plug-ins, all families.

Planted offenders show that the proof can fail.
"""

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays, Rescales
from pipelines.indicators.custom.families import FAMILIES
from pipelines.indicators.engine import compute
from pipelines.indicators.frame import CLOSE
from pipelines.indicators.jit import kernel
from pipelines.indicators.model import Indicator, Output
from pipelines.indicators.registry import REGISTRY, Registry, installed


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


def everything():
    """Built-in and installed indicators, and one of every family that can be chosen."""
    usual = {"fast": 5, "slow": 11, "signal": 4, "step": 0.03, "limit": 0.3, "tenkan": 5, "kijun": 11, "span_b": 23}
    chosen = [
        family.indicator({p.name: usual.get(p.name, 7) for p in family.parameters if p.default is None})
        for family in FAMILIES.values()
    ]
    return Registry([*installed(), *chosen], REGISTRY.columns())


def leaks(registry, moment, *, intraday=False, n=2300):
    """Columns of which a value before `moment` depends on something at or after it."""
    sessions_of = 30 if intraday else 1
    whole_bars = bars(n, sessions_of=sessions_of)
    names = ("open", "high", "low", "close", "volume", "turnover", "session")
    cut = BarArrays(np.array([0, moment]), *(getattr(whole_bars, name)[:moment] for name in names))
    whole = compute(whole_bars, intraday=intraday, registry=registry)
    others = (
        compute(bars(n, altered_from=moment, sessions_of=sessions_of), intraday=intraday, registry=registry),
        compute(whole_bars, rescales=Rescales.splits([moment], [0.1]), intraday=intraday, registry=registry),
        compute(cut, intraday=intraday, registry=registry),
    )
    return {
        name
        for name in registry.columns()
        for other in others
        if not np.array_equal(whole.columns[name][:moment], other.columns[name][:moment], equal_nan=True)
    }


@pytest.mark.parametrize("intraday", [False, True])
@pytest.mark.parametrize("moment", [1, 20, 77, 78, 250, 2047, 2048, 2060])
def test_values_up_to_a_moment_do_not_depend_on_what_follows(moment, intraday):
    assert leaks(everything(), moment, intraday=intraday) == set()


def test_the_altered_future_does_change_every_indicator():
    """Guards the test above against comparing nothing."""
    registry = everything()
    whole, altered = compute(bars(400), registry=registry), compute(bars(400, altered_from=250), registry=registry)
    for name in registry.columns():
        assert not np.array_equal(whole.columns[name][250:], altered.columns[name][250:]), name


@kernel
def next_close(frame, span, state, marks, snapshots, out):
    """Offender: the close of the next bar."""
    first, stop = span[0], span[1]
    for i in range(first, stop):
        out[0, i - first] = frame[CLOSE, min(i + 1, stop - 1)]


@kernel
def share_of_all(frame, span, state, marks, snapshots, out):
    """Offender: scaled by the highest close of all bars at hand."""
    first, stop = span[0], span[1]
    top = 0.0
    for i in range(first, stop):
        top = max(top, frame[CLOSE, i])
    for i in range(first, stop):
        out[0, i - first] = frame[CLOSE, i] / top


@kernel
def centred_mean(frame, span, state, marks, snapshots, out):
    """Offender: a mean of the bar and its two neighbours."""
    first, stop = span[0], span[1]
    for i in range(first, stop):
        lower, upper = max(i - 1, first), min(i + 1, stop - 1)
        out[0, i - first] = (frame[CLOSE, lower] + frame[CLOSE, i] + frame[CLOSE, upper]) / 3.0


@pytest.mark.parametrize("offender", ["next_close", "share_of_all", "centred_mean"])
def test_a_planted_offender_is_caught(offender):
    planted = Indicator(
        name=offender,
        kernel=f"{__name__}:{offender}",
        inputs=("close",),
        parameters={},
        outputs=(Output(offender, "price", "planted"),),
        lookback=1,
        warm_up=1,
        formula="",
        source="",
    )
    assert leaks(Registry([*REGISTRY, planted]), 250, n=400) == {offender}
