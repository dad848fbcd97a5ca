"""Checks of an exchange's calendar: its file, how far it is known, days that it took back.

Lives here: judging by the calendar and the lake whether somebody has to act.
Does not live here: reading calendars (`market/`), how far the bars reach (`exchanges.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pipelines.doctor.model import Finding
from pipelines.ingest.restated_sessions import contradictions, released_sessions
from pipelines.ingest.traded_sessions import ProvisionalDays, provisional_days, traded_calendar
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.calendar_file import HomeCalendarError
from pipelines.settings import Settings
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release

_WARNING = timedelta(days=60)
_SHOWN_DAYS = 5


def check_calendar(mic: str, settings: Settings, lake: Lake, last: Release | None, now: datetime) -> Iterator[Finding]:
    """How far sessions are known, provisional days, and bars of days that were no sessions; or what is wrong in the file."""
    try:
        days = traded_calendar(lake, mic)
    except HomeCalendarError as error:
        advice = "correct the file; `marketlake calendar check` checks it again"
        yield from (Finding(f"calendar {mic}", "error", problem, advice) for problem in error.problems)
        return
    delay = timedelta(days=settings.provisional_delay_days)
    provisional = provisional_days(lake, mic, now.astimezone(days.exchange.zone).date(), delay)
    yield _known(mic, now, days, provisional)
    counted = released_sessions(lake, mic, last)["session_date"]
    yield from (Finding(f"calendar {mic}", "error", f.describe(), f.advice()) for f in contradictions(lake, mic, counted))


def _known(mic: str, now: datetime, days: ExchangeCalendar, provisional: ProvisionalDays) -> Finding:
    end, check = days.known_until, f"calendar {mic}"
    left = end - now.date()
    ends_soon = left < _WARNING
    messages = [f"sessions are known until {end}"]
    if left.days < 0:
        messages.append("later weekdays are provisional sessions")
    elif ends_soon:
        messages = [f"{messages[0]} only, {left.days} days from now"]
    for name, listed in vars(provisional).items():
        if listed and name != "confirmed":
            more = f" and {len(listed) - _SHOWN_DAYS} more" if len(listed) > _SHOWN_DAYS else ""
            messages.append(f"{name.replace('_', ' ')}: {', '.join(map(str, listed[-_SHOWN_DAYS:]))}{more}")
    if not ends_soon:
        return Finding(check, "ok", "; ".join(messages))
    advice = "state the exchange's list with `marketlake calendar add`, or install a newer exchange_calendars"
    return Finding(check, "warning", "; ".join(messages), advice)
