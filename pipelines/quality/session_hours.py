"""Files of minutes whose times lie at another exchange's hours, or were written in another zone than they are read in.

Lives here: the comparison of a whole file with the sessions of its exchange and of the other declared ones.
Does not live here: single minutes outside a session (`row_rules.py`), reading times (`sources/timestamps.py`).

A file is refused only where another reading explains it: nearly all of its minutes then lie in sessions, and as they are read they
do not. Minutes that lie outside by themselves are for the row rules.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import polars as pl

from pipelines.market.calendar import ExchangeCalendar, calendar
from pipelines.market.exchanges import declared_mics
from pipelines.sources.protocol import ParsedTable, ParseOptions

#: Fewer minutes than these tell nothing of a file's hours.
_MINUTES_AT_LEAST: Final = 20
#: A reading explains a file whose minutes lie in sessions to this share; one that leaves more than half outside does not.
_EXPLAINED, _UNEXPLAINED = 0.9, 0.5
#: A day of minutes from another exchange's first minute to its last, with at least half of those between, is its session.
_SESSION_AT_LEAST: Final = 0.5


def find_wrong_hours(tables: list[ParsedTable], options: ParseOptions, calendars: Path | None = None) -> str | None:
    """Why a file's minutes are not of its exchange or zone; None where they are, or where they tell too little.

    calendars: the home's folder of calendars; None: those that ship.
    """
    minutes = [table.frame.select("symbol", "ts").drop_nulls() for table in tables if table.table == "bars_1m"]
    moments = pl.concat(minutes) if minutes else pl.DataFrame()
    if moments.height < _MINUTES_AT_LEAST or options.timezone is None:
        return None
    days = calendar(options.exchange, calendars)
    as_read = _share_within(moments["ts"], days)
    for mic in declared_mics():
        if (
            mic != options.exchange
            and as_read < _UNEXPLAINED
            and _share_within(moments["ts"], calendar(mic, calendars)) >= _EXPLAINED
        ):
            return f"its minutes lie in sessions of {mic}, not of {options.exchange}; choose the right --exchange"
    if options.timezone_stated:
        return None
    wall = moments["ts"].dt.convert_time_zone(options.timezone).dt.replace_time_zone(None)
    in_utc = _share_within(wall.dt.replace_time_zone("UTC"), days)
    if in_utc >= _EXPLAINED and as_read < _UNEXPLAINED:
        return (
            f"read as times of {options.timezone}, {as_read:.0%} of its minutes lie in regular hours; read as UTC {in_utc:.0%}: "
            f"the times are UTC without saying so, add --timezone UTC (or --timezone {options.timezone} where they are right)"
        )
    found = moments.with_columns(wall=wall)
    for mic in declared_mics():
        if mic == options.exchange:
            continue
        if _whole_sessions(found, calendar(mic, calendars)) >= 0.5 and _whole_sessions(found, days) <= 0.1:
            first, last = found.select(pl.col("wall").dt.strftime("%H:%M")).to_series().sort().gather([0, -1])
            return (
                f"its days run from {first} to {last}, the hours of {mic} and not of {options.exchange}; choose the right "
                f"--exchange (or add --timezone {options.timezone} where these are right)"
            )
    return None


def _share_within(moments: pl.Series, days: ExchangeCalendar) -> float:
    """Share of instants within regular hours."""
    instants = pl.DataFrame({"ts": moments.dt.convert_time_zone("UTC")}).with_row_index("row")
    dated = instants.with_columns(session_date=pl.col("ts").dt.convert_time_zone(days.exchange.timezone).dt.date())
    inside = dated.join(_windows(days), on="session_date").filter(
        (pl.col("ts") >= pl.col("opens_at")) & (pl.col("ts") < pl.col("closes_at"))
    )
    return inside["row"].n_unique() / len(moments)


@lru_cache(maxsize=8)
def _windows(days: ExchangeCalendar) -> pl.DataFrame:
    return days.windows_frame()


@lru_cache(maxsize=8)
def _clocks(days: ExchangeCalendar) -> pl.DataFrame:
    """`session_date`, `opens_at` and `closes_at` by the exchange's own clock."""
    zone = days.exchange.timezone
    local = (pl.col(name).dt.convert_time_zone(zone).dt.replace_time_zone(None).alias(name) for name in ("opens_at", "closes_at"))
    return days.frame().select("session_date", *local)


def _whole_sessions(found: pl.DataFrame, days: ExchangeCalendar) -> float:
    """Share of a file's days that are a session of `days` from its first minute to its last, by the clock as it is written."""
    by_day = found.group_by("symbol", session_date=pl.col("wall").dt.date()).agg(
        first=pl.col("wall").min(), last=pl.col("wall").max(), minutes=pl.col("wall").n_unique()
    )
    length = (pl.col("closes_at") - pl.col("opens_at")).dt.total_minutes()
    whole = (
        (pl.col("first") == pl.col("opens_at"))
        & (pl.col("last") == pl.col("closes_at") - timedelta(minutes=1))
        & (pl.col("minutes") >= _SESSION_AT_LEAST * length)
    )
    return by_day.join(_clocks(days), on="session_date").filter(whole).height / by_day.height
