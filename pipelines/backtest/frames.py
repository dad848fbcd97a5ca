"""Frames of a run: what the kernel's arrays say, as `market/tables/research.py` declares it.

Lives here: `backtest_trades` and `backtest_equity`. Does not live here: the row of `backtest_runs` (`portfolio`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.backtest.grid import Grid, Orders
from pipelines.backtest.layout import AT_OPEN, REASONS
from pipelines.market.tables.research import BACKTEST_EQUITY, BACKTEST_TRADES

# Columns of the curve that the kernel fills.
_EQUITY, _GROSS = 0, 1


def session_equity(grid: Grid, curve: np.ndarray) -> np.ndarray:
    """Equity at each session's last step: float64[S] of the float64[T, 3] that `portfolio.simulate` returns."""
    return curve[_last_steps(grid), _EQUITY]


def equity_frame(run_id: str, grid: Grid, curve: np.ndarray, initial_cash: float) -> pl.DataFrame:
    """Rows of `backtest_equity`, one per session; the initial cash counts as the first peak."""
    last = _last_steps(grid)
    equity = session_equity(grid, curve)
    peak = np.maximum.accumulate(np.maximum(equity, initial_cash))
    exposure = np.divide(curve[last, _GROSS], equity, out=np.zeros(last.size), where=equity > 0)
    return pl.DataFrame(
        {
            "run_id": [run_id] * last.size,
            "session_date": list(grid.session_dates),
            "ts": pl.Series(grid.ts_close[last]).dt.replace_time_zone("UTC"),
            "equity": equity,
            "drawdown": equity / peak - 1.0,
            "exposure": exposure,
        }
    ).select(BACKTEST_EQUITY.names)


def trades_frame(run_id: str, grid: Grid, orders: Orders, trades: np.ndarray) -> pl.DataFrame:
    """Rows of `backtest_trades`, numbered in order of entry, then of the signals' rank.

    A fill at an open carries the time of the open; one within a bar or at its close carries the close, the first time it is known.
    """
    trades = trades[np.lexsort((trades["signal"], trades["entry_step"]))]
    entry_ts = np.where(trades["entered"] == AT_OPEN, grid.ts_open[trades["entry_step"]], grid.ts_close[trades["entry_step"]])
    exit_ts = np.where(trades["at_open"] == 1, grid.ts_open[trades["exit_step"]], grid.ts_close[trades["exit_step"]])
    instrument = trades["instrument"]
    return pl.DataFrame(
        {
            "run_id": pl.Series([run_id] * trades.size, dtype=pl.String),
            "trade_number": np.arange(1, trades.size + 1, dtype=np.int64),
            "instrument_id": pl.Series([grid.instruments[i] for i in instrument], dtype=pl.String),
            "symbol": pl.Series([grid.symbols[i] for i in instrument], dtype=pl.String),
            "signal_id": orders.signals["signal_id"].gather(trades["signal"]) if trades.size else pl.Series([], dtype=pl.String),
            "side": pl.Series(["LONG" if units >= 0 else "SHORT" for units in trades["quantity"]], dtype=pl.String),
            "entry_ts": pl.Series(entry_ts).dt.replace_time_zone("UTC"),
            "exit_ts": pl.Series(exit_ts).dt.replace_time_zone("UTC"),
            "quantity": np.abs(trades["quantity"]).astype(np.float64),
            "entry_price": trades["entry_price"].copy(),
            "exit_price": trades["exit_price"].copy(),
            "exit_reason": pl.Series([REASONS[code] for code in trades["reason"]], dtype=pl.String),
            "fees": trades["fees"].copy(),
            "pnl": trades["pnl"].copy(),
        }
    ).select(BACKTEST_TRADES.names)


def _last_steps(grid: Grid) -> np.ndarray:
    return np.searchsorted(grid.session, np.arange(len(grid.session_dates)), side="right") - 1
