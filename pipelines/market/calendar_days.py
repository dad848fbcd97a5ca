"""Where the sessions of an exchange come from, and which calendar wins.

Lives here: `calendar_days`, which merges exchange_calendars, the sourced overlay in `market/calendars/<MIC>.csv` and the home's own
file, each over the one before, and continues them by provisional sessions.
Does not live here: asking for sessions (`calendar.py`), the home's file (`calendar_file.py`), asking exchange_calendars and
keeping its answer (`package_calendar.py`).

exchange_calendars is asked between fixed bounds, never up to today: the same inputs give the same sessions on any day.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from statistics import median

from pipelines.market.calendar_file import Entry, HomeCalendar, HomeCalendarError, LocalWindows
from pipelines.market.exchanges import Exchange
from pipelines.market.package_calendar import PackageCalendar, Windows, package_calendar

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
#: A session this much shorter than the exchange's usual one is a half day.
_HALF_DAY_BELOW = 0.9
#: Whole years of provisional sessions after the last one that has a known day.
_PROVISIONAL_YEARS = 5


@dataclass
class Days:
    """Sessions by day: windows (UTC, ends exclusive) and kinds. `provisional`: the days that no calendar knows.

    origins: what states a day, where that is not exchange_calendars; `end_origin` the same of known_until.
    """

    known_until: date
    last_day: date
    windows: dict[date, Windows]
    kinds: dict[date, str]
    provisional: list[date] = field(default_factory=list)
    origins: dict[date, str] = field(default_factory=dict)
    end_origin: str = ""


def calendar_days(venue: Exchange, home: HomeCalendar | None) -> Days:
    """All days on which an exchange trades. `home`: what the home states itself, None for nothing.

    Raises HomeCalendarError where the home's known end leaves no regular session, whose hours the later ones would have.
    """
    source = package_calendar(venue)
    package_end = source.sessions[-1][0]
    listed_until = source.listed_until
    stated = home.known_until if home else None
    known_until = stated.last if stated and stated.last else listed_until
    last_day = date(max(listed_until, known_until).year + _PROVISIONAL_YEARS, 12, 31)
    end_origin = home.origin(stated) if home and stated else "exchange_calendars"
    windows = {day: spans for day, spans in _regular_windows(venue, source) if day <= min(known_until, package_end)}
    usual = _usual_minutes_by_year(windows)
    kinds = {day: "half_day" if minutes(spans) < usual[day.year] * _HALF_DAY_BELOW else "regular" for day, spans in windows.items()}
    if home and stated and "regular" not in kinds.values():
        place = f"{home.path}:{stated.line}: until {known_until}"
        span = f"{venue.calendar_start}, where its calendar begins, and that day"
        raise HomeCalendarError([f"{place}: no regular session of {venue.mic} lies between {span}; state a later one"])
    days = Days(known_until, last_day, windows, kinds, end_origin=end_origin)
    overlay = [line for line in _overlay(venue.mic) if date.fromisoformat(line["session_date"]) <= known_until]
    for line in overlay:
        day, local = date.fromisoformat(line["session_date"]), _parse_windows(line["windows"])
        _state(days, venue, day, line["kind"], local, f"marketlake: {line['source']}")
    _continue(days, venue, source.weekmask, min(listed_until, known_until) + _DAY)
    if home:
        _add_home(days, venue, home)
    return days


def minutes(spans: Windows) -> int:
    """Whole minutes in stretches of time."""
    return sum((end - start) // _MINUTE for start, end in spans)


def utc(day: date, at: time, venue: Exchange) -> datetime:
    """A local time of the exchange on a day, in UTC."""
    return datetime.combine(day, at, tzinfo=venue.zone).astimezone(UTC)


def _regular_windows(venue: Exchange, source: PackageCalendar) -> Iterable[tuple[date, Windows]]:
    for day, spans in source.sessions:
        yield day, _nse_hours(day, spans, venue) if venue.mic == "XNSE" else spans


def _nse_hours(day: date, spans: Windows, venue: Exchange) -> Windows:
    """NSE opened at 09:55 until 2010-01-03 and at 09:00 until 2010-10-17; exchange_calendars knows only 09:15."""
    if day >= date(2010, 10, 18):
        return spans
    opens = time(9, 0) if day >= date(2010, 1, 4) else time(9, 55)
    return ((utc(day, opens, venue), spans[-1][1]),)


def _usual_minutes_by_year(windows: Mapping[date, Windows]) -> dict[int, float]:
    """Median length of a session, by year: opening hours changed over time."""
    lengths: dict[int, list[int]] = {}
    for day, spans in windows.items():
        lengths.setdefault(day.year, []).append(minutes(spans))
    return {year: median(values) for year, values in lengths.items()}


def _state(days: Days, venue: Exchange, day: date, kind: str, local: LocalWindows, origin: str) -> None:
    """Make a day closed or a session; without `local` with the hours of the regular session nearest in time."""
    days.origins[day] = origin
    if kind == "closed":
        days.windows.pop(day, None)
        days.kinds.pop(day, None)
        return
    days.windows[day] = _at(day, local or _nearest_hours(days, day, venue), venue)
    days.kinds[day] = kind


def _continue(days: Days, venue: Exchange, weekmask: str, first: date) -> None:
    """Weekdays from `first` on with the hours of the last regular session; beyond known_until they are provisional."""
    regular = max(day for day in days.windows if days.kinds[day] == "regular")
    local = _local(days.windows[regular], venue)
    for count in range((days.last_day - first).days + 1):
        day = first + count * _DAY
        if weekmask[day.weekday()] == "1":
            days.windows[day], days.kinds[day] = _at(day, local, venue), "regular"
            if day > days.known_until:
                days.provisional.append(day)
            else:
                days.origins[day] = days.end_origin


def _add_home(days: Days, venue: Exchange, home: HomeCalendar) -> None:
    inside = [entry for entry in home.entries if entry.what != "known" and entry.first <= days.last_day]
    for entry in inside:
        if entry.what == "hours":
            for day in _regular_days(days, entry):
                days.windows[day] = _at(day, entry.windows, venue)
                days.origins[day] = home.origin(entry)
    for entry in inside:
        if entry.what != "hours" and entry.first >= venue.calendar_start:
            kind = "closed" if entry.what == "holiday" else entry.kind
            _state(days, venue, entry.first, kind, entry.windows, home.origin(entry))
    stated = {entry.first for entry in inside if entry.what != "hours"}
    days.provisional = [day for day in days.provisional if day not in stated]


def _regular_days(days: Days, entry: Entry) -> list[date]:
    last = entry.last or date.max
    return [day for day, kind in days.kinds.items() if kind == "regular" and entry.first <= day <= last]


def _nearest_hours(days: Days, day: date, venue: Exchange) -> LocalWindows:
    regular = (known for known, kind in days.kinds.items() if kind == "regular" and known != day)
    nearest = min(regular, key=lambda known: abs((known - day).days))
    return _local(days.windows[nearest], venue)


def _local(spans: Windows, venue: Exchange) -> LocalWindows:
    return tuple((start.astimezone(venue.zone).time(), end.astimezone(venue.zone).time()) for start, end in spans)


def _at(day: date, local: LocalWindows, venue: Exchange) -> Windows:
    return tuple((utc(day, start, venue), utc(day, end, venue)) for start, end in local)


def _parse_windows(text: str) -> LocalWindows:
    pairs = (part.split("-") for part in text.split(";") if part)
    return tuple((time.fromisoformat(start), time.fromisoformat(end)) for start, end in pairs)


def _overlay(mic: str) -> list[dict[str, str]]:
    resource = files("pipelines.market") / "calendars" / f"{mic}.csv"
    if not resource.is_file():
        return []
    with resource.open(encoding="utf-8") as text:
        return list(csv.DictReader(text))
