"""What charts are made of: columns on one list of sessions, as `static/report.js` draws them.

Lives here: equity and drawdown, candles with trades and stops, returns against value at risk, rolling figures.
Does not live here: drawing (`static/report.js`, lightweight-charts), the page around it (`run_report`).

A chart is a dict: days (ISO dates, one a session, so that the axis has no gap where the exchange was closed), panes (their relative
heights), series (`type`, `values` or the columns of candles or `spans`, `format`, `tone` of the style's colours) and markers.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

#: Sessions in view at first, and the most of a price chart: a page stays below a megabyte.
SESSIONS_IN_VIEW, MOST_SESSIONS = 250, 2_500
#: More points than this of an equity curve are thinned out to every second, third, … session.
MOST_POINTS = 4_000
#: Most sessions of the chart of returns: its bars cannot be thinned out.
MOST_RETURNS = 1_500

Chart = dict[str, Any]


def equity_chart(equity: pl.DataFrame, benchmark: np.ndarray, initial_cash: float) -> Chart:
    """Equity against its benchmark, drawdown below.

    equity: session_date, equity, drawdown, in order. benchmark: a level for each.
    """
    step = math.ceil(equity.height / MOST_POINTS) if equity.height else 1
    # The newest session is always there.
    kept = pl.int_range(equity.height - 1, -1, -step, eager=True).reverse()
    rows, levels = equity[kept], benchmark[kept.to_numpy()]
    return {
        "days": _days(rows["session_date"]),
        "panes": [3, 1],
        "view": rows.height,
        "log": True,
        "series": [
            _line("strategy", rows["equity"].to_list(), "amount", digits=0) | {"level": initial_cash},
            _line("benchmark", levels.tolist(), "amount", "second", digits=0) | {"width": 1},
            _line("drawdown", rows["drawdown"].to_list(), "percent", "down", digits=4) | {"type": "area", "pane": 1},
        ],
    }


def price_chart(
    bars: pl.DataFrame,
    trades: pl.DataFrame,
    signals: pl.DataFrame,
    factors: Sequence[tuple[date, float]],
) -> tuple[Chart, int]:
    """Candles of one instrument with its trades and stops; also how many sessions had to be left out at the beginning.

    bars: session_date, open, high, low, close as traded, one row a session, in order. trades: entry_date, exit_date, entry_price,
    exit_price, exit_reason, side, pnl, stop_loss (NULL where the signal had none). signals: session_date, signal_type, shown where
    there are no trades. factors: of `run_views.price_factors`.
    """
    left_out = max(bars.height - MOST_SESSIONS, 0)
    rows = bars.tail(MOST_SESSIONS)
    days = rows["session_date"].to_list()
    index = {day: k for k, day in enumerate(days)}
    within = [row for row in trades.iter_rows(named=True) if row["entry_date"] in index and row["exit_date"] in index]
    prices = {name: _rounded(rows[name].to_list(), 4) for name in ("open", "high", "low", "close")}
    spans, stops, markers = [], [], []
    for row in within:
        first, last, tone = index[row["entry_date"]], index[row["exit_date"]], "good" if row["pnl"] >= 0 else "bad"
        spans.append([first, last, round(row["entry_price"], 4), round(row["exit_price"], 4), tone])
        if row["stop_loss"] is not None:
            # Across a split the stop follows the price.
            there = row["stop_loss"] * _factor(factors, days[first]) / _factor(factors, days[last])
            stops.append([first, last, round(row["stop_loss"], 4), round(there, 4), "down"])
        markers += _markers(row, first, last, tone)
    if not within:
        markers = [
            [index[day], *(("belowBar", "arrowUp", "accent") if side == "BUY" else ("aboveBar", "arrowDown", "down")), ""]
            for day, side in signals.iter_rows()
            if day in index
        ]
    held = [spans, stops] if stops else [spans]
    lines = [
        {
            "type": "line",
            "name": name,
            "spans": given,
            "format": "price",
            "tone": tone,
            "priced": True,
            "width": 2,
            "dashed": dashed,
        }
        for given, name, tone, dashed in zip(held, ("held", "stop"), ("good", "down"), (False, True), strict=False)
    ]
    chart: Chart = {
        "days": _days(rows["session_date"]),
        "panes": [1],
        "view": SESSIONS_IN_VIEW,
        "series": [{"type": "candles", "name": "prices", "format": "price", "priced": True, **prices}, *(lines if within else [])],
        "markers": sorted(markers, key=lambda marker: marker[0]),
    }
    if factors:
        chart["factors"] = [[bisect_left(days, day), factor] for day, factor in factors]
    return chart, left_out


def var_chart(returns: pl.DataFrame) -> Chart:
    """Session returns against the forecasts made for them at the close before. returns: session_date, ret, var_95, var_99."""
    returns = returns.tail(MOST_RETURNS)
    values = {name: returns[name].to_list() for name in ("ret", "var_95", "var_99")}
    breached = [
        "bad" if var is not None and ret is not None and ret < -var else ""
        for ret, var in zip(values["ret"], values["var_99"], strict=True)
    ]
    lows = {name: [None if value is None else -value for value in values[name]] for name in ("var_95", "var_99")}
    return {
        "days": _days(returns["session_date"]),
        "panes": [1],
        "view": 3 * SESSIONS_IN_VIEW,
        "series": [
            _line("return", values["ret"], "percent", "muted") | {"type": "bars", "tones": breached},
            _line("− VaR 95 %", lows["var_95"], "percent", "second") | {"width": 1},
            _line("− VaR 99 %", lows["var_99"], "percent", "down") | {"width": 1},
        ],
    }


def rolling_chart(figures: pl.DataFrame) -> Chart:
    """Sharpe ratio and volatility of a moving year. figures: of `run_views.rolling_figures`."""
    return {
        "days": _days(figures["session_date"]),
        "panes": [1, 1],
        "series": [
            _line("Sharpe ratio", figures["sharpe"].to_list(), "ratio", digits=3) | {"level": 0.0},
            _line("volatility", figures["volatility"].to_list(), "percent", "third") | {"pane": 1},
        ],
    }


def _factor(factors: Sequence[tuple[date, float]], day: date) -> float:
    return next((factor for until, factor in factors if day < until), 1.0)


def _markers(row: Mapping[str, Any], first: int, last: int, tone: str) -> list[list[Any]]:
    # A long position is entered below its bar, and left above it; a short one the other way round.
    below, above = ("belowBar", "arrowUp"), ("aboveBar", "arrowDown")
    (entered, up), (left, down) = (below, above) if row["side"] == "LONG" else (above, below)
    if row["exit_reason"] in ("stop", "trailing_stop"):
        return [[first, entered, up, "accent", ""], [last, left, "square", tone, "stop"]]
    return [[first, entered, up, "accent", ""], [last, left, down, tone, ""]]


def _line(name: str, values: Sequence[float | None], kind: str, tone: str = "accent", digits: int = 5) -> dict[str, Any]:
    return {"type": "line", "name": name, "values": _rounded(values, digits), "format": kind, "tone": tone}


def _rounded(values: Sequence[float | None], digits: int) -> list[float | None]:
    return [None if value is None or not math.isfinite(value) else round(value, digits) or 0.0 for value in values]


def _days(days: pl.Series) -> list[str]:
    return days.cast(pl.Date).dt.to_string("%Y-%m-%d").to_list()
