"""Partitions: one per trading session of an exchange.

Lives here: the partition definition of each exchange, and which sessions a run is about.
Does not live here: calendars (`market/calendar.py`).
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache

import dagster as dg

from pipelines.market.calendar import ExchangeCalendar, calendar
from pipelines.orchestration.compat import quicken_partitions

quicken_partitions()


def session_partitions(mic: str) -> dg.DailyPartitionsDefinition:
    """Daily partitions in the exchange's time zone, without the days on which it is closed; provisional sessions are partitions.

    `end_offset=1` makes today's session a partition before midnight, when the nightly run wants it.
    """
    return _partitions(calendar(mic))


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


def partition_sessions(mic: str) -> frozenset[date]:
    """Sessions that are partitions: those up to today. Asking Dagster for one key at a time costs milliseconds each."""
    return _partition_sessions(session_partitions(mic))


@cache
def _partition_sessions(partitions: dg.DailyPartitionsDefinition) -> frozenset[date]:
    return frozenset(date.fromisoformat(key) for key in partitions.get_partition_keys())


def run_sessions(context: dg.AssetExecutionContext) -> list[date]:
    """Sessions of the partitions that the run was launched for; empty for a run without partitions."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return []
    return [date.fromisoformat(key) for key in context.partition_keys]
