"""Sessions of an exchange: which days trade, between which times, and how many minute bars they should bring.

Lives here: `calendar`: the known sessions, and after them the weekdays that are provisional sessions.
Does not live here: where sessions come from and what wins (`calendar_days.py`), on which provisional ones something traded
(`ingest/traded_sessions.py`), partition definitions and schedules (`orchestration/`), which ask this module.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from functools import cached_property, lru_cache
from itertools import accumulate
from operator import attrgetter
from pathlib import Path

import polars as pl

from pipelines.market.calendar_days import calendar_days, utc
from pipelines.market.calendar_file import HomeCalendar
from pipelines.market.closing_auction import auction_minutes
from pipelines.market.exchanges import Exchange, exchange
from pipelines.market.home_calendar import home_calendar
from pipelines.market.session import CONFIRMED, KNOWN, PROVISIONAL, Session


class CalendarError(ValueError):
    """A date lies outside the calendar's bounds, or is no session."""


_session_date = attrgetter("session_date")
_close = attrgetter("closes_at")


@dataclass(frozen=True, eq=False)
class ExchangeCalendar:
    """All sessions of an exchange between its calendar's bounds, in order.

    known_until: up to this day a calendar says what is a session; later weekdays, up to last_day, are provisional ones. origins: by
    day what states a session or holiday, where that is not exchange_calendars. end_origin: what states known_until.
    """

    exchange: Exchange
    sessions: tuple[Session, ...]
    known_until: date
    last_day: date
    origins: Mapping[date, str] = field(default_factory=dict)
    end_origin: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_date", {s.session_date: s for s in self.sessions})

    def get(self, day: date) -> Session | None:
        """The session of that day, None when the exchange is closed; CalendarError beyond the provisional sessions too."""
        first, last = self.exchange.calendar_start, self.last_day
        if not first <= day <= last:
            raise CalendarError(
                f"{day} lies outside the {self.exchange.mic} calendar, which is known from {first} to {self.known_until} "
                f"and provisional to {last}"
            )
        found: Session | None = self._by_date.get(day)  # type: ignore[attr-defined]
        return found

    def session(self, day: date) -> Session:
        """The session of that day; CalendarError when there is none."""
        found = self.get(day)
        if found is None:
            raise CalendarError(f"{day} ({day:%A}) is no session of {self.exchange.mic}")
        return found

    def between(self, first: date, last: date) -> list[Session]:
        """Sessions from `first` to `last`, both included."""
        begin = bisect_left(self.sessions, first, key=_session_date)
        return list(self.sessions[begin : bisect_right(self.sessions, last, lo=begin, key=_session_date)])

    def provisional(self, first: date, last: date) -> list[Session]:
        """Sessions from `first` to `last`, both included, that no calendar knows."""
        return [s for s in self.between(first, last) if s.status != KNOWN]

    def without(self, closed: Collection[date], confirmed: Collection[date] = ()) -> ExchangeCalendar:
        """The same without these provisional sessions, the later ones renumbered, and with those confirmed.

        closed, confirmed: days of provisional sessions; days of others change nothing.
        """
        out, seen = set(closed), set(confirmed)
        if not out and not seen:
            return self
        begin = bisect_right(self.sessions, self.known_until, key=_session_date)
        kept = [s for s in self.sessions[begin:] if s.session_date not in out or s.status == KNOWN]
        later = (
            replace(s, number=number, status=CONFIRMED if s.status != KNOWN and s.session_date in seen else s.status)
            for number, s in enumerate(kept, begin + 1)
        )
        return replace(self, sessions=(*self.sessions[:begin], *later))

    def latest_closed(self, now: datetime) -> Session:
        """The last session whose close is not after `now` (aware)."""
        closed = bisect_right(self.sessions, now, key=_close)
        if not closed:
            raise CalendarError(f"no session of {self.exchange.mic} had closed by {now}")
        return self.sessions[closed - 1]

    def frame(self) -> pl.DataFrame:
        """The published `sessions` table of this exchange."""
        return self._frame

    @cached_property
    def _frame(self) -> pl.DataFrame:
        # Staging and the gate ask for it once a table; made anew each time it would cost more than their work on a day's rows.
        return pl.DataFrame(
            {
                "exchange": [self.exchange.mic] * len(self.sessions),
                "session_date": [s.session_date for s in self.sessions],
                "session_number": [s.number for s in self.sessions],
                "opens_at": [s.opens_at for s in self.sessions],
                "closes_at": [s.closes_at for s in self.sessions],
                "windows": [_windows_json(s) for s in self.sessions],
                "bars_expected": [s.bars_expected for s in self.sessions],
                "bars_expected_auction": [auction_minutes(self.exchange.mic, s) for s in self.sessions],
                "close_averaged_from": [self._close_averaged_from(s) for s in self.sessions],
                "kind": [s.kind for s in self.sessions],
                "midnight_at": [utc(s.session_date, time.min, self.exchange) for s in self.sessions],
                "regular_before": [0, *accumulate(int(s.kind == "regular") for s in self.sessions)][:-1],
                "status": [s.status for s in self.sessions],
            },
            schema_overrides={
                "session_number": pl.Int64,
                "bars_expected": pl.Int64,
                "bars_expected_auction": pl.Int64,
                "close_averaged_from": pl.Datetime("us", "UTC"),
                "opens_at": pl.Datetime("us", "UTC"),
                "closes_at": pl.Datetime("us", "UTC"),
                "midnight_at": pl.Datetime("us", "UTC"),
                "regular_before": pl.Int64,
            },
        )

    def _close_averaged_from(self, session: Session) -> datetime | None:
        span = self.exchange.close_average
        return session.closes_at - span if span else None

    def windows_frame(self) -> pl.DataFrame:
        """One row per window: session_date, opens_at, closes_at (UTC, end exclusive)."""
        return self._windows_frame

    @cached_property
    def _windows_frame(self) -> pl.DataFrame:
        rows = [(s.session_date, start, end) for s in self.sessions for start, end in s.windows]
        times = pl.Datetime("us", "UTC")
        schema: dict[str, pl.DataType] = {"session_date": pl.Date(), "opens_at": times, "closes_at": times}
        return pl.DataFrame(rows, schema=schema, orient="row")


def calendar(mic: str, calendars: Path | None = None) -> ExchangeCalendar:
    """The calendar of an exchange, with what a home states in its own file. Built once per process and content of that file.

    calendars: the home's folder of calendars (`Lake.calendars`); None: the calendar as it ships. Raises HomeCalendarError for a
    file that cannot be used.
    """
    return _calendar(mic, home_calendar(mic, calendars))


@lru_cache(maxsize=64)
def _calendar(mic: str, home: HomeCalendar | None) -> ExchangeCalendar:
    venue = exchange(mic)
    days = calendar_days(venue, home)
    provisional = set(days.provisional)
    sessions = tuple(
        Session(day, number, days.windows[day], days.kinds[day], PROVISIONAL if day in provisional else KNOWN)
        for number, day in enumerate(sorted(days.windows), start=1)
    )
    return ExchangeCalendar(venue, sessions, days.known_until, days.last_day, days.origins, days.end_origin)


def _windows_json(session: Session) -> str:
    return json.dumps([[start.isoformat(), end.isoformat()] for start, end in session.windows])
