"""The nightly risk report: VaR of the current backtest into `risk_var`, and the HTML file people read.

Lives here: from stored runs to stored risk figures and a file in `<home>/reports`.
Does not live here: VaR (`risk/`), the page (`risk_report.py`).
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.backtest.statistics import session_returns
from pipelines.backtest.update import BacktestInputs, current_run, initial_cash
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.exchanges import exchange as venue_of
from pipelines.market.tables import TABLES
from pipelines.package_data import code_version
from pipelines.reports.risk_report import build_risk_report
from pipelines.risk.var import var_table
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.upsert import replace_rows


@dataclass(frozen=True)
class RiskReport:
    """A written report: its file, the VaR rows behind it, and the equity it shows."""

    path: Path
    var: pl.DataFrame
    equity: pl.DataFrame
    run: dict[str, Any]
    version: int | None


def write_risk_report(
    lake: Lake, exchange: str, scanner: str, inputs: BacktestInputs, versions: Mapping[str, int], folder: Path
) -> RiskReport | None:
    """Compute VaR of the scanner's current run, store it, write the report. None while there is no run.

    The file is `<folder>/<MIC>_<scanner>_risk.html`, replaced whole. Same inputs give the same bytes.
    """
    found = current_run(lake, exchange, scanner)
    if found is None:
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
    html = build_risk_report(
        run=run,
        trades=trades,
        equity=equity,
        var=var,
        bars=inputs.bars,
        signals=inputs.signals,
        provenance={
            "input_fingerprint": inputs.fingerprint,
            "code_version": code_version(),
            "inputs": {name: versions[name] for name in ("bars_daily", "corporate_actions", "scanner_signals") if name in versions},
        },
        timezone=venue.timezone,
        currency=venue.currency,
    )
    path = folder / f"{exchange}_{scanner}_risk.html"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(html, encoding="utf-8")
    os.replace(temporary, path)
    return RiskReport(path, var, equity, run, version)


def _session_after(days: ExchangeCalendar, sessions: pl.Series) -> date | None:
    """The next session of the exchange's calendar; None at its end or without any session."""
    if sessions.is_empty():
        return None
    last: date = sessions[-1]
    known = days.sessions
    after = bisect_right(known, last, key=lambda session: session.session_date)
    return known[after].session_date if after < len(known) else None
