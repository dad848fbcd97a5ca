"""A spreadsheet whose definition agrees with ours on its first bars only; the others are in test_indicators_accuracy.py."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference"
CHARTS = "ta_stockcharts"


def table(folder, name):
    path = REFERENCE / folder / name
    if not path.exists():
        pytest.skip(f"no reference values at {path}")
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig")))
    return {key.strip().lower(): np.array([number(row[key]) for row in rows]) for key in rows[0] if key}


def number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return np.nan


def columns(found, *, intraday=False):
    """Compute on the rows whose bars are complete; what a table leaves out is filled with its close."""
    close = found["close"]
    n = close.size
    open_, high, low = (found.get(name, close) for name in ("open", "high", "low"))
    volume = found.get("volume", np.full(n, np.nan))
    session = np.zeros(n) if intraday else np.arange(n)
    return compute(
        BarArrays(np.array([0, n]), open_, high, low, close, volume, np.full(n, np.nan), session), intraday=intraday
    ).columns


def test_vwap_agrees_with_the_spreadsheet_while_its_fourteen_bar_window_reaches_back_to_the_open():
    found = table(CHARTS, "cs-vwap.csv")
    np.testing.assert_allclose(columns(found, intraday=True)["vwap"][:14], found["vwap"][:14], rtol=1e-6)
