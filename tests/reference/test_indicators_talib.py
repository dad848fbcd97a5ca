"""What TA-Lib publishes in another form than we do; columns that both have are in test_indicators_accuracy.py."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute

SHARED = Path(__file__).parents[2].parent / "shared"


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


def test_bollinger_width_is_four_of_talibs_deviations(computed, expected):
    width = computed["bb_upper_20"] - computed["bb_lower_20"]
    np.testing.assert_allclose(width / 4, expected["stddev_20"], rtol=1e-8)
