"""Schedules: the nightly run of each exchange, after its close.

Lives here: when a nightly run starts and for which session, sessions that were missed while the daemon was down among them.
Does not live here: what it runs (`jobs.py`), a night's second and third run (`retries.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.ingest.freshness import sessions_with_bars
from pipelines.market.calendar import ExchangeCalendar, calendar
from pipelines.market.exchanges import exchange
from pipelines.orchestration.jobs import nightly_job_name
from pipelines.orchestration.night_record import NightRecord
from pipelines.storage.location import Lake

#: Tags of a run of the schedule: its night, which its retries share, the tick that asked for it, and which sessions were missed.
NIGHT_TAG, TICK_TAG, MISSED_TAG = "marketlake/night", "marketlake/tick", "marketlake/missed"
#: Runs that tell how far the last night came; and how many sessions later the home counts as one that was put aside, not missed.
_RUNS_LOOKED_AT, _MOST_MISSED = 50, 30
_DAY = timedelta(days=1)


def nightly_schedule(mic: str, calendars: Path | None = None, last_night: NightRecord | None = None) -> dg.ScheduleDefinition:
    """Every day at the exchange's hour and in its time zone; days without a session are skipped with their reason.

    What was missed while the daemon was down is made up for by the first tick after it, on a closed day too.

    calendars: the home's folder of calendars; None: those that ship. last_night: of this exchange; where it shows that the session
    is built and nothing came since, that is a reason too.
    """
    venue = exchange(mic)

    @dg.schedule(
        name=f"{mic}_nightly_schedule",
        job_name=nightly_job_name(mic),
        cron_schedule=f"{venue.nightly_at.minute} {venue.nightly_at.hour} * * *",
        execution_timezone=venue.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Nightly run of {mic} at {venue.nightly_at:%H:%M} {venue.timezone}, for the session that closed last.",
    )
    def nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason | list[dg.RunRequest]:
        now, days = context.scheduled_execution_time, calendar(mic, calendars)
        missed = missed_sessions(context.instance, days, now)
        due = request_nightly(days, now, missed)
        if last_night is None or isinstance(due, dg.SkipReason):
            return due
        session = date.fromisoformat(str(due.partition_key))
        if known := last_night.unchanged(now, [session]):
            return dg.SkipReason(f"{session} is built, and {known['new'].describe()}")
        earlier = [day for day in missed if day < session]
        with_bars = sessions_with_bars(Lake.from_settings(last_night.settings), mic, missed) if earlier else {session}
        if session in with_bars or not with_bars:
            return due
        # Its own run fails for want of bars; what is there goes first.
        return [_request(days, max(with_bars), now, missed), due]

    return nightly


def request_nightly(days: ExchangeCalendar, now: datetime, missed: Sequence[date] = ()) -> dg.RunRequest | dg.SkipReason:
    """A run for the session that closed on `now`'s date, or why there is none. The calendar decides, never the last partition.

    missed: sessions that no run was for (`missed_sessions`); the last of them has its run on a day without a session of its own.
    """
    mic = days.exchange.mic
    local = now.astimezone(days.exchange.zone).date()
    session = days.get(local)
    if session is not None and session.closes_at <= now:
        return _request(days, local, now, missed)
    if missed:
        return _request(days, missed[-1], now, missed)
    if session is None:
        stated = f" ({days.origins[local]})" if local in days.origins else ""
        return dg.SkipReason(f"{local} ({local:%A}) is no session of {mic}{stated}")
    return dg.SkipReason(f"the session of {local} closes at {session.closes_at}, after this tick")


def missed_sessions(instance: dg.DagsterInstance, days: ExchangeCalendar, now: datetime) -> list[date]:
    """Sessions that closed by `now` and after those of every nightly run on record; none where there is no run, or no recent one.

    Dagster evaluates the last tick of a downtime alone. A run of this tick itself does not count: where the daemon was killed while
    it answered, the same tick comes again and has to get the same answer.
    """
    records = instance.get_run_records(dg.RunsFilter(job_name=nightly_job_name(days.exchange.mic)), limit=_RUNS_LOOKED_AT)
    earlier = [tags for record in records if (tags := record.dagster_run.tags).get(TICK_TAG) != now.isoformat()]
    ends = [tags.get("dagster/partition") or tags.get("dagster/asset_partition_range_end") for tags in earlier]
    newest = max((date.fromisoformat(end) for end in ends if end), default=None)
    if newest is None:
        return []
    missed = [session.session_date for session in days.between(newest + _DAY, days.latest_closed(now).session_date)]
    return missed if len(missed) <= _MOST_MISSED else []


def nightly_config(mic: str) -> dict[str, Any]:
    """Of a run that builds only what is new, whatever its partition."""
    return {"ops": {f"{mic}__models": {"config": {"rebuild_sessions": False}}}}


def _request(days: ExchangeCalendar, session: date, now: datetime, missed: Sequence[date]) -> dg.RunRequest:
    """A run for a session; it builds everything that is new, in order: what was missed before it too."""
    night = f"{days.exchange.mic}-nightly-{session}"
    found = days.get(session)
    tags = {NIGHT_TAG: night, TICK_TAG: now.isoformat()}
    if found is not None:
        tags["marketlake/session_status"] = found.status
    if len(until := [day for day in missed if day <= session]) > 1:
        tags[MISSED_TAG] = f"{until[0]} to {until[-1]}"
    return dg.RunRequest(run_key=night, partition_key=session.isoformat(), run_config=nightly_config(days.exchange.mic), tags=tags)
