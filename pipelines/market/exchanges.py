"""Exchanges: time zone, calendar, extended windows, publication of daily files.

Lives here: one declaration per exchange, and `exchange(mic)` for any other that exchange_calendars knows.
Does not live here: which sessions exist (`market/calendar.py`).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class ExtendedWindow:
    """A stretch of local time outside the regular session whose bars are kept apart. The end is exclusive."""

    segment: str
    starts: time
    ends: time


@dataclass(frozen=True)
class Exchange:
    """What the pipeline needs to know of an exchange. Times are local to `timezone`.

    `close_average`: the official close is the volume-weighted price of that last stretch of the session; None where it is a trade.
    `publication_lag` is how long after the close the exchange's own daily file is out; `nightly_at` when the schedule runs.
    The calendar is built between fixed bounds, never from today, so that the same inputs give the same sessions on any day.
    `holidays_listed_yearly`: holidays follow no rule, the exchange lists them; a newer exchange_calendars then reaches further.
    """

    mic: str
    name: str
    timezone: str
    currency: str
    calendar: str
    tick_size: float
    nightly_at: time
    calendar_start: date
    calendar_end: date
    publication_lag: timedelta = timedelta(0)
    close_average: timedelta | None = None
    holidays_listed_yearly: bool = False
    extended: tuple[ExtendedWindow, ...] = ()

    @property
    def zone(self) -> ZoneInfo:
        """The exchange's time zone."""
        return ZoneInfo(self.timezone)


_DECLARED = (
    Exchange(
        mic="XNSE",
        name="National Stock Exchange of India",
        timezone="Asia/Kolkata",
        currency="INR",
        calendar="XBOM",
        tick_size=0.05,
        nightly_at=time(19, 0),
        calendar_start=date(1997, 1, 1),
        calendar_end=date(2026, 12, 31),
        publication_lag=timedelta(hours=3),
        close_average=timedelta(minutes=30),
        holidays_listed_yearly=True,
        extended=(
            ExtendedWindow("pre", time(9, 0), time(9, 15)),
            ExtendedWindow("post", time(15, 30), time(16, 0)),
        ),
    ),
    Exchange(
        mic="XNYS",
        name="New York Stock Exchange and US consolidated tape",
        timezone="America/New_York",
        currency="USD",
        calendar="XNYS",
        tick_size=0.01,
        nightly_at=time(18, 0),
        calendar_start=date(1990, 1, 2),
        calendar_end=date(2027, 12, 31),
        extended=(
            ExtendedWindow("pre", time(4, 0), time(9, 30)),
            ExtendedWindow("post", time(16, 0), time(20, 0)),
        ),
    ),
)
_BY_MIC = {exchange.mic: exchange for exchange in _DECLARED}


def declared_mics() -> tuple[str, ...]:
    """The exchanges declared here."""
    return tuple(_BY_MIC)


_CALENDAR_MODULE = "exchange_calendar_"


class UnknownExchangeError(ValueError):
    """The market identifier code is neither declared here nor known to exchange_calendars."""


def require_known(mic: str) -> None:
    """Raise UnknownExchangeError, with the nearest name, unless `exchange(mic)` would answer. Imports no calendar."""
    names = _calendar_names()
    if mic not in _BY_MIC and mic not in names:
        close = difflib.get_close_matches(mic, [*_BY_MIC, *names], n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UnknownExchangeError(f"unknown exchange {mic!r}: not a market identifier code with a calendar{hint}")


@cache
def _calendar_names() -> tuple[str, ...]:
    """MICs of exchange_calendars, which has a module for each. To import it takes over a second, too long for a mistyped option."""
    found = find_spec("exchange_calendars")
    assert found is not None, "exchange_calendars is a dependency"
    folders = [Path(place) for place in found.submodule_search_locations or ()]
    names = {
        path.stem.removeprefix(_CALENDAR_MODULE).upper() for folder in folders for path in folder.glob(f"{_CALENDAR_MODULE}*.py")
    }
    return tuple(sorted(names))


@cache
def exchange(mic: str) -> Exchange:
    """The exchange with this MIC: declared above, or of exchange_calendars with defaults (tick 0.01, no extended windows)."""
    if mic in _BY_MIC:
        return _BY_MIC[mic]
    require_known(mic)
    import exchange_calendars

    calendar = exchange_calendars.get_calendar(mic, start="2020-01-01", end="2020-12-31")
    return Exchange(
        mic=mic,
        name=mic,
        timezone=str(calendar.tz),
        currency="",
        calendar=mic,
        tick_size=0.01,
        nightly_at=time(23, 0),
        calendar_start=date(2000, 1, 1),
        calendar_end=date(2026, 12, 31),
    )
