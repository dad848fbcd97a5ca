"""What the engine refuses, how it lays out results, and the rules of sessions."""

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import REGISTRY


def bars(lengths, session=None, volume=None):
    n = sum(lengths)
    close = 10 + np.arange(n) * 0.25
    shares = np.full(n, 10.0) if volume is None else np.asarray(volume, float)
    days = np.concatenate([np.arange(m) for m in (*lengths, 0)]) if session is None else session
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return BarArrays(offsets, close.copy(), close + 1, close - 1, close, shares, close * shares, days)


def test_results_follow_the_instruments_in_order_and_skip_those_without_new_bars():
    whole = compute(bars([4, 3, 2]))
    later = compute(bars([4, 3, 2]), [3, 7, 7], whole.state[[2, 6, 0]] * [[1], [1], [0]])
    assert later.bars_seen.tolist() == [4, 1, 2]
    assert later.state_row.tolist() == [0, 1, 2]
    assert later.state[:, 0].tolist() == [4, 1, 2]


def test_one_state_per_session_is_kept_that_of_its_last_bar():
    result = compute(bars([7], session=[1, 1, 1, 2, 2, 5, 5]), intraday=True)
    assert result.state_row.tolist() == [2, 4, 6]
    assert result.state[:, 0].tolist() == [3, 5, 7]


def test_bars_seen_stops_at_a_thousand_while_the_count_goes_on():
    result = compute(bars([1003]))
    assert result.bars_seen[-5:].tolist() == [999, 1000, 1000, 1000, 1000]
    assert result.state[-1, 0] == 1003


def test_vwap_and_obv_of_one_minute_bars_start_anew_each_session():
    minutes = bars([6], session=[1, 1, 1, 2, 2, 2], volume=[10, 20, 30, 40, 0, 10])
    found = compute(minutes, intraday=True).columns
    typical = minutes.close
    assert found["obv"].tolist() == [10, 30, 60, 40, 40, 50]
    assert found["vwap"][2] == pytest.approx((typical[0] * 10 + typical[1] * 20 + typical[2] * 30) / 60)
    assert found["vwap"][3] == pytest.approx(typical[3])
    assert found["vwap"][4] == pytest.approx(typical[3])
    assert found["vwap"][5] == pytest.approx((typical[3] * 40 + typical[5] * 10) / 50)


def test_daily_vwap_is_turnover_over_volume_and_nothing_else():
    daily = bars([3], volume=[10, 0, 10])
    daily.turnover[2] = np.nan
    found = compute(daily).columns["vwap"]
    assert found[0] == daily.close[0]
    assert np.isnan(found[1:]).all()


def test_daily_obv_runs_on():
    assert compute(bars([4])).columns["obv"].tolist() == [10, 20, 30, 40]


def test_a_tail_that_is_too_short_is_refused_with_the_number_needed():
    state = compute(bars([300])).state[[-1]]
    with pytest.raises(ValueError, match="counts 300 bars before begin, but 1 are given; give the last 199"):
        compute(bars([2]), [1], state)


def test_a_cold_start_in_the_middle_is_refused():
    with pytest.raises(ValueError, match="a state for every instrument"):
        compute(bars([5]), [2])


def test_a_state_of_another_width_is_refused():
    with pytest.raises(ValueError, match="another set of indicators"):
        compute(bars([2]), [0], np.zeros((1, 3)))


@pytest.mark.parametrize("begin", [[-1], [3], [0, 0]])
def test_a_begin_outside_the_bars_is_refused(begin):
    with pytest.raises(ValueError, match="begin"):
        compute(bars([2]), begin)


def test_no_instrument_at_all_gives_empty_columns():
    result = compute(bars([]))
    assert tuple(result.columns) == REGISTRY.columns()
    assert result.state.shape == (0, REGISTRY.state_width())


def test_a_buffer_is_filled_in_place_and_gives_the_same_numbers():
    buffer = np.full((len(REGISTRY.columns()), 90), 7.0)
    kept, fresh = compute(bars([60]), buffer=buffer), compute(bars([60]))
    for name, values in kept.columns.items():
        assert np.shares_memory(values, buffer)
        np.testing.assert_array_equal(values, fresh.columns[name])
    assert (buffer[:, 60:] == 7).all()


@pytest.mark.parametrize("buffer", [np.empty((44, 59)), np.empty((43, 60)), np.empty((44, 60), np.float32), np.empty(44 * 60)])
def test_a_buffer_that_does_not_fit_is_refused(buffer):
    with pytest.raises(ValueError, match="buffer is"):
        compute(bars([60]), buffer=buffer)


@pytest.mark.parametrize(
    ("offsets", "session", "volume", "message"),
    [
        ([0, 2], [0, 1, 2], [1, 1, 1], "offsets"),
        ([0, 2, 1, 3], [0, 1, 2], [1, 1, 1], "offsets"),
        ([0, 3], [0, 2, 1], [1, 1, 1], "session goes back at bar 2"),
        ([0, 3], [0, 1, 2], [1, 1], "volume has shape"),
    ],
)
def test_bars_that_do_not_fit_together_are_refused(offsets, session, volume, message):
    one = np.ones(3)
    with pytest.raises(ValueError, match=message):
        BarArrays(np.array(offsets), one, one, one, one, np.array(volume, float), one, np.array(session))
