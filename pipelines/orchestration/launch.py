"""Running jobs in this process, on the home's Dagster instance, so that the UI shows them.

Lives here: `run_job`, `ingest`, `release` and `nightly`, as the command line calls them.
Does not live here: parsing arguments and printing (`cli/app.py`); what the jobs do (`assets/`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

import dagster as dg
import polars as pl

from pipelines.ingest.accounting import Account
from pipelines.ingest.batches import account, outcome, read_batch, read_refusals
from pipelines.ingest.freshness import newest_session, sessions_with_bars
from pipelines.ingest.overridden_rows import NotReleasedError, record_release
from pipelines.ingest.overrides import quarantined
from pipelines.ingest.publish import validate_staged
from pipelines.ingest.quarantine import REFUSED
from pipelines.ingest.requests import IngestRequest, discard_request, resumed, save_request
from pipelines.ingest.staged import SESSION_COLUMN
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.orchestration.compat.run_origin import origin_tags
from pipelines.orchestration.ingest_definitions import ingest_definitions
from pipelines.orchestration.instance import open_instance, process_tags
from pipelines.orchestration.jobs import ingest_job_name, nightly_job_name
from pipelines.orchestration.keys import INGESTED, staged_key, table_key
from pipelines.orchestration.partitions import partition_sessions
from pipelines.reports.news import news_of
from pipelines.scanners.project import HomeProject
from pipelines.scanners.suspected_actions import newly_suspected
from pipelines.settings import Settings
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.locks import home_lock
from pipelines.storage.releases import find_release

_OWN_ERROR = re.compile(r"^pipelines(\.\w+)+: ")
#: Up to this many sessions a run is launched for a range of partitions; beyond, for the last one, and the assets record the others.
_RANGE_LIMIT = 30
#: The definitions of an exchange. They are assembled above this package: with all jobs they import dbt, which no ingest needs.
DefinitionsOf = Callable[[Settings, str], dg.Definitions]
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class JobFailedError(RuntimeError):
    """A run failed. The message says which step, why, and where to look."""


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
            if stands_against := _message_of(result, NotReleasedError):
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


def run_job(
    instance: dg.DagsterInstance,
    settings: Settings,
    definitions: dg.Definitions,
    job: str,
    mic: str,
    sessions: Sequence[date],
    run_config: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Execute a job of the home in this process, for the partitions of these sessions (none: the last session that closed)."""
    tags = {**process_tags(), **origin_tags(), **_partition_tags(mic, sessions, settings.calendars)}
    log = settings.state_dir / "logs" / f"{job}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # dbt's own lines belong into a log, not between what the command prints.
    with log.open("w", encoding="utf-8") as stream, redirect_stdout(stream), _stderr_of_helpers(stream):
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance, run_config={**_QUIET, **(run_config or {})}, tags=tags, raise_on_error=False
        )
    if any(_is_interruption(event) for event in result.all_events):
        raise KeyboardInterrupt
    return result


@contextmanager
def _stderr_of_helpers(log: IO[str]) -> Iterator[None]:
    """Give processes that Dagster starts beside a run a log for their errors: Ctrl-C reaches them too, and each prints a traceback.

    This process goes on writing where it did.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        os.dup2(log.fileno(), 2)
        with os.fdopen(os.dup(kept), "w", buffering=1, encoding=sys.stderr.encoding) as ours, redirect_stderr(ours):
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _is_interruption(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error if event.is_step_failure else None
    return error is not None and error.cls_name == "DagsterExecutionInterruptedError"


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


def _partition_tags(mic: str, sessions: Sequence[date], calendars: Path) -> dict[str, str]:
    known = partition_sessions(mic, calendars)
    keys = [d.isoformat() for d in sorted(known.intersection(sessions))] or [max(known).isoformat()]
    covered = calendar(mic, calendars).between(date.fromisoformat(keys[0]), date.fromisoformat(keys[-1]))
    if len(keys) > 1 and len(keys) <= _RANGE_LIMIT and len(covered) == len(keys):
        return {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    return {"dagster/partition": keys[-1]}


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


def failure(result: dg.ExecuteInProcessResult) -> JobFailedError:
    """The first failed step of a run as an error for people."""
    for event in result.all_events:
        if event.is_step_failure:
            error = _innermost(event.step_failure_data.error)
            reason = _own_words(error) if error else "no reason recorded"
            return JobFailedError(f"step {event.step_key} failed: {reason} (run {result.run_id[:8]}; `marketlake ui` shows it)")
        if event.is_failure and (error := _innermost(event.job_failure_data.error)):
            return JobFailedError(f"{error.message.strip()} (run {result.run_id[:8]})")
    return JobFailedError(f"run {result.run_id} failed; `marketlake ui` shows why")


def _message_of(result: dg.ExecuteInProcessResult, kind: type[Exception]) -> str | None:
    """The words of the error that failed a step of the run, where it is of this kind."""
    failures = (event.step_failure_data.error for event in result.all_events if event.is_step_failure)
    causes = (error for failed in failures if (error := _innermost(failed)) and error.cls_name == kind.__name__)
    return next((_own_words(error) for error in causes), None)


def _innermost(error: Any) -> Any:
    """The first cause of an error that Dagster has on record, or None where it has none."""
    while error and error.cause:
        error = error.cause
    return error


def _own_words(error: Any) -> str:
    """What this project raises is a sentence; its class would only stand before it."""
    return _OWN_ERROR.sub("", error.message.strip())


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
