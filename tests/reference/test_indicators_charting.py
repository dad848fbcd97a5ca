"""Indicators against StockCharts' teaching spreadsheets and tables exported from charting platforms.

Their printed digits and their seeds differ, so each case says from which bar and how closely it must agree.
"""

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


@pytest.mark.parametrize(
    ("folder", "name", "ours", "theirs", "start", "rtol", "atol"),
    [
        (CHARTS, "cs-cci.csv", "cci_20", "cci", 19, 0, 2e-2),
        (CHARTS, "cs-mfi.csv", "mfi_14", "mfi", 14, 0, 1e-4),
        ("lean", "spy_with_indicators.txt", "rsi_14", "rsi 14 wilder", 14, 0, 1e-4),
        ("lean", "spy_with_indicators.txt", "macd", "macd 12 26", 150, 1e-3, 1e-2),
        ("lean", "spy_atr_wilder.txt", "atr_14", "average true range 14", 120, 1e-3, 0),
        ("lean", "spy_with_macd.txt", "macd", "macd", 130, 1e-3, 1e-3),
        ("lean", "spy_with_macd.txt", "macd_signal", "signal", 150, 1e-3, 1e-3),
        ("lean", "spy_with_adx.txt", "adx_14", "adx 14", 150, 1e-3, 0),
        ("lean", "spy_with_adx.txt", "plus_di_14", "+di14", 150, 1e-3, 0),
        ("lean", "spy_with_adx.txt", "minus_di_14", "-di14", 150, 1e-3, 0),
        ("lean", "spy_with_ichimoku.csv", "ichimoku_tenkan", "tenkan", 8, 0, 1e-6),
        ("lean", "spy_with_ichimoku.csv", "ichimoku_kijun", "kijun", 25, 0, 1e-6),
    ],
)
def test_column_agrees_with_the_table(folder, name, ours, theirs, start, rtol, atol):
    found = table(folder, name)
    expected = found[theirs][start:]
    known = ~np.isnan(expected)
    assert known.sum() > 1
    np.testing.assert_allclose(columns(found)[ours][start:][known], expected[known], rtol=rtol, atol=atol)


def complete(found):
    """The rows from the first whose prices are all there."""
    start = int(np.flatnonzero(~np.isnan(found["close"]))[0])
    return start, {name: values[start:] for name, values in found.items()}


def test_stochastic_oscillator_smoothed_by_three_is_our_slow_k():
    start, found = complete(table(CHARTS, "cs-soo.csv"))
    expected = found["so_sig"]
    ours = columns(found)["stoch_k"]
    both = ~np.isnan(expected) & ~np.isnan(ours)
    assert start == 13
    np.testing.assert_allclose(ours[both], expected[both], atol=1e-4)


def test_vwap_agrees_with_the_spreadsheet_while_its_fourteen_bar_window_reaches_back_to_the_open():
    found = table(CHARTS, "cs-vwap.csv")
    np.testing.assert_allclose(columns(found, intraday=True)["vwap"][:14], found["vwap"][:14], rtol=1e-6)
