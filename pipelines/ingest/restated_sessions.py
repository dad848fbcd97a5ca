"""What a newer calendar says of days that were counted before: sessions that have changed, and bars of days that were none.

Lives here: comparing the sessions of the last release with today's calendar, and finding bars that contradict it.
Does not live here: which sessions there are (`market/calendar.py`, `traded_sessions.py`), taking deliveries back (`withdrawal.py`).

Derived tables count sessions, so that a changed session before the newest bars means that an exchange is built anew. Bars of a day
that a calendar says was none are never dropped in silence: a person withdraws them or states the session.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.home_calendar import home_calendar
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release

_BARS = ("bars_daily", "bars_1m")
_SHOWN = 3


@dataclass(frozen=True)
class Contradiction:
    """A day with bars that the calendar says was no session. `origin`: what says so; `batches`: the deliveries of its bars."""

    exchange: str
    day: date
    origin: str
    rows: int
    batches: tuple[str, ...]

    def describe(self) -> str:
        """What contradicts what, in one line."""
        bars = f"{self.rows:,} bar{'' if self.rows == 1 else 's'}"
        return f"{bars} of {self.day}, which was no session of {self.exchange} ({self.origin})"

    def advice(self) -> str:
        """What a person can do about it, in one line."""
        commands = ", ".join(
            f"`marketlake withdraw {batch[:12]} --exchange {self.exchange} --reason …`" for batch in self.batches[:_SHOWN]
        )
        more = f" and {len(self.batches) - _SHOWN} more deliveries" if len(self.batches) > _SHOWN else ""
        own = self.origin.startswith("calendars/")
        state = f"take it out of {self.origin.split(': ')[0]}" if own else "state it with `marketlake calendar add session`"
        return f"{commands}{more}; or, if there was a session, {state}"


class BarsOnHolidaysError(RuntimeError):
    """The lake holds bars of days that the calendar says were no sessions. The message says which, and what to do."""


def released_sessions(lake: Lake, exchange: str, release: Release | None) -> pl.DataFrame:
    """The sessions that a release counted; no rows where there is none."""
    table = LakeTable(lake.table_uri(exchange, "sessions"), TABLES["sessions"])
    version = release.versions(exchange).get("sessions") if release else None
    return table.read(version, None if version is not None else [])


def are_restated(counted: pl.DataFrame, days: ExchangeCalendar, newest: date) -> bool:
    """Whether a session up to `newest` differs from the one `counted` in a release. What a session rests on is no difference."""
    now = days.frame().select(counted.columns).drop("status")
    upto = pl.col("session_date") <= newest
    return not now.filter(upto).equals(counted.drop("status").filter(upto).sort("session_date"))


def contradictions(lake: Lake, exchange: str, counted: Iterable[date] = ()) -> list[Contradiction]:
    """Days with bars that the calendar says were no sessions, of the home's own holidays and of sessions `counted` before."""
    days, home = lake.calendar(exchange), home_calendar(exchange, lake.calendars)
    stated = [entry.first for entry in home.entries if entry.what == "holiday"] if home else []
    suspects = sorted({*stated, *counted} - {s.session_date for s in days.sessions})
    if not suspects:
        return []
    parts = []
    for name in _BARS:
        table = LakeTable(lake.table_uri(exchange, name), TABLES[name])
        by_year = table.schema.partition_by == "session_year"
        partitions: list[PartitionValue] = sorted({day.year for day in suspects}) if by_year else list(suspects)
        parts.append(table.read(None, partitions, ["session_date", "batch_id"], pl.col("session_date").is_in(suspects)))
    found = pl.concat(parts).group_by("session_date").agg(pl.len(), pl.col("batch_id").unique().sort()).sort("session_date")
    return [
        Contradiction(exchange, day, days.origins.get(day, "exchange_calendars"), rows, tuple(batches))
        for day, rows, batches in found.iter_rows()
    ]


def require_no_contradiction(lake: Lake, exchange: str, counted: Iterable[date]) -> None:
    """BarsOnHolidaysError where `contradictions` finds any."""
    found = contradictions(lake, exchange, counted)
    if found:
        more = f" (and {len(found) - 1} days more)" if len(found) > 1 else ""
        raise BarsOnHolidaysError(f"the lake holds {found[0].describe()}{more}: {found[0].advice()}")
