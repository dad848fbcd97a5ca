"""Jobs whose last runs failed, as the home's Dagster instance has them on record.

Lives here: `failed_jobs`, for `marketlake doctor`, and why a run failed.
Does not live here: runs whose process is gone (`instance.py`), what is made of it (`doctor/runs.py`, `alerts.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pipelines.orchestration.instance import open_instance
from pipelines.orchestration.jobs import delivery_job_name, ingest_job_name, live_scan_job_name, nightly_job_name
from pipelines.settings import Settings

_REASON_LETTERS = 300


@dataclass(frozen=True)
class FailedJob:
    """A job without a successful run since it failed: how often, when last (UTC), why, and when it last succeeded (None: never)."""

    name: str
    exchange: str
    count: int
    run_id: str
    failed_at: datetime
    reason: str
    last_success: datetime | None


def failed_jobs(settings: Settings) -> list[FailedJob]:
    """The failed jobs of the configured exchanges, in their order. Runs whose process is gone are marked as failed first."""
    found = []
    with open_instance(settings) as instance:
        for mic in settings.exchanges:
            for name in job_names(mic):
                if (job := _failed(instance, name, mic)) is not None:
                    found.append(job)
    return found


def job_names(mic: str) -> tuple[str, ...]:
    """The jobs of an exchange, in the order in which its bars pass them."""
    return ingest_job_name(mic), delivery_job_name(mic), nightly_job_name(mic), live_scan_job_name(mic)


def _failed(instance: dg.DagsterInstance, name: str, mic: str) -> FailedJob | None:
    good = instance.get_run_records(dg.RunsFilter(job_name=name, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1)
    since = good[0].create_timestamp if good else None
    failures = dg.RunsFilter(job_name=name, statuses=[dg.DagsterRunStatus.FAILURE], created_after=since)
    bad = instance.get_run_records(failures)
    if not bad:
        return None
    last = bad[0]
    ended = datetime.fromtimestamp(last.end_time, UTC) if last.end_time else last.create_timestamp
    run_id = last.dagster_run.run_id
    return FailedJob(name, mic, len(bad), run_id, ended, reason_of(instance, run_id), since)


def died(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run ended without a word of its step: a step that fails would fail again, a process that was killed need not."""
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return False
    return not instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)


def failed_steps(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """The class of the innermost error of each step of a run that failed, by its name."""
    logs = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    errors = [entry.dagster_event.step_failure_data.error for entry in logs if entry.dagster_event]
    return [str(inner.cls_name) if (inner := _innermost(error)) else "unknown" for error in errors]


def reason_of(instance: dg.DagsterInstance, run_id: str) -> str:
    """The innermost error of the run's first failed step, on one line; of the run itself where no step failed."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    events = [entry.dagster_event for entry in instance.all_logs(run_id, of_type=kinds) if entry.dagster_event]
    for event in sorted(events, key=lambda event: not event.is_step_failure):
        # A run that was reported as failed, its process being gone, has a message and nothing else.
        failure = event.step_failure_data if event.is_step_failure else event.event_specific_data and event.job_failure_data
        error = _innermost(failure.error if failure else None)
        text = " ".join((error.message if error else event.message or "").split())
        if text:
            step = f"step {event.step_key}: " if event.step_key else ""
            return f"{step}{text}"[:_REASON_LETTERS]
    return "no reason recorded"


def _innermost(error: Any) -> Any:
    while error and error.cause:
        error = error.cause
    return error
