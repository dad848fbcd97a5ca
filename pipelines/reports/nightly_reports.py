"""The nightly risk report: VaR of the current backtest into `risk_var`, and the HTML file people read.

Lives here: from stored runs to stored risk figures and a file in `<home>/reports`.
Does not live here: VaR (`risk/`), the page (`run_report.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.backtest.statistics import session_returns
from pipelines.backtest.unchanged import STORED, NightlyBacktest
from pipelines.backtest.update import BacktestInputs, current_run, current_run_id, initial_cash
from pipelines.backtest.verdict.stored import has_verdict, store_verdict
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.exchanges import exchange as venue_of
from pipelines.market.tables import TABLES
from pipelines.reports.file_names import report_name
from pipelines.reports.index import write_index
from pipelines.reports.pages import write_page
from pipelines.reports.run_report import build_run_report
from pipelines.reports.run_reports import SHOWN, hash_restated, report_run
from pipelines.risk.var import var_table
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.step_records import hash_heads, hash_parts
from pipelines.storage.upsert import replace_rows
from pipelines.whole_files import hash_file


@dataclass(frozen=True)
class RiskReport:
    """A written report: its file, the VaR rows behind it, and the equity it shows."""

    path: Path
    var: pl.DataFrame
    equity: pl.DataFrame
    run: dict[str, Any]
    version: int | None


def write_risk_report(backtest: NightlyBacktest, inputs: BacktestInputs, folder: Path) -> RiskReport | None:
    """Compute VaR of the scanner's current run, store it, write the report. None while there is no run.

    inputs: of `read_inputs` with the scanner. The file in `folder` (`report_name`) is replaced whole. Same inputs give the
    same bytes.
    """
    lake, exchange, scanner = backtest.lake, backtest.exchange, backtest.scanner
    found, setup = current_run(lake, exchange, scanner), backtest.setup(inputs)
    if found is None or setup is None:
        return None
    run, trades, equity = found
    schema = TABLES["risk_var"]
    portfolio = f"{exchange}:{scanner}"
    ordered = equity.sort("session_date")
    returns = pl.DataFrame(
        {"session_date": ordered["session_date"], "ret": session_returns(ordered["equity"].to_numpy(), initial_cash(run))}
    )
    upcoming = _session_after(lake.calendar(exchange), ordered["session_date"])
    var = var_table(returns, portfolio, upcoming=upcoming).cast(dict(empty_frame(schema).schema))  # type: ignore[arg-type]
    version = replace_rows(
        lake, exchange, schema, var, lambda stored: stored.get_column("portfolio") == portfolio, None, {"run": str(run["run_id"])}
    )
    crash_point("research.committed")
    venue = venue_of(exchange)
    reported = report_run(lake, exchange, setup, run, trades, equity, backtest.versions)
    store_verdict(lake, exchange, str(run["run_id"]), reported.evidence)
    html = build_run_report(reported, title="Risk report", var=var, timezone=venue.timezone, currency=venue.currency)
    path = folder / report_name(exchange, scanner)
    write_page(path, html)
    write_index(folder)
    return RiskReport(path, var, equity, run, version)


def current_report(lake: Lake, exchange: str, scanner: str, folder: Path) -> RiskReport | None:
    """The report as it was stored last, read and not made; None while there is no run."""
    found = current_run(lake, exchange, scanner)
    if found is None:
        return None
    schema = TABLES["risk_var"]
    table = LakeTable(lake.table_uri(exchange, schema.name), schema)
    var = table.read().filter(pl.col("portfolio") == f"{exchange}:{scanner}").sort(list(schema.sort_by))
    return RiskReport(folder / report_name(exchange, scanner), var, found[2], found[0], table.version())


def hash_report_inputs(lake: Lake, exchange: str, versions: Mapping[str, int], backtest_inputs: str) -> str:
    """A hash of all that `write_risk_report` follows from. backtest_inputs: that of the backtest's (`backtest/unchanged.py`)."""
    shown = {name: versions.get(name) for name in SHOWN}
    restated, calendar = hash_restated(lake, exchange, versions), lake.calendar(exchange).frame().write_csv()
    return hash_parts(backtest_inputs, shown, hash_heads(lake, exchange, STORED), restated, calendar)


def hash_report(lake: Lake, exchange: str, scanner: str, folder: Path) -> str:
    """A hash of what `write_risk_report` left: the rows of `risk_var`, the run's verdict, and the file's content."""
    path = folder / report_name(exchange, scanner)
    content = hash_file(path)
    run_id = current_run_id(lake, exchange, scanner)
    judged = run_id is not None and has_verdict(lake, exchange, run_id)
    return hash_parts(hash_heads(lake, exchange, ["risk_var"]), judged, content)


def _session_after(days: ExchangeCalendar, sessions: pl.Series) -> date | None:
    """The next session of the exchange's calendar; None at its end or without any session."""
    if sessions.is_empty():
        return None
    last: date = sessions[-1]
    known = days.sessions
    after = bisect_right(known, last, key=lambda session: session.session_date)
    return known[after].session_date if after < len(known) else None
