"""Runs of the ingest job, as the command line and the inbox ask for them.

Lives here: `ingest` and `release`, and the reports of what they did.
Does not live here: parsing arguments and printing (`cli/ingest.py`, `cli/quarantine.py`), executing a run (`runs.py`), the assets
(`assets/ingest.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from pipelines.ingest.accounting import Account
from pipelines.ingest.batches import account, outcome, read_batch, read_refusals
from pipelines.ingest.overridden_rows import NotReleasedError, record_release
from pipelines.ingest.overrides import quarantined
from pipelines.ingest.publish import validate_staged
from pipelines.ingest.quarantine import REFUSED
from pipelines.ingest.requests import IngestRequest, discard_request, resumed, save_request
from pipelines.ingest.staged import SESSION_COLUMN
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.orchestration.ingest_definitions import ingest_definitions
from pipelines.orchestration.instance import open_instance
from pipelines.orchestration.jobs import ingest_job_name
from pipelines.orchestration.keys import INGESTED, staged_key
from pipelines.orchestration.partitions import partition_sessions
from pipelines.orchestration.runs import JobFailedError, failure, message_of, run_job
from pipelines.scanners.project import HomeProject
from pipelines.scanners.suspected_actions import newly_suspected
from pipelines.settings import Settings
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.locks import home_lock


@dataclass(frozen=True)
class IngestReport:
    """Figures of an ingest: `files` and `tables` as the contract's JSON, the sessions that a gate refused, by table, splits and
    demergers that its daily bars suggest (columns of `ingest/suspected_actions.py`), and what stayed out by rule, session and file.
    """

    files: list[dict[str, Any]]
    tables: dict[str, dict[str, int]]
    refused: dict[str, list[str]]
    run_id: str
    suspects: pl.DataFrame
    account: Account
    most_quarantined: float

    @property
    def exit_code(self) -> int:
        """1 when a file or a session was refused, or more of a file stayed out than the settings take for single bad rows."""
        return self.account.exit_code(self.files, self.refused, self.most_quarantined)


def ingest(settings: Settings, order: IngestRequest) -> IngestReport:
    """Take an order through gate and lake, in one run that parses its files.

    Sessions that a gate refuses lie in quarantine then, and the run publishes the rest. Raises JobFailedError when the run fails,
    LockHeldError when another writer is at work.
    """
    lake = Lake.from_settings(settings)
    save_request(order, settings.state_dir)
    with (
        home_lock(settings.state_dir, f"ingest of {len(order.deliveries)} files", settings.lock_wait),
        open_instance(settings) as instance,
    ):
        result = _run_request(instance, settings, order, _arrival_sessions(order, settings.calendars))
        folder = order.folder(settings.state_dir)
        blocked = _refused_sessions(result, order.exchange)
        if blocked:
            refused = {**_refused_before_publishing(folder), **blocked}
            raise JobFailedError(f"the gate refused sessions twice in a row: {refused}; see the run in `marketlake ui`")
        if not result.success:
            raise failure(result)
        done = outcome(folder)
        staged = read_batch(folder, "bars_daily")
        suspects = newly_suspected(
            lake,
            order.exchange,
            HomeProject.from_settings(settings).compiled(),
            staged["session_date"].unique().to_list(),
            set(staged["instrument_id"]),
        )
        return IngestReport(
            done["files"],
            done["tables"],
            _refused_before_publishing(folder),
            result.run_id,
            suspects,
            account(folder, order.exchange, settings.calendars),
            settings.max_quarantined_share,
        )


@dataclass(frozen=True)
class ReleaseReport:
    """What a release from quarantine did: rows of `table` by outcome, the table's version, its sessions, and the run."""

    table: str
    accepted: int
    restated: int
    unchanged: int
    version: int | None
    sessions: list[str]
    overruled: list[str]
    run_id: str


def release(settings: Settings, order: IngestRequest) -> ReleaseReport:
    """Let the rows of the order's decision in through the ingest job, all or none.

    Raises NotReleasedError when a rule, the merge or the gate stands against a row (the lake and the quarantine are then as they
    were), JobFailedError when the run fails for any other reason, LockHeldError when another writer is at work.
    """
    assert order.decision is not None
    lake, state = Lake.from_settings(settings), settings.state_dir
    table = str(order.decision.selection.table)
    with home_lock(state, "release from quarantine", settings.lock_wait), open_instance(settings) as instance:
        order = resumed(order, state)
        save_request(order, state)
        try:
            result = _run_request(instance, settings, order, _held_sessions(lake, order))
            if stands_against := message_of(result, NotReleasedError):
                raise NotReleasedError(stands_against)
            folder = order.folder(state)
            if blocked := _refused_sessions(result, order.exchange):
                reasons = "; ".join(f"the gate of {name} {'; '.join(why)}" for name, why in blocked.items())
                validation = validate_staged(lake, order.exchange, table, read_batch(folder, table))
                names = sorted({name for broken in validation.refused.values() for name in broken})
                overrule = " ".join(f"--overrule {REFUSED}{name}" for name in names)
                hint = f"; to overrule that too, add {overrule}" if names else ""
                raise NotReleasedError(f"nothing is released: {reasons} (run {result.run_id[:8]} in `marketlake ui`){hint}")
        except NotReleasedError:
            discard_request(order, state)
            raise
        if not result.success:
            raise failure(result)
        record_release(lake, order, folder)
        discard_request(order, state)
        figures = outcome(folder)["tables"][table]
        days = read_batch(folder, table).get_column(SESSION_COLUMN[table]).unique().sort().to_list()
        version = LakeTable(lake.table_uri(order.exchange, table), TABLES[table]).version()
        done = {verb: figures[verb] for verb in ("accepted", "restated", "unchanged")}
        overruled = list(order.decision.overruled) if order.decision else []
        return ReleaseReport(
            table, **done, version=version, sessions=list(map(str, days)), overruled=overruled, run_id=result.run_id
        )


def _run_request(
    instance: dg.DagsterInstance, settings: Settings, order: IngestRequest, sessions: Sequence[date]
) -> dg.ExecuteInProcessResult:
    """Run the ingest job for an order that is saved. The run stands under `sessions`; it records those that it finds besides."""
    mic = order.exchange
    config = {"ops": {f"{mic}__raw_files": {"config": {"request_id": order.request_id}}}}
    return run_job(instance, settings, ingest_definitions(settings, mic), ingest_job_name(mic), mic, sessions, config)


def _arrival_sessions(order: IngestRequest, calendars: Path) -> list[date]:
    """The order's sessions; of an order whose files say which, the last one by the day on which they arrived."""
    if order.sessions is not None:
        return list(order.sessions)
    zone = calendar(order.exchange, calendars).exchange.zone
    arrived = max(delivery.received_at for delivery in order.deliveries).astimezone(zone).date()
    return sorted(day for day in partition_sessions(order.exchange, calendars) if day <= arrived)[-1:]


def _held_sessions(lake: Lake, order: IngestRequest) -> list[date]:
    """Sessions of the rows that the order's decision lets in."""
    assert order.decision is not None
    held = order.decision.selection.of(quarantined(lake, order.exchange))
    return held["session_date"].drop_nulls().unique().sort().to_list()


def _refused_before_publishing(folder: Path) -> dict[str, list[str]]:
    """What the run left out before it published the rest, a sentence for each table whose gate refused something."""
    found = read_refusals(folder)
    # In the order of the checks' steps, so that reports of a run and of what it launched name them alike.
    return {table: [found[table]["description"]] for table in sorted(found, key=lambda name: f"{name}_gate")}


def _refused_sessions(result: dg.ExecuteInProcessResult, mic: str) -> dict[str, list[str]]:
    found = {}
    by_key = {staged_key(mic, table): table for table in INGESTED}
    for evaluation in result.get_asset_check_evaluations():
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            found[by_key[evaluation.asset_key]] = [evaluation.description or ""]
    return found
