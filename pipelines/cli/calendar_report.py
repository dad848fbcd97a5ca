"""What the commands `marketlake calendar` tell: sessions and closed days of an exchange, its known end, and what is wrong.

Lives here: gathering it from calendars, the home's file and the lake.
Does not live here: arguments and printing (`calendar.py`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.ingest.restated_sessions import Contradiction, contradictions, released_sessions
from pipelines.ingest.traded_sessions import provisional_days, traded_calendar
from pipelines.market.calendar import ExchangeCalendar, calendar
from pipelines.market.calendar_file import HomeCalendarError
from pipelines.market.home_calendar import home_calendar, home_calendar_path
from pipelines.market.session import Session
from pipelines.settings import Settings
from pipelines.storage.location import Lake
from pipelines.storage.releases import latest_release

_SATURDAY = 5


def calendar_rows(settings: Settings, known: ExchangeCalendar, since: date, until: date) -> list[dict[str, Any]]:
    """Sessions and closed weekdays from `since` to `until`, both included."""
    traded = traded_calendar(Lake.from_settings(settings), known.exchange.mic)
    open_days = {s.session_date: s for s in traded.between(since, until)}
    expected = {s.session_date for s in known.between(since, until)}
    rows = []
    for count in range((until - since).days + 1):
        at = since + timedelta(days=count)
        session = open_days.get(at)
        inside = known.exchange.calendar_start <= at <= known.last_day
        if inside and (session or at.weekday() < _SATURDAY or at in known.origins):
            rows.append(_row(known, at, session, nothing_traded=session is None and at in expected))
    return rows


def _row(known: ExchangeCalendar, at: date, session: Session | None, *, nothing_traded: bool) -> dict[str, Any]:
    zone = known.exchange.zone
    windows = session.windows if session else ()
    hours = " ".join(f"{start.astimezone(zone):%H:%M}-{end.astimezone(zone):%H:%M}" for start, end in windows)
    by_rule = "no bars, later days have some" if nothing_traded else "a weekday" if at > known.known_until else "exchange_calendars"
    if session and session.status == "confirmed":
        by_rule = "a whole-market file of the day"
    status = session.status if session else "provisional" if nothing_traded else "known"
    return {
        "day": str(at),
        "weekday": f"{at:%a}",
        "what": session.kind if session else "closed",
        "hours": hours,
        "status": status,
        "stated_by": known.origins.get(at, by_rule),
    }


def calendar_bounds(settings: Settings, known: ExchangeCalendar) -> dict[str, Any]:
    """From when to when an exchange's sessions are known and provisional, what states the known end, and the home's own file."""
    mic, calendars = known.exchange.mic, settings.calendars
    return {
        "exchange": mic,
        "time_zone": known.exchange.timezone,
        "known_from": known.exchange.calendar_start,
        "known_until": known.known_until,
        "known_until_by": known.end_origin,
        "provisional_until": known.last_day,
        "file": home_calendar_path(mic, calendars) if home_calendar(mic, calendars) else None,
    }


def contradictions_of(settings: Settings, mic: str) -> list[Contradiction]:
    """Days with bars in this home's lake that the calendar says were no sessions."""
    lake = Lake.from_settings(settings)
    return contradictions(lake, mic, released_sessions(lake, mic, latest_release(lake))["session_date"])


def stray_files(settings: Settings) -> list[Path]:
    """What lies in this home's folder of calendars and is read for no configured exchange.

    Raises HomeCalendarError for a folder that cannot be listed.
    """
    used = {home_calendar_path(mic, settings.calendars) for mic in settings.exchanges}
    folder = settings.calendars
    try:
        return sorted(path for path in folder.iterdir() if path not in used) if folder.is_dir() else []
    except OSError as error:
        raise HomeCalendarError([f"{folder}: cannot be read: {error.strerror}; make it readable"]) from error


def calendar_report(settings: Settings, mic: str) -> dict[str, Any]:
    """What is known, provisional and wrong of one exchange. Raises HomeCalendarError."""
    known, home = calendar(mic, settings.calendars), home_calendar(mic, settings.calendars)
    today = datetime.now(UTC).astimezone(known.exchange.zone).date()
    first, last = known.exchange.calendar_start, known.last_day
    # A known end has no upper bound: the calendar reaches as far as the one that counts.
    outside = [e for e in home.entries if e.first < first or (e.what != "known" and e.first > last)] if home else []
    found = provisional_days(Lake.from_settings(settings), mic, today, timedelta(days=settings.provisional_delay_days))
    return {
        **calendar_bounds(settings, known),
        "days_left": (known.known_until - today).days,
        "entries": len(home.entries) if home else 0,
        "mistakes": [
            f"{home_calendar_path(mic, settings.calendars)}:{e.line}: {e.first} lies outside {first} to {last}" for e in outside
        ],
        "provisional": {name: [str(at) for at in days] for name, days in vars(found).items()},
        "contradictions": [f"{c.describe()}: {c.advice()}" for c in contradictions_of(settings, mic)],
    }
