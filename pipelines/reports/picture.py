"""Equity and drawdown as a small SVG, for places that show a picture inline.

Lives here: that one picture, as text: a plotting library would take longer to import than all else that a night's report costs.
Does not live here: anything interactive (`run_report.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from html import escape

import polars as pl

_LINE, _FALL, _MUTED, _GRID, _INK = "#1d4ed8", "#b4564c", "#6b7280", "#e5e7eb", "#1f2a37"
_WIDTH, _HEIGHT = 720, 360
_LEFT, _RIGHT = 84, 708
#: Top and bottom of the two panels, in pixels.
_EQUITY, _DRAWDOWN = (28, 236), (252, 332)
_FEWEST_TICKS = 3


def equity_picture(equity: pl.DataFrame, initial_cash: float, title: str = "") -> bytes:
    """The SVG (720 × 360 pixels, below 100 kB) of a run's `backtest_equity` rows: session_date, equity, drawdown.

    A line dotted at `initial_cash`. Raises ValueError if there are no rows. Same frame, same bytes.
    """
    if equity.is_empty():
        raise ValueError("equity_picture: no rows of equity; run the backtest first.")
    rows = _turning_points(equity.sort("session_date"))
    days = rows["session_date"].to_list()
    money, fall = rows["equity"].to_list(), rows["drawdown"].to_list()
    across = _scale(days[0].toordinal(), days[-1].toordinal(), _LEFT, _RIGHT)
    xs = [across(day.toordinal()) for day in days]
    up = _scale(*_padded(min(*money, initial_cash), max(*money, initial_cash)), _EQUITY[1], _EQUITY[0])
    down = _scale(min(*fall, -0.01), 0.0, _DRAWDOWN[1], _DRAWDOWN[0])
    outline = [*zip(xs, map(down, fall), strict=True)]
    parts = [
        *_axis(_ticks(min(*money, initial_cash), max(*money, initial_cash)), up, lambda value: f"{value:,.0f}"),
        *_axis(_ticks(min(*fall, -0.01), 0.0, fewest=1), down, lambda value: f"{100 * value:.3g}%".replace("-", "−")),
        *(_text(across(day.toordinal()), _HEIGHT - 10, day.isoformat(), "middle") for day in _dates(days)),
        f'<path d="M{_LEFT} {up(initial_cash):.1f}H{_RIGHT}" stroke="{_MUTED}" stroke-dasharray="1 3"/>',
        f'<path d="{_path([*zip(xs, map(up, money), strict=True)])}" stroke="{_LINE}" stroke-width="1.4"/>',
        f'<path d="{_path([(xs[0], down(0.0)), *outline, (xs[-1], down(0.0))])}Z" fill="{_FALL}" fill-opacity=".3" stroke="none"/>',
        f'<path d="{_path(outline)}" stroke="{_FALL}" stroke-width=".8"/>',
        *(_name(panel, name) for panel, name in ((_EQUITY, "equity"), (_DRAWDOWN, "drawdown"))),
        f'<text x="{_LEFT}" y="18" font-size="13" fill="{_INK}">{escape(title)}</text>' if title else "",
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="11" fill="none">'
    )
    return "".join([head, f'<path d="M0 0H{_WIDTH}V{_HEIGHT}H0Z" fill="#fff"/>', *parts, "</svg>\n"]).encode()


def _turning_points(rows: pl.DataFrame) -> pl.DataFrame:
    """The first and last rows, and the lowest and highest of every two pixels: a line through them looks as one through all."""
    if rows.height <= _RIGHT - _LEFT:
        return rows
    numbered = rows.with_row_index("row").with_columns(pixels=pl.int_range(pl.len()) * ((_RIGHT - _LEFT) // 2) // pl.len())
    extremes = [
        pl.col("row").get(extreme).alias(f"{name} {position}")
        for name in ("equity", "drawdown")
        for position, extreme in enumerate((pl.col(name).arg_min(), pl.col(name).arg_max()))
    ]
    kept = numbered.group_by("pixels").agg(extremes).drop("pixels").unpivot()["value"].to_list()
    return numbered.filter(pl.col("row").is_in([0, rows.height - 1, *kept])).select(rows.columns)


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    """From values between `low` and `high` to pixels between `first` and `last`; the middle where there is one value."""
    span = high - low
    return lambda value: first + (last - first) * ((value - low) / span if span else 0.5)


def _padded(low: float, high: float) -> tuple[float, float]:
    room = 0.05 * (high - low) or 0.05 * abs(high)
    return low - room, high + room


def _ticks(low: float, high: float, fewest: int = _FEWEST_TICKS) -> list[float]:
    """Round values from `low` to `high`: multiples of 1, 2 or 5 times a power of ten, at least `fewest` of them."""
    span = (high - low) or abs(high) or 1.0
    exponent = math.floor(math.log10(span))
    steps = [factor * 10.0**power for power in range(exponent, exponent - 3, -1) for factor in (5, 2, 1)]
    for step in steps:
        ticks = [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
        if len(ticks) > fewest:
            return ticks
    return [low]


def _dates(days: Sequence[date]) -> list[date]:
    """Up to five of the days, evenly spread but for the edges."""
    count = min(5, len(days))
    return [days[(2 * k + 1) * len(days) // (2 * count)] for k in range(count)]


def _axis(ticks: Sequence[float], place: Callable[[float], float], label: Callable[[float], str]) -> list[str]:
    lines = "".join(f"M{_LEFT} {place(tick):.1f}H{_RIGHT}" for tick in ticks)
    return [f'<path d="{lines}" stroke="{_GRID}"/>', *(_text(_LEFT - 6, place(tick) + 4, label(tick), "end") for tick in ticks)]


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_MUTED}">{escape(words)}</text>'


def _name(panel: tuple[int, int], name: str) -> str:
    """The name of a panel, upright beside it."""
    middle = sum(panel) / 2
    return f'<text transform="rotate(-90 14 {middle})" x="14" y="{middle}" text-anchor="middle" fill="{_MUTED}">{name}</text>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
