"""Freshness: which sessions an exchange has bars of, and how many sessions it lies behind its calendar.

Lives here: `newest_session`, `sessions_with_bars`, `count_by_session`, `require_bars` and `measure_freshness`; frames and dates, no
clock of its own.
Does not live here: the asset check (`orchestration/checks/freshness.py`), what `marketlake doctor` says of it
(`doctor/exchanges.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import polars as pl

from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.market.session import PROVISIONAL
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: The tables whose bars make a session one that can be built.
BAR_TABLES = ("bars_daily", "bars_1m")
_NAMED = 5
_DAY = timedelta(days=1)


class NoBarsError(RuntimeError):
    """There is nothing to build: the exchange has no bars, or none of a session that was asked for."""


def newest_session(lake: Lake, exchange: str, versions: Mapping[str, int] | None = None) -> date | None:
    """The newest session with a daily or one-minute bar; None without any bar.

    `versions` (by table) is what to look at, a table it leaves out counts as absent; default: the lake's head. Of each table the
    newest partition is read, never its history.
    """
    found = [day for name in BAR_TABLES if (day := _newest(_table(lake, exchange, name), *_version(versions, name))) is not None]
    return max(found, default=None)


def sessions_with_bars(
    lake: Lake, exchange: str, sessions: Collection[date], versions: Mapping[str, int] | None = None
) -> set[date]:
    """Those of the sessions that have a daily or one-minute bar (`versions` as of `newest_session`)."""
    found: set[date] = set()
    for name in BAR_TABLES:
        version, is_there = _version(versions, name)
        if is_there:
            found |= sessions_with_rows(_table(lake, exchange, name), sessions, version)
    return found


def sessions_with_rows(table: LakeTable, sessions: Collection[date], version: int | None = None) -> set[date]:
    """Those of the sessions of which the table (partitioned by session or by year) has a row."""
    return set(count_by_session(table, sessions, version))


def count_by_session(
    table: LakeTable, sessions: Collection[date], version: int | None = None, column: str | None = None
) -> dict[date, int]:
    """Rows of the table in each of the sessions of which it has any. `column`: the date of a row; default: its session.

    A table partitioned by year is read in the years of the sessions, that column only; one without partitions whole.
    """
    if not sessions:
        return {}
    by = table.schema.partition_by
    partitions = None if by is None else table.partition_rows(version)
    if partitions is not None and by == "session_date":
        return {day: partitions[day] for day in sessions if day in partitions}
    name = column or ("session_date" if "session_date" in table.schema.names else "date")
    years = None if partitions is None else sorted({day.year for day in sessions} & partitions.keys())
    counts = dict(table.read(version, years, [name], verify=False).get_column(name).value_counts().iter_rows())
    return {day: counts[day] for day in sessions if day in counts}


def require_bars(lake: Lake, exchange: str, sessions: Iterable[date] = ()) -> None:
    """Raise NoBarsError unless the exchange has bars, of each of these sessions. The message names the command to run next."""
    newest = newest_session(lake, exchange)
    if newest is None:
        raise NoBarsError(f"{exchange} has no bars, so nothing was built and nothing released: {_next(exchange)}")
    asked = sorted(set(sessions))
    missing = sorted(set(asked) - sessions_with_bars(lake, exchange, asked))
    if missing:
        raise NoBarsError(
            f"{exchange} has no bars of {_dates(missing)} (its newest session is {newest}), so nothing was built and nothing "
            f"released: {_next(exchange)}"
        )


@dataclass(frozen=True)
class Freshness:
    """How an exchange stands with its calendar.

    newest: its newest session with bars. expected: the last session that has closed. behind: sessions from the one to the other.
    provisional: how many of these are weekdays beyond the known calendar.
    missing: sessions asked for that have no bars. in_use: whether it was ever delivered as sessions closed; a lake of history
    that nobody continues is not stale. limit: sessions behind from which it is.
    """

    exchange: str
    newest: date | None
    expected: date
    behind: int
    missing: tuple[date, ...]
    in_use: bool
    limit: int
    provisional: int = 0

    @property
    def state(self) -> Literal["fresh", "old", "stale"]:
        """`stale`: needs action. `old`: history that nobody continues. `fresh`: everything else."""
        if self.newest is None or self.missing or (self.in_use and self.behind >= self.limit):
            return "stale"
        return "old" if self.behind >= self.limit else "fresh"

    def describe(self) -> str:
        """One line for people."""
        if self.newest is None:
            return f"{self.exchange} has no bars"
        parts = [f"newest session with bars: {self.newest}"]
        if self.behind:
            parts.append(f"{self.behind} {'session' if self.behind == 1 else 'sessions'} behind {self.expected}")
        if self.missing:
            parts.append(f"no bars of {_dates(self.missing)}")
        if self.state == "old":
            parts.append("history: no delivery ever came as its sessions closed")
        return ", ".join(parts)

    def advice(self) -> str:
        """What to run next; empty while nothing is behind."""
        return _next(self.exchange) if self.newest is None or self.missing or self.behind else ""


def measure_freshness(
    lake: Lake,
    exchange: str,
    now: datetime,
    limit: int,
    sessions: Iterable[date] = (),
    versions: Mapping[str, int] | None = None,
) -> Freshness:
    """Freshness of an exchange at `now` (aware); `limit` as in `Freshness`, `sessions` are those that must have bars.

    Holidays count as the calendar has them: what lies behind is counted in sessions. `versions` as of `newest_session`.
    """
    newest = newest_session(lake, exchange, versions)
    days = traded_calendar(lake, exchange, versions)
    expected = days.latest_closed(now).session_date
    after = days.between(newest + _DAY, expected) if newest else []
    provisional = sum(session.status == PROVISIONAL for session in after)
    asked = sorted(set(sessions))
    missing = sorted(set(asked) - sessions_with_bars(lake, exchange, asked, versions))
    in_use = _in_use(lake, exchange, limit)
    return Freshness(exchange, newest, expected, len(after), tuple(missing), in_use, limit, provisional)


def _in_use(lake: Lake, exchange: str, limit: int) -> bool:
    """Whether any delivery came while the newest session in it was under way, or fewer than `limit` sessions later."""
    schema = TABLES["raw_files"]
    files = LakeTable(lake.table_uri(exchange, schema.name), schema).read(columns=["last_session", "received_at", "status"])
    files = files.filter((pl.col("status") == "accepted") & pl.col("last_session").is_not_null())
    sessions = lake.calendar(exchange).frame()
    closed = sessions["closes_at"].search_sorted(files["received_at"], side="right")
    began = sessions["session_date"].search_sorted(files["last_session"], side="right")
    # Casts: a search gives unsigned numbers, of which the difference is to be negative for a date that lies ahead.
    after = closed.cast(pl.Int64) - began.cast(pl.Int64)
    return bool(after.is_between(-1, limit - 1).any())


def _newest(table: LakeTable, version: int | None, is_there: bool) -> date | None:
    for value in reversed(table.partition_values(version) if is_there else []):
        if isinstance(value, date):
            return value
        newest = table.read(version, [value], ["session_date"]).get_column("session_date").max()
        if isinstance(newest, date):
            return newest
    return None


def _version(versions: Mapping[str, int] | None, name: str) -> tuple[int | None, bool]:
    """Version of a table to look at (None: its head), and whether it is there at all."""
    return (None, True) if versions is None else (versions.get(name), name in versions)


def _table(lake: Lake, exchange: str, name: str) -> LakeTable:
    return LakeTable(lake.table_uri(exchange, name), TABLES[name])


def _dates(days: Collection[date]) -> str:
    shown = ", ".join(str(day) for day in sorted(days)[:_NAMED])
    return shown + (f" and {len(days) - _NAMED} more sessions" if len(days) > _NAMED else "")


def _next(exchange: str) -> str:
    return f"run `marketlake ingest PATH --source NAME --exchange {exchange}`, then `marketlake nightly --exchange {exchange}`"
