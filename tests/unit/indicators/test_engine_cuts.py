"""A run cut anywhere at a session boundary and continued from state and tail equals the full run, bit for bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.indicators.arrays import BarArrays, Rescales
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import REGISTRY

LOOKBACK = REGISTRY.lookback()


def market(lengths, seed, bars_per_session=1, zero_volume=0.1):
    """Bars of several instruments with ticks of 0.05, flat stretches, bars without volume, sessions of varying length."""
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    close = np.concatenate([100 * np.exp(np.cumsum(rng.normal(0, 0.02, m) * (rng.random(m) > 0.2))) for m in lengths])
    spread = np.abs(rng.normal(0, 0.01, (2, n))) * (rng.random(n) > 0.2)
    open_ = close * (1 + rng.normal(0, 0.003, n))
    high = np.maximum(open_, close) * (1 + spread[0])
    low = np.minimum(open_, close) * (1 - spread[1])
    volume = np.round(np.exp(rng.normal(9, 1, n))) * (rng.random(n) > zero_volume)
    volume[rng.random(n) < 0.02] = np.nan
    turnover = np.where(rng.random(n) < 0.1, np.nan, volume * close)
    session = np.concatenate([np.cumsum(rng.random(m) < 1 / bars_per_session) for m in lengths])
    ticks = [np.round(values / 0.05) * 0.05 for values in (open_, high, low, close)]
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return BarArrays(offsets, *ticks, volume, turnover, session)


def part(bars, start, stop):
    """The bars start[i] … stop[i]-1 of each instrument, as arrays of their own, and where each came from."""
    index = np.concatenate([np.arange(a, b) for a, b in zip(start, stop, strict=True)] or [np.zeros(0, int)]).astype(int)
    offsets = np.concatenate(([0], np.cumsum(np.asarray(stop) - np.asarray(start))))
    values = (bars.open, bars.high, bars.low, bars.close, bars.volume, bars.turnover, bars.session)
    return BarArrays(offsets, *(x[index] for x in values)), index


def moved(rescales, index):
    """The same corporate actions at their places in a part of the bars."""
    if rescales is None:
        return None
    keep = np.isin(rescales.bar, index)
    places = np.searchsorted(index, rescales.bar[keep])
    return Rescales(places, rescales.price_factor[keep], rescales.volume_divisor[keep])


def run_in_pieces(bars, cuts, rescales, intraday):
    """Run up to each cut (a session number) in turn, carrying state and tail; return columns by global bar."""
    n = bars.instruments
    columns = {name: np.full(bars.session.size, -1.0) for name in (*REGISTRY.columns(), "bars_seen")}
    states = {}
    done = bars.offsets[:-1].copy()
    state = np.full((n, REGISTRY.state_width()), np.nan)
    for cut in [*sorted(cuts), np.iinfo(np.int32).max]:
        stop = np.array(
            [a + np.searchsorted(bars.session[a:b], cut) for a, b in zip(bars.offsets[:-1], bars.offsets[1:], strict=True)]
        )
        tail = np.maximum(bars.offsets[:-1], done - LOOKBACK)
        piece, index = part(bars, tail, stop)
        begin = piece.offsets[:-1] + done - tail
        result = compute(piece, begin, state, moved(rescales, index), intraday=intraday)
        new = np.concatenate([np.arange(a, b) for a, b in zip(done, stop, strict=True)]).astype(int)
        for name, values in result.columns.items():
            columns[name][new] = values
        columns["bars_seen"][new] = result.bars_seen
        for row, values in zip(result.state_row, result.state, strict=True):
            states[new[row]] = values
            state[np.searchsorted(bars.offsets, new[row], side="right") - 1] = values
        done = stop
    return columns, states


def assert_same_bits(bars, cuts, rescales=None, intraday=False):
    full = compute(bars, rescales=rescales, intraday=intraday)
    columns, states = run_in_pieces(bars, cuts, rescales, intraday)
    for name, values in full.columns.items():
        np.testing.assert_array_equal(columns[name].view(np.int64), values.view(np.int64), err_msg=name)
    np.testing.assert_array_equal(columns["bars_seen"], full.bars_seen)
    assert sorted(states) == full.state_row.tolist()
    kept = np.array([states[row] for row in full.state_row]).reshape(full.state.shape)
    np.testing.assert_array_equal(kept.view(np.int64), full.state.view(np.int64))


lengths = st.lists(st.integers(0, 400), min_size=1, max_size=4)


@pytest.mark.slow
@pytest.mark.measured
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lengths, st.integers(0, 2**32), st.lists(st.integers(0, 400), max_size=6), st.data())
def test_daily_runs_cut_anywhere_give_the_same_bits(lengths, seed, cuts, data):
    bars = market(lengths, seed)
    assert_same_bits(bars, cuts, draw_rescales(data, bars))


@pytest.mark.slow
@pytest.mark.measured
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lengths, st.integers(0, 2**32), st.lists(st.integers(0, 60), max_size=6), st.data())
def test_one_minute_runs_cut_between_sessions_give_the_same_bits(lengths, seed, cuts, data):
    bars = market(lengths, seed, bars_per_session=12)
    assert_same_bits(bars, cuts, draw_rescales(data, bars), intraday=True)


def draw_rescales(data, bars):
    if bars.session.size == 0:
        return None
    at = data.draw(st.lists(st.integers(0, bars.session.size - 1), max_size=5).map(sorted))
    factor = st.sampled_from([0.5, 0.1, 1 / 3, 2.0, 0.8371])
    prices = data.draw(st.lists(factor, min_size=len(at), max_size=len(at)))
    volumes = data.draw(st.lists(st.sampled_from([0.5, 0.1, 1.0]), min_size=len(at), max_size=len(at)))
    return Rescales(at, prices, volumes)


def test_every_single_bar_can_be_its_own_run():
    bars = market([260, 0, 31], seed=3)
    assert_same_bits(bars, range(400), Rescales.splits([40, 41, 100, 270], [0.5, 0.5, 1 / 3, 0.1]))


def test_segments_inside_one_run_leave_no_seam():
    bars = market([9000], seed=5)
    assert_same_bits(bars, [1, 30, 2047, 2048, 2049, 5000])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_columns_are_cast_once_and_state_never(dtype):
    bars = market([300], seed=7)
    full, cast = compute(bars), compute(bars, dtype=dtype)
    for name, values in cast.columns.items():
        assert values.dtype == dtype
        np.testing.assert_array_equal(values, full.columns[name].astype(dtype))
    np.testing.assert_array_equal(cast.state, full.state)


def test_keeping_only_the_last_state_gives_the_last_of_all_states():
    bars = market([50, 0, 80], seed=9, bars_per_session=7)
    every, last = compute(bars), compute(bars, keep_state="last")
    assert last.state_row.tolist() == [49, 129]
    np.testing.assert_array_equal(last.state, every.state[np.isin(every.state_row, last.state_row)])
