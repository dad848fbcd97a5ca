"""Sessions of an exchange: which days trade, between which times, and how many minute bars they should bring.

Lives here: `calendar(mic)`, built from exchange_calendars between fixed bounds
plus the sourced overlay in `market/calendars/<MIC>.csv`.
Does not live here: partition definitions and schedules (`orchestration/`), which ask this module.
"""

from __future__ import annotations

import csv
import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property
from importlib.resources import files
from itertools import accumulate
from operator import attrgetter
from statistics import median

import polars as pl

from pipelines.market.closing_auction import auction_minutes
from pipelines.market.exchanges import Exchange, exchange

_MINUTE = timedelta(minutes=1)
#: A session this much shorter than the exchange's usual one is a half day.
_HALF_DAY_BELOW = 0.9


class CalendarError(ValueError):
    """A date lies outside the calendar's bounds, or is no session."""


@dataclass(frozen=True)
class Session:
    """One trading session. Times are UTC; `windows` are its stretches of regular trading, ends exclusive."""

    session_date: date
    number: int
    windows: tuple[tuple[datetime, datetime], ...]
    kind: str

    @property
    def opens_at(self) -> datetime:
        """Open of the first window."""
        return self.windows[0][0]

    @property
    def closes_at(self) -> datetime:
        """Close of the last window."""
        return self.windows[-1][1]

    @property
    def bars_expected(self) -> int:
        """One-minute bars of regular trading."""
        return _minutes(self.windows)


_session_date = attrgetter("session_date")
_close = attrgetter("closes_at")


@dataclass(frozen=True)
class ExchangeCalendar:
    """All sessions of an exchange between its calendar's bounds, in order."""

    exchange: Exchange
    sessions: tuple[Session, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_date", {s.session_date: s for s in self.sessions})

    def get(self, day: date) -> Session | None:
        """The session of that day, None when the exchange is closed; CalendarError beyond the known calendar."""
        first, last = self.exchange.calendar_start, self.exchange.calendar_end
        if not first <= day <= last:
            raise CalendarError(f"{day} lies outside the {self.exchange.mic} calendar, which is known from {first} to {last}")
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
                "midnight_at": [_utc(s.session_date, time.min, self.exchange) for s in self.sessions],
                "regular_before": [0, *accumulate(int(s.kind == "regular") for s in self.sessions)][:-1],
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
        rows = [(s.session_date, start, end) for s in self.sessions for start, end in s.windows]
        times = pl.Datetime("us", "UTC")
        schema: dict[str, pl.DataType] = {"session_date": pl.Date(), "opens_at": times, "closes_at": times}
        return pl.DataFrame(rows, schema=schema, orient="row")


@cache
def calendar(mic: str) -> ExchangeCalendar:
    """The calendar of an exchange. Built once per process (about half a second)."""
    venue = exchange(mic)
    windows = _regular_windows(venue)
    usual = _usual_minutes_by_year(windows)
    kinds = {
        day: "half_day" if _minutes(spans) < usual[day.year] * _HALF_DAY_BELOW else "regular" for day, spans in windows.items()
    }
    for line in _overlay(mic):
        day = date.fromisoformat(line["session_date"])
        if line["kind"] == "closed":
            windows.pop(day, None)
            continue
        windows[day] = _parse_windows(line["windows"], day, venue) if line["windows"] else _usual_windows(windows, day, venue)
        kinds[day] = line["kind"]
    ordered = sorted(windows)
    sessions = tuple(Session(day, number, windows[day], kinds[day]) for number, day in enumerate(ordered, start=1))
    return ExchangeCalendar(venue, sessions)


Windows = tuple[tuple[datetime, datetime], ...]


def _regular_windows(venue: Exchange) -> dict[date, Windows]:
    import exchange_calendars
    import pandas as pd

    source = exchange_calendars.get_calendar(venue.calendar, start=str(venue.calendar_start), end=str(venue.calendar_end))
    table = source.schedule
    out: dict[date, Windows] = {}
    for day, opens, closes, pause, resume in zip(
        table.index, table["open"], table["close"], table["break_start"], table["break_end"], strict=True
    ):
        start, end = opens.to_pydatetime().astimezone(UTC), closes.to_pydatetime().astimezone(UTC)
        if not pd.isna(pause):
            middle = (pause.to_pydatetime().astimezone(UTC), resume.to_pydatetime().astimezone(UTC))
            out[day.date()] = ((start, middle[0]), (middle[1], end))
        else:
            out[day.date()] = ((start, end),)
    return out if venue.mic != "XNSE" else {day: _nse_hours(day, spans, venue) for day, spans in out.items()}


def _nse_hours(day: date, spans: Windows, venue: Exchange) -> Windows:
    """NSE opened at 09:55 until 2010-01-03 and at 09:00 until 2010-10-17; exchange_calendars knows only 09:15."""
    if day >= date(2010, 10, 18):
        return spans
    opens = time(9, 0) if day >= date(2010, 1, 4) else time(9, 55)
    return ((_utc(day, opens, venue), spans[-1][1]),)


def _minutes(spans: Windows) -> int:
    return sum((end - start) // _MINUTE for start, end in spans)


def _usual_minutes_by_year(windows: dict[date, Windows]) -> dict[int, float]:
    """Median length of a session, by year: opening hours changed over time."""
    lengths: dict[int, list[int]] = {}
    for day, spans in windows.items():
        lengths.setdefault(day.year, []).append(_minutes(spans))
    return {year: median(values) for year, values in lengths.items()}


def _usual_windows(windows: dict[date, Windows], day: date, venue: Exchange) -> Windows:
    nearest = min((known for known in windows if known != day), key=lambda known: abs((known - day).days))
    local = [(s.astimezone(venue.zone).time(), e.astimezone(venue.zone).time()) for s, e in windows[nearest]]
    return tuple((_utc(day, s, venue), _utc(day, e, venue)) for s, e in local)


def _parse_windows(text: str, day: date, venue: Exchange) -> Windows:
    pairs = (part.split("-") for part in text.split(";"))
    return tuple((_utc(day, time.fromisoformat(s), venue), _utc(day, time.fromisoformat(e), venue)) for s, e in pairs)


def _utc(day: date, at: time, venue: Exchange) -> datetime:
    return datetime.combine(day, at, tzinfo=venue.zone).astimezone(UTC)


def _overlay(mic: str) -> list[dict[str, str]]:
    resource = files("pipelines.market") / "calendars" / f"{mic}.csv"
    if not resource.is_file():
        return []
    with resource.open(encoding="utf-8") as text:
        return list(csv.DictReader(text))


def _windows_json(session: Session) -> str:
    return json.dumps([[start.isoformat(), end.isoformat()] for start, end in session.windows])
