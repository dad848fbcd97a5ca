"""Nightly runs that are started again: those whose cause of failure may pass.

Lives here: the sensor of an exchange, and which causes may pass.
Does not live here: when a night's first run starts, and what was missed while the daemon was down (`schedules.py`).
"""

from __future__ import annotations

import time

import dagster as dg

from pipelines.orchestration.failures import died, failed_steps
from pipelines.orchestration.jobs import nightly_job_name
from pipelines.orchestration.schedules import MISSED_TAG, NIGHT_TAG, nightly_config

#: Runs that a night gets, and how long the second waits where the first did not die with the machine; the third twice as long.
_ATTEMPTS = 3
_WAIT_SECONDS = 300
_KEPT_TAGS = (NIGHT_TAG, MISSED_TAG, "marketlake/session_status")
#: Errors of locks, network and machine, by the names of their classes. A lost file, a missing right and refused data stay.
_PASSING = frozenset(
    {
        *("LockHeldError", "LakeConflictError", "OperationalError", "BlockingIOError", "InterruptedError"),
        *("TimeoutError", "ConnectionError", "ConnectionRefusedError", "ConnectionResetError", "BrokenPipeError"),
        *("OSError", "MemoryError"),
    }
)


def nightly_retry_sensor(mic: str) -> dg.SensorDefinition:
    """Starts a night's run of the schedule again, up to three runs, where the last one died or met a fault that may pass."""
    job = nightly_job_name(mic)

    @dg.sensor(
        name=f"{mic}_nightly_retry",
        job_name=job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a nightly run again that died or met a fault of locks, network or machine; none that refused data.",
    )
    def nightly_retry(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return request_retry(context.instance, mic, time.time())

    return nightly_retry


def request_retry(instance: dg.DagsterInstance, mic: str, now: float) -> dg.RunRequest | dg.SkipReason:
    """Another run for the night whose run failed last, or why there is none. `now`: seconds since the epoch."""
    job = nightly_job_name(mic)
    newest = instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)
    if not newest or newest[0].dagster_run.status is not dg.DagsterRunStatus.FAILURE:
        return dg.SkipReason("the last run did not fail")
    record, run = newest[0], newest[0].dagster_run
    night = run.tags.get(NIGHT_TAG)
    if night is None:
        return dg.SkipReason(f"run {run.run_id[:8]} was started by hand")
    attempts = len(instance.get_run_records(dg.RunsFilter(job_name=job, tags={NIGHT_TAG: night}), limit=_ATTEMPTS))
    if attempts >= _ATTEMPTS:
        return dg.SkipReason(f"{night} failed {attempts} times")
    is_dead = died(instance, run)
    causes = set(failed_steps(instance, run.run_id))
    if not causes <= _PASSING:
        return dg.SkipReason(f"run {run.run_id[:8]} failed for a reason that does not pass: {', '.join(sorted(causes))}")
    wait = 0 if is_dead else _WAIT_SECONDS * attempts
    if now < (record.end_time or record.create_timestamp.timestamp()) + wait:
        return dg.SkipReason(f"run {run.run_id[:8]} is started again after {wait} seconds")
    return dg.RunRequest(
        run_key=f"{night}-{attempts + 1}",
        partition_key=run.tags["dagster/partition"],
        run_config=nightly_config(mic),
        tags={name: run.tags[name] for name in _KEPT_TAGS if name in run.tags},
    )
