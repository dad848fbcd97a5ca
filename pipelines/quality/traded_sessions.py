"""On which provisional sessions something traded, as the lake shows.

Lives here: `traded_calendar`, an exchange's calendar without the provisional sessions on which nothing traded, and which of them
still wait for their file.
Does not live here: which weekdays are provisional sessions (`market/calendar_days.py`), days that a calendar has taken back
(`restated_sessions.py`).

What counts is the lake alone, never the clock: a provisional session before the newest bars without a bar of its own was none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.market.calendar import CONFIRMED, ExchangeCalendar, calendar
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
    days = calendar(exchange)
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


def awaited(days: ExchangeCalendar, until: date, delay: timedelta) -> tuple[list[date], list[date]]:
    """Provisional sessions up to `until` without a whole-market file: those still waited for, and those past the delay.

    days: as `traded_calendar` gives it. `until`: the day from which the delay counts back.
    """
    waiting = [s.session_date for s in days.provisional(days.known_until + _DAY, until) if s.status != CONFIRMED]
    return [day for day in waiting if until - day <= delay], [day for day in waiting if until - day > delay]
