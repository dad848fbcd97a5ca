"""Which code location a run of the command line belongs to, so that the UI shows it on its job and on the timeline.

Lives here: naming the origin of a run that no code location launched. It needs Dagster's own classes of an origin, for which there
is no public call; `dagster run migrate-repository` stores them by the same method. A test holds them to what the UI reads.
Does not live here: the location itself (`workspace.yaml`), executing runs (`orchestration/runs.py`).
"""

from __future__ import annotations

import dagster as dg
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

#: As `workspace.yaml` names it; every way of starting Dagster uses that file.
LOCATION = "marketlake"
_REPOSITORY = "__repository__"
#: What the page of a job asks for its runs.
REPOSITORY_TAG = ".dagster/repository"


def origin_tags() -> dict[str, str]:
    """Tags that a run needs from its start on to be found among the runs of its job."""
    return {REPOSITORY_TAG: f"{_REPOSITORY}@{LOCATION}"}


def name_origin(instance: dg.DagsterInstance, run_id: str) -> None:
    """Let a run that the command line started belong to the project's code location; others keep their own."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.remote_job_origin is not None or run.job_name.startswith("__"):
        return
    target = LoadableTargetOrigin(module_name="pipelines.definitions", attribute="defs")
    repository = RemoteRepositoryOrigin(ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION), _REPOSITORY)
    instance.run_storage.replace_job_origin(run, repository.get_job_origin(run.job_name))
