"""The check of runs: did the last one of each job succeed?

Lives here: judging what the home's Dagster instance has on record.
Does not live here: reading it (`orchestration/failures.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pipelines.doctor.model import Finding, Severity
from pipelines.ingest.freshness import newest_session
from pipelines.orchestration.home_config import POSTGRES_URL, HistoryUnavailableError
from pipelines.settings import Settings
from pipelines.storage.location import Lake


def check_runs(settings: Settings, lake: Lake, mics: Collection[str]) -> Iterator[Finding]:
    """One finding for each job of these exchanges whose last runs failed with none that succeeded since; one that all is well
    otherwise.

    Failing runs of an exchange that never had a bar warn: where it is configured by default alone, nobody waits for it.
    """
    # Without a record there is nothing to ask; importing Dagster takes longer than all other checks together.
    if not (settings.dagster_home / "dagster.yaml").is_file():
        yield Finding("runs", "ok", "none is on record")
        return
    from pipelines.orchestration.failures import failed_jobs

    try:
        failed = [job for job in failed_jobs(settings) if job.exchange in mics]
    except HistoryUnavailableError as error:
        on_server = settings.dagster_postgres_url is not None
        advice = f"start the server, or put {POSTGRES_URL} right" if on_server else "move the folder away, as it says"
        yield Finding("runs", "error", str(error), advice)
        return
    for job in failed:
        times = "run" if job.count == 1 else f"{job.count} runs"
        since = f"since the last good one, {job.last_success:%Y-%m-%d %H:%M} UTC" if job.last_success else "and none succeeded"
        message = f"{job.name}: {times} failed {since}; last {job.run_id[:8]} of {job.failed_at:%Y-%m-%d %H:%M} UTC: {job.reason}"
        severity: Severity = "error" if newest_session(lake, job.exchange) else "warning"
        yield Finding("runs", severity, message, "put right what it says and run it again; `marketlake ui` shows the run")
    if not failed:
        yield Finding("runs", "ok", "the last run of every job succeeded")
