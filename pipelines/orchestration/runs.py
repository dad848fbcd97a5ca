"""Running a job of the home in this process, on the home's Dagster instance, so that the UI shows it.

Lives here: `run_job`, and what a failed run says to people.
Does not live here: which job is run for what (`ingest_run.py`, `nightly_run.py`), what the jobs do (`assets/`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import date
from pathlib import Path
from typing import IO, Any

import dagster as dg

from pipelines.market.calendar import calendar
from pipelines.orchestration.compat.run_origin import origin_tags
from pipelines.orchestration.instance import process_tags
from pipelines.orchestration.partitions import partition_sessions
from pipelines.settings import Settings

_OWN_ERROR = re.compile(r"^pipelines(\.\w+)+: ")
#: Up to this many sessions a run is launched for a range of partitions; beyond, for the last one, and the assets record the others.
_RANGE_LIMIT = 30
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class JobFailedError(RuntimeError):
    """A run failed. The message says which step, why, and where to look."""


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


def _partition_tags(mic: str, sessions: Sequence[date], calendars: Path) -> dict[str, str]:
    known = partition_sessions(mic, calendars)
    keys = [d.isoformat() for d in sorted(known.intersection(sessions))] or [max(known).isoformat()]
    covered = calendar(mic, calendars).between(date.fromisoformat(keys[0]), date.fromisoformat(keys[-1]))
    if len(keys) > 1 and len(keys) <= _RANGE_LIMIT and len(covered) == len(keys):
        return {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    return {"dagster/partition": keys[-1]}


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


def message_of(result: dg.ExecuteInProcessResult, kind: type[Exception]) -> str | None:
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
