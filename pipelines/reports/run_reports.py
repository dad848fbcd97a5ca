"""Reports of strategies' runs: of a run that somebody asked for, and of a strategy file that the nightly job runs.

Lives here: from a run and its setup to a file in `<home>/reports`.
Does not live here: the page (`run_report`), the verdict (`backtest/verdict/`), the risk report (`nightly_reports`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.backtest.run_setup import RunSetup
from pipelines.backtest.strategies.stored import NightlyStrategy
from pipelines.backtest.update import current_rows, initial_cash
from pipelines.backtest.verdict.evidence import find_evidence
from pipelines.backtest.verdict.restated import RESTATED, count_restated
from pipelines.backtest.verdict.scanners import ScannersTried
from pipelines.backtest.verdict.stored import has_verdict, store_verdict
from pipelines.market.exchanges import exchange as venue_of
from pipelines.package_data import code_version
from pipelines.reports.file_names import run_report_name, strategy_report_name
from pipelines.reports.index import write_index
from pipelines.reports.pages import write_page
from pipelines.reports.run_report import ReportedRun, build_run_report
from pipelines.storage.location import Lake
from pipelines.storage.step_records import StepRecord, hash_parts, hash_tables
from pipelines.whole_files import hash_file

#: Tables whose versions the page names.
SHOWN = ("bars_daily", "corporate_actions", "scanner_signals")


@dataclass(frozen=True)
class StrategyReport:
    """A written report of a strategy, and the equity it shows."""

    path: Path
    equity: pl.DataFrame
    initial_cash: float


def report_run(
    lake: Lake,
    exchange: str,
    setup: RunSetup,
    run: Mapping[str, Any],
    trades: pl.DataFrame,
    equity: pl.DataFrame,
    versions: Mapping[str, int],
    provenance: Mapping[str, Any] | None = None,
    tried: ScannersTried | None = None,
) -> ReportedRun:
    """A run with its evidence.

    versions: of the tables that it stands on. provenance: more to name on the page. tried: its scanners, where they were.
    """
    scanners = frozenset(str(run["scanner_used"]).split(","))
    restated = count_restated(lake, exchange, versions, run["start_date"], run["end_date"], scanners)
    stands_on = {
        "input_fingerprint": setup.strategy.input_fingerprint,
        "code_version": code_version(),
        "inputs": {name: versions[name] for name in SHOWN if name in versions},
        **(provenance or {}),
    }
    return ReportedRun(run, trades, equity, setup, find_evidence(setup, run, trades, equity, restated, tried), stands_on)


def write_run_report(reported: ReportedRun, folder: Path) -> Path:
    """Write the report of a run that was asked for; returns its file, the same for the same run."""
    exchange = str(reported.run["exchange"])
    venue = venue_of(exchange)
    path = folder / run_report_name(exchange, str(reported.run["algorithm_name"]), str(reported.run["run_id"]))
    write_page(path, build_run_report(reported, timezone=venue.timezone, currency=venue.currency))
    return path


def write_strategy_report(
    nightly: NightlyStrategy, asset: str, run: Mapping[str, Any], folder: Path, record: StepRecord, *, anew: bool = False
) -> StrategyReport:
    """Write the report of a strategy file's current run, unless it stands as it was written of the same, or `anew` is asked for.

    asset: name of the file's asset. record: of this report.
    """
    lake, exchange = nightly.lake, nightly.exchange
    path = folder / strategy_report_name(exchange, asset)
    trades, equity = current_rows(lake, exchange, str(run["run_id"]))
    made_of = hash_parts(nightly.made_of, run["run_id"], hash_restated(lake, exchange, nightly.versions), _judged(run))
    stands = record.holds(made_of, hash_file(path)) and has_verdict(lake, exchange, str(run["run_id"]))
    if anew or not stands:
        setup = nightly.setup
        if setup is None:
            raise ValueError(f"{asset}: run {run['run_id']} is stored, and there is no bar that it could be made of")
        reported = report_run(lake, exchange, setup, run, trades, equity, nightly.versions)
        store_verdict(lake, exchange, str(run["run_id"]), reported.evidence)
        venue = venue_of(exchange)
        write_page(path, build_run_report(reported, timezone=venue.timezone, currency=venue.currency))
        write_index(folder)
        record.write(made_of, hash_file(path))
    return StrategyReport(path, equity, initial_cash(run))


def hash_restated(lake: Lake, exchange: str, versions: Mapping[str, int]) -> str:
    """A hash of what was restated, at pinned versions."""
    return hash_tables(lake, exchange, {name: versions.get(name) for name in RESTATED})


def _judged(run: Mapping[str, Any]) -> list[Any]:
    """What the ledger said of the run; it may say something else of the same run later."""
    return [run[name] for name in ("trials", "deflated_sharpe", "min_track_record", "overfitting_probability")]
