"""The interactive charts of the report, as JSON that bokeh's script draws.

Lives here: price with signals, equity with drawdown, returns against value at risk. Does not live here: the page around them
(`risk_report`), or bokeh's script.

Same frames, same bytes: bokeh numbers its models by a counter of the process, so the numbers are given anew, in order of
appearance.
"""

from __future__ import annotations

import json
from typing import Any

import polars as pl

UP, DOWN, INK, MUTED, GRID = "#3f8f7f", "#b4564c", "#1f2a37", "#6b7280", "#e5e7eb"
BUY_COLOUR, SELL_COLOUR = "#1d4ed8", "#c2410c"

# What is first in view; the strip below the chart moves through the rest.
SESSIONS_IN_VIEW = 190

_DAY_MS = 86_400_000


def price_chart(bars: pl.DataFrame, signals: pl.DataFrame, trades: pl.DataFrame) -> str:
    """Candles of one instrument with its signals and round trips, and a strip to move through time.

    bars: session_date, open, high, low, close, volume optional, one row per session, as traded, in order. signals: session_date,
    signal_type. trades: entry_date, exit_date, entry_price, exit_price, pnl.
    """
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource, HoverTool, RangeTool

    rows = bars.with_columns(rises=pl.col("close") >= pl.col("open"))
    plot = _figure(height=380, y_format="0,0.00")
    width = 0.7 * _DAY_MS
    candles, wicks = [], []
    for colour, part in ((UP, rows.filter(pl.col("rises"))), (DOWN, rows.filter(~pl.col("rises")))):
        source = _source(part.select("session_date", "open", "high", "low", "close"))
        wicks.append(plot.segment("session_date", "high", "session_date", "low", color=colour, source=source))
        candles.append(plot.vbar("session_date", width, "open", "close", fill_color=colour, line_color=colour, source=source))
    for colour, part in ((UP, trades.filter(pl.col("pnl") >= 0)), (DOWN, trades.filter(pl.col("pnl") < 0))):
        plot.segment(
            "entry_date", "entry_price", "exit_date", "exit_price", color=colour, line_width=2, line_alpha=0.75, line_dash="dotted",
            source=_source(part.select("entry_date", "entry_price", "exit_date", "exit_price")),
        )  # fmt: skip
    _signal_markers(plot, rows, signals)
    tooltips = [("", "@session_date{%F}"), ("open", "@open{0,0.00}"), ("high", "@high{0,0.00}"), ("low", "@low{0,0.00}")]
    plot.add_tools(
        HoverTool(renderers=candles, tooltips=[*tooltips, ("close", "@close{0,0.00}")], formatters={"@session_date": "datetime"})
    )
    # The price axis follows the candles in view and nothing else: a renderer with no point in view would stretch it to all it has.
    plot.window_axis = "x"
    plot.y_range.renderers = wicks
    dates = rows["session_date"]
    plot.x_range.start = _milliseconds(dates[max(dates.len() - SESSIONS_IN_VIEW, 0)]) - 3 * _DAY_MS
    plot.x_range.end = _milliseconds(dates[-1]) + 3 * _DAY_MS
    if dates.len() <= SESSIONS_IN_VIEW:
        return _as_json(plot)
    strip = _figure(height=70, y_format="0,0", tools="")
    strip.line("session_date", "close", color=MUTED, source=ColumnDataSource(_columns(rows.select("session_date", "close"))))
    strip.yaxis.visible = False
    strip.ygrid.visible = False
    handle = RangeTool(x_range=plot.x_range)
    handle.overlay.fill_color = BUY_COLOUR
    handle.overlay.fill_alpha = 0.10
    strip.add_tools(handle)
    return _as_json(column(plot, strip, sizing_mode="stretch_width"))


def equity_chart(equity: pl.DataFrame, initial_cash: float) -> str:
    """Equity above, drawdown below, on one time axis. equity: session_date, equity, drawdown, exposure, in order."""
    from bokeh.layouts import column
    from bokeh.models import HoverTool

    source = _source(equity.select("session_date", "equity", "drawdown", "exposure"))
    above = _figure(height=260, y_format="0,0")
    line = above.line("session_date", "equity", color=BUY_COLOUR, line_width=1.6, source=source)
    above.hspan([initial_cash], line_color=MUTED, line_dash="dotted")
    tooltips = [
        ("", "@session_date{%F}"),
        ("equity", "@equity{0,0}"),
        ("drawdown", "@drawdown{0.0%}"),
        ("exposure", "@exposure{0%}"),
    ]
    above.add_tools(HoverTool(renderers=[line], mode="vline", tooltips=tooltips, formatters={"@session_date": "datetime"}))
    above.xaxis.visible = False
    below = _figure(height=130, y_format="0%", x_range=above.x_range)
    below.varea("session_date", 0, "drawdown", fill_color=DOWN, fill_alpha=0.25, source=source)
    below.line("session_date", "drawdown", color=DOWN, source=source)
    return _as_json(column(above, below, sizing_mode="stretch_width"))


def var_chart(returns: pl.DataFrame) -> str:
    """Session returns against the forecasts made for them at the close before, breaches marked.

    returns: session_date, ret, and the forecast losses var_95 and var_99 (positive fractions, null before the first), in order.
    """
    rows = returns.with_columns(low_95=-pl.col("var_95"), low_99=-pl.col("var_99"))
    plot = _figure(height=240, y_format="0.0%")
    source = _source(rows.select("session_date", "ret", "low_95", "low_99"))
    plot.vbar("session_date", 0.7 * _DAY_MS, "ret", 0, fill_color="#9ca3af", line_color=None, source=source)
    plot.line("session_date", "low_95", color="#d97706", line_width=1.4, legend_label="− VaR 95 %", source=source)
    plot.line("session_date", "low_99", color=DOWN, line_width=1.4, legend_label="− VaR 99 %", source=source)
    breaches = rows.filter(pl.col("ret") < pl.col("low_99"))
    plot.scatter(
        "session_date", "ret", size=7, color=DOWN, line_color="white", legend_label="breach of 99 %",
        source=_source(breaches.select("session_date", "ret")),
    )  # fmt: skip
    _place_legend(plot)
    return _as_json(plot)


def _signal_markers(plot: Any, bars: pl.DataFrame, signals: pl.DataFrame) -> None:
    placed = signals.join(bars.select("session_date", "high", "low"), on="session_date", how="inner").sort("session_date")
    kinds = (
        ("BUY", "triangle", pl.col("low") * 0.985, BUY_COLOUR),
        ("SELL", "inverted_triangle", pl.col("high") * 1.015, SELL_COLOUR),
    )
    for kind, marker, level, colour in kinds:
        part = placed.filter(pl.col("signal_type") == kind).select("session_date", level.alias("level"))
        plot.scatter(
            "session_date", "level", marker=marker, size=9, color=colour, line_color="white", legend_label=f"{kind.lower()} signal",
            source=_source(part),
        )  # fmt: skip
    _place_legend(plot)


def _figure(height: int, y_format: str, tools: str = "xpan,xwheel_zoom,box_zoom,reset", **options: Any) -> Any:
    from bokeh import plotting
    from bokeh.models import DatetimeTickFormatter, NumeralTickFormatter

    # bokeh's own annotations know neither the tools nor the ranges of a figure.
    figure: Any = plotting.figure
    plot = figure(
        height=height, x_axis_type="datetime", sizing_mode="stretch_width", tools=tools, toolbar_location="right", **options
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.outline_line_color = None
    plot.background_fill_color = plot.border_fill_color = "white"
    plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_color = GRID
    plot.yaxis.formatter = NumeralTickFormatter(format=y_format)
    plot.xaxis.formatter = DatetimeTickFormatter(days="%d %b %y", months="%b %Y", years="%Y")
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = GRID
    plot.axis.minor_tick_line_color = None
    plot.axis.major_label_text_color = MUTED
    plot.axis.major_label_text_font_size = "11px"
    # The same left margin everywhere: stacked axes line up.
    plot.min_border_left = 74
    return plot


def _place_legend(plot: Any) -> None:
    plot.legend.orientation = "horizontal"
    plot.legend.location = "top_left"
    plot.legend.border_line_color = None
    plot.legend.background_fill_alpha = 0.8
    plot.legend.label_text_font_size = "11px"
    plot.legend.label_text_color = INK
    plot.legend.padding = 2


def _source(frame: pl.DataFrame) -> Any:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource(_columns(frame))


def _columns(frame: pl.DataFrame) -> dict[str, Any]:
    dates = [name for name, dtype in frame.schema.items() if dtype == pl.Date]
    plain = frame.with_columns(pl.col(dates).cast(pl.Datetime("ms")).cast(pl.Int64).cast(pl.Float64))
    return {name: plain[name].to_numpy() for name in plain.columns}


def _milliseconds(day: Any) -> float:
    return float(pl.Series([day], dtype=pl.Date).cast(pl.Datetime("ms")).cast(pl.Int64)[0])


def _as_json(model: Any) -> str:
    from bokeh.embed import json_item

    numbers: dict[str, str] = {}
    # "</" would end the script element that carries the text.
    return json.dumps(_renumbered(json_item(model), numbers), separators=(",", ":")).replace("</", "<\\/")


def _renumbered(value: Any, numbers: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_renumbered(entry, numbers) for entry in value]
    if isinstance(value, dict):
        return {
            key: numbers.setdefault(entry, f"m{len(numbers) + 1}")
            if key in {"id", "root_id"} and isinstance(entry, str)
            else _renumbered(entry, numbers)
            for key, entry in value.items()
        }
    return value
