"""The Dagster instance of a marketlake home.

Lives here: opening the instance, and clearing up after runs whose process is gone.
Does not live here: `dagster.yaml` (`home_config.py`), definitions (`definitions.py`).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import dagster as dg

from pipelines.orchestration.compat.run_origin import name_origin
from pipelines.orchestration.home_config import named_by_config, prepare_home
from pipelines.process_environment import set_environment
from pipelines.settings import Settings

#: Tags that say which process executes a run, so that a run whose process was killed can be distinguished from one at work. The
#: UI hides tags with this prefix: they are for the machine.
PID_TAG = ".dagster/marketlake_pid"
STARTED_TAG = ".dagster/marketlake_pid_started"

#: A run names its process within seconds of its start; one that has not by then died before it could.
_UNIDENTIFIED_SECONDS = 300.0

#: Statuses of runs that are waiting or at work.
UNFINISHED = frozenset(
    {
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    }
)


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance of a home; runs that died without a word are marked as failed first."""
    # Not by DAGSTER_HOME: this process may work on several homes.
    folder = prepare_home(settings)
    # `dagster.yaml` leaves the address of a database to the environment.
    with set_environment(named_by_config(settings)):
        instance = dg.DagsterInstance.from_config(str(folder))
    fail_dead_runs(instance)
    return instance


def identify_run(context: dg.InitResourceContext) -> None:
    """Record on a run its code location, and the process that executes it, so that it is found when that process is gone."""
    if context.run is not None and context.instance is not None:
        name_origin(context.instance, context.run.run_id)
    if context.run is not None and context.instance is not None and PID_TAG not in context.run.tags:
        context.instance.add_run_tags(context.run.run_id, process_tags())


def process_tags() -> dict[str, str]:
    """Tags that name this process."""
    return {PID_TAG: str(os.getpid()), STARTED_TAG: _started(os.getpid()) or ""}


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process no longer exists, and free what they held. Returns their ids."""
    status = dg.DagsterRunStatus
    # NOT_STARTED: a run that was recorded and whose process died before the first step.
    unfinished = [status.NOT_STARTED, status.STARTING, status.STARTED, status.CANCELING]
    dead = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=unfinished)):
        run = record.dagster_run
        pid, started = run.tags.get(PID_TAG), run.tags.get(STARTED_TAG)
        if pid and _started(int(pid)) == started:
            continue
        if not pid and time.time() - (record.start_time or record.create_timestamp.timestamp()) < _UNIDENTIFIED_SECONDS:
            continue
        process = f"process {pid}" if pid else "its process, which never named itself,"
        instance.report_run_failed(run, message=f"{process} is gone: it was killed or the machine stopped")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        dead.append(run.run_id)
    return dead


def _started(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot, which tells it from a later one with the same id; None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else fields[19]
