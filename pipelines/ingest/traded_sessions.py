"""On which provisional sessions something traded, as the lake shows.

Lives here: `traded_calendar`, an exchange's calendar without the provisional sessions on which nothing traded, and which of them
still wait for their file, and naming them in what a delivery brings.
Does not live here: which weekdays are provisional sessions (`market/calendar_days.py`), days that a calendar has taken back
(`restated_sessions.py`).

What counts is the lake alone, never the clock: a provisional session before the newest bars without a bar of its own was none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.tables import TABLES
from pipelines.sources.registry import load_sources
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class TradedDays:
    """Days with bars beyond the known calendar. `confirmed`: those of which a whole-market file is in the lake."""

    traded: frozenset[date] = frozenset()
    confirmed: frozenset[date] = frozenset()


def traded_calendar(lake: Lake, exchange: str, versions: Mapping[str, int] | None = None) -> ExchangeCalendar:
    """The exchange's calendar without provisional sessions that were none, and with the status of the others.

    versions: pinned versions of the tables of bars, an absent one counts as empty; default: the newest.
    """
    days = lake.calendar(exchange)
    found = traded_days(lake, days, versions)
    return days.without(untraded(days, found.traded), found.confirmed)


def untraded(days: ExchangeCalendar, traded: Collection[date]) -> frozenset[date]:
    """Provisional sessions before the newest day with bars that have none themselves."""
    if not traded:
        return frozenset()
    provisional = days.provisional(days.known_until + _DAY, max(traded) - _DAY)
    return frozenset(s.session_date for s in provisional) - frozenset(traded)


def traded_days(lake: Lake, days: ExchangeCalendar, versions: Mapping[str, int] | None = None) -> TradedDays:
    """Days after the known calendar's end of which the lake holds bars. versions: as of `traded_calendar`."""
    first = days.known_until + _DAY
    later = [s.session_date for s in days.between(first, days.last_day)]
    partitions: dict[str, list[PartitionValue]] = {
        "bars_daily": list(range(first.year, days.last_day.year + 1)),
        "bars_1m": list(later),
    }
    found = {}
    for name, values in partitions.items():
        table = LakeTable(lake.table_uri(days.exchange.mic, name), TABLES[name])
        version = versions.get(name) if versions is not None else table.version()
        asked = values if version is not None else []
        beyond = pl.col("session_date") > days.known_until
        found[name] = table.read(version, asked, ["session_date", "source"], beyond).unique()
    whole_market = [name for name, source in load_sources().items() if source.whole_market]
    confirmed = found["bars_daily"].filter(pl.col("source").is_in(whole_market))["session_date"]
    return TradedDays(frozenset(pl.concat(found.values())["session_date"]), frozenset(confirmed))


@dataclass(frozen=True)
class ProvisionalDays:
    """Provisional sessions up to a day by what the lake shows of them.

    confirmed: a whole-market file is in; with_bars: bars of other sources only; awaited: no bars, and the file may still come;
    taken_for_holidays: no bars, though later days have some; overdue: no bars, nor has any later day. The last may be holidays too,
    but a feed that has stopped looks the same, so that they stay sessions.
    """

    confirmed: list[date]
    with_bars: list[date]
    awaited: list[date]
    taken_for_holidays: list[date]
    overdue: list[date]


def provisional_days(lake: Lake, exchange: str, until: date, delay: timedelta) -> ProvisionalDays:
    """The provisional sessions up to `until`. delay: how long after its day a file is waited for."""
    days = lake.calendar(exchange)
    found = traded_days(lake, days)
    none = untraded(days, found.traded)
    asked = [s.session_date for s in days.provisional(days.known_until + _DAY, min(until, days.last_day))]
    silent = [day for day in asked if day not in found.traded]
    late = [day for day in silent if until - day > delay]
    return ProvisionalDays(
        confirmed=[day for day in asked if day in found.confirmed],
        with_bars=[day for day in asked if day in found.traded - found.confirmed],
        awaited=[day for day in silent if until - day <= delay],
        taken_for_holidays=[day for day in late if day in none],
        overdue=[day for day in late if day not in none],
    )


def provisional_notes(days: ExchangeCalendar, parsed: Mapping[str, pl.DataFrame], minutes: pl.DataFrame) -> dict[str, str]:
    """By batch: which of its days are provisional sessions. parsed: rows by table, with batch_id. minutes: batch_id and day."""
    daily = [parsed[table].select("batch_id", day="session_date").unique() for table in ("bars_daily", "bars_other_series")]
    rows = pl.concat([*daily, minutes.select("batch_id", "day").unique()])
    later = rows.filter(pl.col("day") > days.known_until).unique().sort("batch_id", "day")
    provisional = [s.session_date for s in days.provisional(days.known_until + _DAY, days.last_day)] if later.height else []
    found = later.filter(pl.col("day").is_in(provisional)).group_by("batch_id", maintain_order=True).agg("day")
    return {batch: _note(listed, days) for batch, listed in found.iter_rows()}


def _note(listed: list[date], days: ExchangeCalendar) -> str:
    which = f"{listed[0]} is a provisional session" if len(listed) == 1 else f"{listed[0]} to {listed[-1]} are provisional sessions"
    return f"{which}: the calendar of {days.exchange.mic} is known until {days.known_until}; `marketlake calendar add` states more"
