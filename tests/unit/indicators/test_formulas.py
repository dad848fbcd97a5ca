"""Each windowed indicator against its definition, written out bar by bar with no cleverness."""

import math

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute


@pytest.fixture(scope="module")
def bars():
    rng = np.random.default_rng(8)
    n = 400
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.02, n))) / 0.05) * 0.05
    high = close + np.round(rng.random(n) * 40) * 0.05
    low = close - np.round(rng.random(n) * 40) * 0.05
    volume = rng.integers(0, 5_000, n).astype(float)
    return BarArrays(np.array([0, n]), close.copy(), high, low, close, volume, close * volume, np.arange(n))


@pytest.fixture(scope="module")
def found(bars):
    return compute(bars).columns


def check(values, begins, definition):
    """Compare values with definition(t) from bar `begins` (from 0) on, and NaN before."""
    assert np.isnan(values[:begins]).all()
    expected = [definition(t) for t in range(begins, values.size)]
    np.testing.assert_allclose(values[begins:], expected, rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("n", [20, 50, 200])
def test_sma_is_the_exact_mean_of_the_window(n, bars, found):
    check(found[f"sma_{n}"], n - 1, lambda t: math.fsum(bars.close[t - n + 1 : t + 1]) / n)


def test_wma_weighs_the_newest_most(bars, found):
    check(found["wma_20"], 19, lambda t: np.average(bars.close[t - 19 : t + 1], weights=np.arange(1, 21)))


def test_bollinger_bands_are_two_population_deviations_about_the_simple_mean(bars, found):
    check(found["bb_upper_20"], 19, lambda t: bars.close[t - 19 : t + 1].mean() + 2 * bars.close[t - 19 : t + 1].std())
    check(found["bb_lower_20"], 19, lambda t: bars.close[t - 19 : t + 1].mean() - 2 * bars.close[t - 19 : t + 1].std())
    np.testing.assert_array_equal(found["bb_middle_20"], found["sma_20"])


def test_cci_is_the_distance_in_mean_deviations(bars, found):
    typical = (bars.high + bars.low + bars.close) / 3

    def definition(t):
        window = typical[t - 19 : t + 1]
        return (typical[t] - window.mean()) / (0.015 * np.abs(window - window.mean()).mean())

    check(found["cci_20"], 19, definition)


def place(t, bars):
    """Where the close lies in the range of 14 bars, in percent."""
    top, bottom = bars.high[t - 13 : t + 1].max(), bars.low[t - 13 : t + 1].min()
    return 100 * (bars.close[t] - bottom) / (top - bottom)


def test_williams_r_is_the_place_in_the_range_less_a_hundred(bars, found):
    check(found["willr_14"], 13, lambda t: place(t, bars) - 100)


def test_stochastics_are_smoothed_by_three_and_by_three_again(bars, found):
    check(found["stoch_k"], 17, lambda t: np.mean([place(j, bars) for j in range(t - 2, t + 1)]))
    check(found["stoch_d"], 17, lambda t: np.mean([place(j - k, bars) for j in range(t - 2, t + 1) for k in range(3)]))


def test_stochastic_rsi_is_the_mean_of_three_places_of_the_rsi_in_fourteen(found):
    rsi = found["rsi_14"]

    def raw(t):
        window = rsi[t - 13 : t + 1]
        return 100 * (rsi[t] - window.min()) / (window.max() - window.min())

    check(found["stoch_rsi_14"], 29, lambda t: np.mean([raw(t - 2), raw(t - 1), raw(t)]))


def test_cmo_is_twice_the_rsi_less_a_hundred_because_both_use_wilders_means(found):
    np.testing.assert_allclose(found["cmo_14"], 2 * found["rsi_14"] - 100, atol=1e-9)


def test_roc_is_the_change_over_ten_bars(bars, found):
    check(found["roc_10"], 10, lambda t: 100 * (bars.close[t] - bars.close[t - 10]) / bars.close[t - 10])


def test_donchian_leaves_the_current_bar_out(bars, found):
    check(found["donchian_upper_20"], 20, lambda t: bars.high[t - 20 : t].max())
    check(found["donchian_lower_20"], 20, lambda t: bars.low[t - 20 : t].min())


def middle(t, n, bars):
    return (bars.high[t - n + 1 : t + 1].max() + bars.low[t - n + 1 : t + 1].min()) / 2


def test_ichimoku_spans_are_shown_twenty_six_bars_late(bars, found):
    check(found["ichimoku_tenkan"], 8, lambda t: middle(t, 9, bars))
    check(found["ichimoku_kijun"], 25, lambda t: middle(t, 26, bars))
    check(found["ichimoku_span_a"], 51, lambda t: (middle(t - 26, 9, bars) + middle(t - 26, 26, bars)) / 2)
    check(found["ichimoku_span_b"], 77, lambda t: middle(t - 26, 52, bars))


def test_aroon_counts_bars_since_the_latest_extreme_of_twenty_six(bars, found):
    check(found["aroon_up_25"], 25, lambda t: 4 * (25 - np.argmax(bars.high[t - 25 : t + 1][::-1])))
    check(found["aroon_down_25"], 25, lambda t: 4 * (25 - np.argmin(bars.low[t - 25 : t + 1][::-1])))


def test_mfi_is_the_rising_share_of_the_money_flow(bars, found):
    ticks = np.round((bars.high + bars.low + bars.close) / 0.05).astype(int)
    flow = ticks * bars.volume
    change = np.sign(np.diff(ticks, prepend=ticks[0]))

    def definition(t):
        window = slice(t - 13, t + 1)
        rising, falling = flow[window][change[window] > 0].sum(), flow[window][change[window] < 0].sum()
        return 100 * rising / (rising + falling)

    check(found["mfi_14"], 14, definition)


def test_equal_typical_prices_add_no_flow_though_their_float_sums_differ():
    """Two bars with the same ticks in another order: one typical price, two different floats."""
    high, low, close = np.full(20, 100.1), np.full(20, 100.0), np.full(20, 100.05)
    high[1::2], low[1::2] = 100.15, 99.95
    assert high[0] + low[0] + close[0] != high[1] + low[1] + close[1]
    one = np.full(20, 1e6)
    bars = BarArrays(np.array([0, 20]), close.copy(), high, low, close, one, one, np.arange(20))
    assert (compute(bars).columns["mfi_14"][14:] == 0).all()


def test_psar_turns_where_price_crosses_it(bars, found):
    stop = found["psar"]
    below = stop[1:] <= bars.low[1:]
    above = stop[1:] >= bars.high[1:]
    assert (below | above).mean() > 0.99


def test_supertrend_supports_while_the_direction_is_up(bars, found):
    line, direction, close = found["supertrend_10"][10:], found["supertrend_direction_10"][10:], bars.close[10:]
    assert set(direction) == {-1.0, 1.0}
    assert (np.sign(close - line) == direction).mean() == 1
