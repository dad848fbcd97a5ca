"""Every column TA-Lib also has, against TA-Lib's own numbers on AAPL, to the ten digits they are printed with, NaN for NaN."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute

SHARED = Path(__file__).parents[2].parent / "shared"
PAIRS = {
    "sma_20": "sma_20",
    "ema_20": "ema_20",
    "wma_20": "wma_20",
    "rsi_14": "rsi_14",
    "macd": "macd_12_26",
    "macd_signal": "macd_signal_9",
    "macd_hist": "macd_hist",
    "bb_upper_20": "bb_upper_20_2",
    "bb_middle_20": "bb_mid",
    "bb_lower_20": "bb_lower_20_2",
    "atr_14": "atr_14",
    "natr_14": "natr_14",
    "adx_14": "adx_14",
    "plus_di_14": "plus_di_14",
    "minus_di_14": "minus_di_14",
    "stoch_k": "slowk_14_3",
    "stoch_d": "slowd_3",
    "cci_20": "cci_20",
    "mfi_14": "mfi_14",
    "obv": "obv",
    "willr_14": "willr_14",
    "roc_10": "roc_10",
    "psar": "sar_0.02_0.2",
}


@pytest.fixture(scope="module")
def expected():
    path = SHARED / "reference" / "talib" / "bokeh_AAPL_last1500.csv"
    if not path.exists():
        pytest.skip(f"no reference values at {path}")
    rows = list(csv.DictReader(path.open()))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0] if name != "timestamp"}


@pytest.fixture(scope="module")
def computed(expected):
    rows = list(csv.DictReader((SHARED / "data" / "bokeh_sampledata" / "AAPL.csv").open()))[-1500:]
    bars = {name: np.array([float(row[name]) for row in rows]) for name in ("Open", "High", "Low", "Close", "Volume")}
    n = len(rows)
    return compute(BarArrays(np.array([0, n]), *bars.values(), np.full(n, np.nan), np.arange(n))).columns


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.items())
def test_column_equals_talib_on_every_bar(ours, theirs, computed, expected):
    np.testing.assert_array_equal(np.isnan(computed[ours]), np.isnan(expected[theirs]))
    np.testing.assert_allclose(computed[ours], expected[theirs], rtol=6e-10, atol=1e-9)


def test_aroon_lines_differ_by_talibs_oscillator(computed, expected):
    np.testing.assert_allclose(computed["aroon_up_25"] - computed["aroon_down_25"], expected["aroonosc_25"], atol=1e-9)


def test_bollinger_width_is_four_of_talibs_deviations(computed, expected):
    width = computed["bb_upper_20"] - computed["bb_lower_20"]
    np.testing.assert_allclose(width / 4, expected["stddev_20"], rtol=1e-8)
