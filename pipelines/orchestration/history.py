"""Dagster's history of a home: which runs are old, and deleting them.

Lives here: `prune_history`, for the weekly maintenance and `marketlake maintain`.
Does not live here: the events of a run (`compat/history_pruning.py`), other files of a home (`maintenance/cleanup.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg

from pipelines.maintenance.cleanup import Share
from pipelines.orchestration.compat.history_pruning import EventPruning, UnknownHistoryError

#: Age at which a run that is over goes.
_RUNS_KEPT = timedelta(days=90)
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def prune_history(instance: dg.DagsterInstance, now: datetime, *, dry_run: bool) -> tuple[list[Share], list[Share]]:
    """Delete runs that began more than 90 days before `now` (aware), with their events and logs; returns what goes and what stays.

    Kept are the last materialisation of each asset and session, the last result of each check, and of each job the last run and
    the last that succeeded, by which `doctor` judges it.
    """
    try:
        events = EventPruning(instance)
    except UnknownHistoryError as error:
        return [], [Share("Dagster's runs", instance.get_runs_count(), 0, str(error))]
    old = list(_old_runs(instance, now - _RUNS_KEPT))
    pruned = events.prune(old, dry_run=dry_run)
    if not dry_run:
        for run_id in old:
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            # Last: what a killed clean-up left is found by the run.
            instance.run_storage.delete_run(run_id)
    count = instance.get_runs_count()
    freed = [
        Share("Dagster's runs", len(old), pruned.size_bytes, "older than 90 days"),
        Share("events of these runs", pruned.events, 0, "no session's last materialisation, no check's last result"),
    ]
    return freed, [Share("Dagster's runs", count - len(old) if dry_run else count, 0, "younger than 90 days, or a job's last")]


def _old_runs(instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    kept: set[str] = set()
    for record in instance.get_run_records(dg.RunsFilter(statuses=_ENDED, created_before=before), ascending=False):
        run = record.dagster_run
        if run.job_name not in kept:
            # The newest run of a job, and the newest good one, whether young or old.
            kept |= {run.job_name, *_last_of(instance, run.job_name)}
        if run.run_id not in kept:
            yield run.run_id


def _last_of(instance: dg.DagsterInstance, job: str) -> Iterator[str]:
    for statuses in (_ENDED, [dg.DagsterRunStatus.SUCCESS]):
        for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=statuses), limit=1):
            yield record.dagster_run.run_id
