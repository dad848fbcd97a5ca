"""Runs of the nightly job, as the command line asks for them.

Lives here: `nightly`, and `nightly_summary` of what a run made.
Does not live here: parsing arguments and printing (`cli/nightly.py`), executing a run (`runs.py`), the assets (`assets/`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import dagster as dg

from pipelines.ingest.freshness import newest_session, sessions_with_bars
from pipelines.market.tables import TABLES
from pipelines.orchestration.instance import open_instance
from pipelines.orchestration.jobs import nightly_job_name
from pipelines.orchestration.keys import table_key
from pipelines.orchestration.runs import failure, run_job
from pipelines.reports.news import news_of
from pipelines.settings import Settings
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.locks import home_lock
from pipelines.storage.releases import find_release

#: The definitions of an exchange. They are assembled above this package: with all jobs they import dbt, which no ingest needs.
DefinitionsOf = Callable[[Settings, str], dg.Definitions]


def nightly(
    settings: Settings, mic: str, definitions: DefinitionsOf, *, sessions: Sequence[date] = (), full: bool = False
) -> dg.ExecuteInProcessResult:
    """Run the nightly job of an exchange: everything new or restated, these sessions besides, or all of history (`full`).

    Raises JobFailedError when a step fails, as for an exchange without bars or without any of these sessions, LockHeldError when
    another writer is at work.
    """
    lake = Lake.from_settings(settings)
    # A range may span sessions that the lake knows nothing of; asked for alone, such a session fails the run by name.
    days = sorted(sessions_with_bars(lake, mic, sessions)) or list(sessions)
    scope = {"full": full, "rebuild_sessions": False, "sessions": [day.isoformat() for day in days]}
    config = {"ops": {f"{mic}__models": {"config": scope}}}
    with home_lock(settings.state_dir, f"nightly run of {mic}", settings.lock_wait), open_instance(settings) as instance:
        result = run_job(
            instance, settings, definitions(settings, mic), nightly_job_name(mic), mic, days or _newest_session(lake, mic), config
        )
        if not result.success:
            raise failure(result)
        return result


def _newest_session(lake: Lake, mic: str) -> list[date]:
    """The last session in the lake: the partition that a run without dates is shown under."""
    newest = newest_session(lake, mic)
    return [newest] if newest else []


def nightly_summary(settings: Settings, mic: str, result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What a nightly run made, for people: release and what is new in it (`new`, a `News`), totals, and the checks that failed.

    `hold`, where another release stays published: which, since when, by whom.
    """
    notes = {
        event.asset_key: {name: value.value for name, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    backtest, risk, release = (notes.get(table_key(mic, t), {}) for t in ("backtest_runs", "risk_report", "release"))
    report = risk.get("report")
    lake = Lake.from_settings(settings)
    signals = LakeTable(lake.table_uri(mic, "scanner_signals"), TABLES["scanner_signals"])
    return {
        "run": result.run_id,
        "release_id": release.get("release_id"),
        "new_release": release.get("new"),
        "new": news_of(lake, mic, find_release(lake, str(release["release_id"])), is_new=bool(release["new"])),
        "catalogue": str(settings.catalogue_link),
        "signals": signals.row_count(),
        "backtest_of": backtest.get("scanner_used"),
        "trades": backtest.get("trades"),
        "total_return": backtest.get("total_return"),
        "max_drawdown": backtest.get("max_drawdown"),
        "sharpe_ratio": backtest.get("sharpe_ratio"),
        "report": str(report) if report else None,
        "checks_failed": _failed_checks(result),
        **({"hold": release["hold"]} if "hold" in release else {}),
    }


def _failed_checks(result: dg.ExecuteInProcessResult) -> list[str]:
    """`asset check: what it found` of every check of severity ERROR that failed without stopping the run, sorted."""
    return sorted(
        f"{found.asset_key.to_user_string()} {found.check_name}: {found.description or 'failed'}"
        for found in result.get_asset_check_evaluations()
        if not found.passed and found.severity == dg.AssetCheckSeverity.ERROR
    )
