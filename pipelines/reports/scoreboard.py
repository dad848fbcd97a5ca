"""The scoreboard's page: every scanner and every backtest after costs, beside its base rate.

Lives here: what the page shows, and writing it. Does not live here: the figures and their SQL (`storage/scoreboard.py`).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pipelines.market.exchanges import exchange as venue_of
from pipelines.reports.file_names import scoreboard_name
from pipelines.reports.index import find_reports, write_index
from pipelines.reports.pages import render_page, write_page
from pipelines.storage.location import Lake
from pipelines.storage.scoreboard import read_scoreboard


def write_scoreboard(lake: Lake, exchange: str, folder: Path) -> tuple[Path, pl.DataFrame]:
    """Write the scoreboard of an exchange, and the index beside it; returns the file and the rows on it."""
    rows = read_scoreboard(lake, exchange)
    path = folder / scoreboard_name(exchange)
    write_page(path, build_scoreboard(exchange, rows, folder))
    write_index(folder)
    return path, rows


def build_scoreboard(exchange: str, rows: pl.DataFrame, folder: Path) -> str:
    """The page of rows of `scoreboard`; a run whose report lies in the folder is linked to it. The best edge first."""
    ordered = rows.sort("edge", "name", "horizon", "run_id", descending=[True, False, False, False], nulls_last=True)
    reports = {report.run_id: report.name for report in find_reports(folder)}
    strategies = [
        {**row, "report": reports.get(row["run_id"], "")}
        for row in ordered.filter(pl.col("kind") == "strategy").iter_rows(named=True)
    ]
    return render_page(
        "scoreboard.html.j2",
        timezone=venue_of(exchange).timezone,
        exchange=exchange,
        scanners=ordered.filter(pl.col("kind") == "scanner").to_dicts(),
        strategies=strategies,
    )
