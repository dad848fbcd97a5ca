"""Equity and drawdown as a small PNG, for places that show a picture inline.

Lives here: that one picture. Does not live here: anything interactive (`charts`). Same frame, same bytes: matplotlib's own canvas
without a display, a fixed font and size, and no date or program name in the file.
"""

from __future__ import annotations

import io

import polars as pl

_LINE, _FALL, _MUTED, _GRID = "#1d4ed8", "#b4564c", "#6b7280", "#e5e7eb"


def equity_picture(equity: pl.DataFrame, initial_cash: float, title: str = "") -> bytes:
    """The PNG (720 × 360 pixels, below 100 kB) of a run's `backtest_equity` rows: session_date, equity, drawdown.

    Raises ValueError if there are no rows.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter, StrMethodFormatter

    if equity.is_empty():
        raise ValueError("equity_picture: no rows of equity; run the backtest first.")
    rows = equity.sort("session_date")
    days = rows["session_date"].to_numpy()
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 8, "svg.hashsalt": "", "path.simplify": True}):
        figure = Figure(figsize=(7.2, 3.6), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        above.plot(days, rows["equity"].to_numpy(), color=_LINE, linewidth=1.2)
        above.axhline(initial_cash, color=_MUTED, linewidth=0.7, linestyle=":")
        above.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        below.fill_between(days, rows["drawdown"].to_numpy(), 0.0, color=_FALL, alpha=0.3, linewidth=0)
        below.plot(days, rows["drawdown"].to_numpy(), color=_FALL, linewidth=0.7)
        below.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        for axes, name in ((above, "equity"), (below, "drawdown")):
            axes.set_ylabel(name, color=_MUTED)
            axes.grid(visible=True, axis="y", color=_GRID, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.tick_params(colors=_MUTED, length=0)
            axes.spines[:].set_visible(False)
        if title:
            above.set_title(title, loc="left", fontsize=9, color="#1f2a37")
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
