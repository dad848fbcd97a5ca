"""Alerts of what Dagster's runs and the calendar show: a run failed, an exchange is stale; and that it is over.

Lives here: the sensors, and the same for homes whose nightly runs cron starts (`tell_state`).
Does not live here: what is sent when (`alerts/journal.py`) and where to (`alerts/targets.py`).

Nothing here fails a run: what cannot be sent is a line in the sensor's log, with nothing of an address in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.alerts.journal import Alert, Journal
from pipelines.alerts.targets import targets_of
from pipelines.ingest.freshness import measure_freshness, newest_session
from pipelines.orchestration.failures import failed_jobs, job_names, reason_of
from pipelines.settings import Settings
from pipelines.storage.delta import UNREADABLE
from pipelines.storage.location import Lake
from pipelines.storage.releases import latest_release

#: Between two looks of a sensor at runs, and at the calendar.
_RUNS_SECONDS, _FRESHNESS_SECONDS = 30, 600


def journal_of(settings: Settings) -> Journal:
    """The journal of a home's alerts."""
    hours = timedelta(hours=settings.alert_repeat_hours)
    return Journal(settings.state_dir / "alerts.json", targets_of(settings.alert_urls), hours, settings.alert_most_per_hour)


def alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The sensors that send alerts; none where no address is set."""
    if settings.alert_urls is None:
        return []
    running = dg.DefaultSensorStatus.RUNNING

    @dg.run_failure_sensor(
        name="alert_failed_runs",
        minimum_interval_seconds=_RUNS_SECONDS,
        default_status=running,
        description="Sends the reason of each failed run to the addresses of MARKETLAKE_ALERT_URLS.",
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> None:
        run, journal = context.dagster_run, journal_of(settings)
        reason = reason_of(context.instance, run.run_id)
        _log(context, journal.report(_alert_of_run(settings, run.job_name, run.run_id, reason, run.tags)))
        (record,) = context.instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]), limit=1)
        later = dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS], created_after=record.create_timestamp)
        # The sensor of runs that succeed may have looked before.
        for good in context.instance.get_run_records(later, limit=1):
            _log(context, journal.recover(run.job_name, _succeeded(good.dagster_run)))

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="alert_recovered_runs",
        minimum_interval_seconds=_RUNS_SECONDS,
        default_status=running,
        description="Tells once that a job whose failure was told has succeeded.",
    )
    def recovered_runs(context: dg.RunStatusSensorContext) -> None:
        run = context.dagster_run
        _log(context, journal_of(settings).recover(run.job_name, _succeeded(run)))

    @dg.sensor(
        name="alert_stale_exchanges",
        minimum_interval_seconds=_FRESHNESS_SECONDS,
        default_status=running,
        description="Tells once that an exchange in use lies behind its calendar, and that it no longer does.",
    )
    def stale_exchanges(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        failed = dict(_tell_freshness(settings, journal_of(settings), datetime.now(UTC)))
        _log(context, failed)
        return dg.SkipReason("; ".join(failed) or "what is stale was told")

    return [failed_runs, recovered_runs, stale_exchanges]


def tell_state(settings: Settings, now: datetime) -> dict[str, str]:
    """Tell of jobs whose last runs failed and of stale exchanges, as far as that was not told, and of what is over.

    `now` (aware) stands for the clock. Returns why targets failed, by name.
    """
    journal, failed = journal_of(settings), {job.name: job for job in failed_jobs(settings)}
    found = dict(_tell_freshness(settings, journal, now))
    for mic in settings.exchanges:
        for name in job_names(mic):
            if job := failed.get(name):
                tags = {"marketlake/exchange": mic}
                found.update(journal.report(_alert_of_run(settings, name, job.run_id, job.reason, tags)))
            else:
                found.update(journal.recover(name, f"the last run of {name} succeeded"))
    return found


def _tell_freshness(settings: Settings, journal: Journal, now: datetime) -> Iterator[tuple[str, str]]:
    lake = Lake.from_settings(settings)
    for mic in settings.exchanges:
        about = f"freshness {mic}"
        try:
            alert, state = _freshness(settings, lake, mic, now)
        except UNREADABLE as error:
            alert, state = Alert(about, f"{mic} cannot be read", " ".join(str(error).split())), ""
        yield from (journal.report(alert) if alert else journal.recover(about, state)).items()


def _freshness(settings: Settings, lake: Lake, mic: str, now: datetime) -> tuple[Alert | None, str]:
    """What is wrong with an exchange's sessions, as `marketlake doctor` judges it; and how far they reach."""
    delivered, last = newest_session(lake, mic), latest_release(lake)
    if delivered is None:
        return None, "no bars"
    versions = last.versions(mic) if last else {}
    released = measure_freshness(lake, mic, now, settings.stale_after_sessions, versions=versions)
    if released.newest is not None and released.state != "stale":
        return None, f"released up to {released.newest}"
    if released.newest is None or released.newest < delivered:
        advice = f"delivered up to {delivered}: run `marketlake nightly --exchange {mic}`"
    else:
        advice = released.advice()
    reason = f"{mic} is released up to {released.newest}" if released.newest else f"nothing of {mic} is released"
    # How far behind it is grows every day: one fault all the same.
    behind = f"{released.behind} sessions behind {released.expected}"
    return Alert(f"freshness {mic}", f"{mic} is stale", reason, (behind, advice)), ""


def _alert_of_run(settings: Settings, job: str, run_id: str, reason: str, tags: Mapping[str, str]) -> Alert:
    first, last = (tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    session = tags.get("dagster/partition") or (f"{first} to {last}" if first else None)
    details = [f"exchange: {mic}"] if (mic := tags.get("marketlake/exchange")) else []
    details += [f"session: {session}"] if session else []
    details.append(f"run: {settings.ui_url.rstrip('/')}/runs/{run_id}" if settings.ui_url else f"run: {run_id}")
    return Alert(job, f"{job} failed", reason, tuple(details))


def _succeeded(run: dg.DagsterRun) -> str:
    return f"run {run.run_id[:8]} of {run.job_name} succeeded"


def _log(context: dg.SensorEvaluationContext | dg.RunStatusSensorContext, failed: Mapping[str, str]) -> None:
    for name, reason in failed.items():
        context.log.warning("the alert could not be sent to %s: %s", name, reason)
