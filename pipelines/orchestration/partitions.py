"""Partitions: one per trading session of an exchange.

Lives here: the partition definition of each exchange, and which sessions a run is about.
Does not live here: calendars (`market/calendar.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache

import dagster as dg
from dagster._core.instance import DynamicPartitionsStore

from pipelines.market.calendar import ExchangeCalendar, calendar


class SessionPartitions(dg.DailyPartitionsDefinition):
    """Daily partitions with a cheap hash, whose keys are counted once a day.

    Dagster hashes a definition by its whole text, thousands of closed days included, for every question it asks: about 10 ms each.
    Walking from the first session to the last takes it half a second, and a run asks several times.
    """

    def __hash__(self) -> int:
        """Hash of what tells one exchange's partitions from another's."""
        return hash((self.timezone, self.start_timestamp, len(self.exclusions or ())))

    def get_partition_keys(
        self, current_time: datetime | None = None, dynamic_partitions_store: DynamicPartitionsStore | None = None
    ) -> Sequence[str]:
        """Keys up to today's session, or up to that of `current_time`."""
        with dg.partition_loading_context(current_time, dynamic_partitions_store):
            last = self.get_last_partition_key()
            if last not in _keys_until.setdefault(self, {}):
                _keys_until[self][last] = super().get_partition_keys()
            return list(_keys_until[self][last])


_keys_until: dict[SessionPartitions, dict[str | None, Sequence[str]]] = {}


def session_partitions(mic: str) -> SessionPartitions:
    """Daily partitions in the exchange's time zone, without the days on which it is closed; provisional sessions are partitions.

    `end_offset=1` makes today's session a partition before midnight, when the nightly run wants it.
    """
    return _partitions(calendar(mic))


@lru_cache(maxsize=16)
def _partitions(days: ExchangeCalendar) -> SessionPartitions:
    first, last = days.exchange.calendar_start, days.last_day
    open_days = {s.session_date for s in days.sessions}
    start = min(open_days)
    closed = [
        datetime.combine(start + timedelta(days=n), time(), tzinfo=days.exchange.zone)
        for n in range((last - start).days + 1)
        if start + timedelta(days=n) not in open_days
    ]
    return SessionPartitions(
        start_date=max(start, first).isoformat(), timezone=days.exchange.timezone, end_offset=1, exclusions=closed
    )


def partition_sessions(mic: str) -> frozenset[date]:
    """Sessions that are partitions: those up to today. Asking Dagster for one key at a time costs milliseconds each."""
    return _partition_sessions(session_partitions(mic))


@cache
def _partition_sessions(partitions: SessionPartitions) -> frozenset[date]:
    return frozenset(date.fromisoformat(key) for key in partitions.get_partition_keys())


def run_sessions(context: dg.AssetExecutionContext) -> list[date]:
    """Sessions of the partitions that the run was launched for; empty for a run without partitions."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return []
    return [date.fromisoformat(key) for key in context.partition_keys]
