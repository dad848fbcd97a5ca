"""Schedules: the nightly run of each exchange, after its close.

Lives here: when a nightly run starts and for which session.
Does not live here: what it runs (`jobs.py`).
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import dagster as dg

from pipelines.market.calendar import ExchangeCalendar, calendar
from pipelines.market.exchanges import exchange
from pipelines.orchestration.jobs import nightly_job_name
from pipelines.orchestration.night_record import NightRecord


def nightly_schedule(mic: str, calendars: Path | None = None, last_night: NightRecord | None = None) -> dg.ScheduleDefinition:
    """Every day at the exchange's hour and in its time zone; days without a session are skipped with their reason.

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
    def nightly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time
        found = request_nightly(calendar(mic, calendars), now)
        if last_night is None or isinstance(found, dg.SkipReason):
            return found
        session = date.fromisoformat(str(found.partition_key))
        known = last_night.unchanged(now, [session])
        return dg.SkipReason(f"{session} is built, and {known['new'].describe()}") if known else found

    return nightly


def request_nightly(days: ExchangeCalendar, now: datetime) -> dg.RunRequest | dg.SkipReason:
    """A run for the session that closed on `now`'s date, or why there is none. The calendar decides, never the last partition."""
    mic = days.exchange.mic
    local = now.astimezone(days.exchange.zone).date()
    session = days.get(local)
    if session is None:
        stated = f" ({days.origins[local]})" if local in days.origins else ""
        return dg.SkipReason(f"{local} ({local:%A}) is no session of {mic}{stated}")
    if session.closes_at > now:
        return dg.SkipReason(f"the session of {local} closes at {session.closes_at}, after this tick")
    day = session.session_date.isoformat()
    only_new = {"ops": {f"{mic}__models": {"config": {"rebuild_sessions": False}}}}
    known = {"marketlake/session_status": session.status}
    return dg.RunRequest(run_key=f"{mic}-nightly-{day}", partition_key=day, run_config=only_new, tags=known)
