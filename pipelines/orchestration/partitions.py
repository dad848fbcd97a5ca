"""Partitions: one per trading session of an exchange.

Lives here: the partition definition of each exchange, and which sessions a run is about.
Does not live here: calendars (`market/calendar.py`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from pipelines.market.calendar import ExchangeCalendar, calendar
from pipelines.orchestration.compat.partitions import quicken_partitions

quicken_partitions()


def session_partitions(mic: str, calendars: Path | None = None) -> dg.DailyPartitionsDefinition:
    """Daily partitions in the exchange's time zone, without the days on which it is closed; provisional sessions are partitions.

    `end_offset=1` makes today's session a partition before midnight, when the nightly run wants it. On a closed day Dagster counts
    the next session in its place: docs/decisions/0041. calendars: the home's folder of calendars; None: those that ship.
    """
    return _partitions(calendar(mic, calendars))


@lru_cache(maxsize=16)
def _partitions(days: ExchangeCalendar) -> dg.DailyPartitionsDefinition:
    first, last = days.exchange.calendar_start, days.last_day
    open_days = {s.session_date for s in days.sessions}
    start = min(open_days)
    closed = [
        datetime.combine(start + timedelta(days=n), time(), tzinfo=days.exchange.zone)
        for n in range((last - start).days + 1)
        if start + timedelta(days=n) not in open_days
    ]
    return dg.DailyPartitionsDefinition(
        start_date=max(start, first).isoformat(), timezone=days.exchange.timezone, end_offset=1, exclusions=closed
    )


def partition_sessions(mic: str, calendars: Path | None = None, now: datetime | None = None) -> frozenset[date]:
    """Sessions that are partitions: those up to today there. Asking Dagster for one key at a time costs milliseconds each.

    The next session, which Dagster counts in on a closed day, is none of them: nothing can be recorded of it yet.
    """
    days = calendar(mic, calendars)
    moment = now or datetime.now(UTC)
    return _sessions_until(session_partitions(mic, calendars), moment.astimezone(days.exchange.zone).date())


@lru_cache(maxsize=16)
def _sessions_until(partitions: dg.DailyPartitionsDefinition, today: date) -> frozenset[date]:
    noon = datetime.combine(today, time(12), tzinfo=ZoneInfo(partitions.timezone))
    return frozenset(day for key in partitions.get_partition_keys(noon) if (day := date.fromisoformat(key)) <= today)


def run_sessions(context: dg.AssetExecutionContext) -> list[date]:
    """Sessions of the partitions that the run was launched for; empty for a run without partitions."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return []
    return [date.fromisoformat(key) for key in context.partition_keys]
