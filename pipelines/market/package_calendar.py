"""What exchange_calendars says of an exchange, kept as a file: to work it out anew costs a process one to two seconds.

Lives here: `package_calendar`, and the file in the user's cache folder that the next process reads.
Does not live here: what wins over the package, what comes after its end (`calendar_days.py`).

The file's name is a hash of everything that the answer follows from, so that a newer package, other bounds or a changed time zone
never meet an old file; its first line is a hash of the rest, so that a damaged one is worked out again. A file that cannot be
read or written is done without.
"""

from __future__ import annotations

import hashlib
import json
import zoneinfo
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipelines.market.exchanges import Exchange
from pipelines.user_cache import user_cache
from pipelines.whole_files import write_whole

#: Stretches of regular trading of a session, UTC, ends exclusive.
Windows = tuple[tuple[datetime, datetime], ...]

#: To be raised when the file's content means something else.
_FORMAT = 2


@dataclass(frozen=True)
class PackageCalendar:
    """Sessions in order, between the exchange's fixed bounds. listed_until: the last day that the package knows about.

    weekmask: which days of the week trade, Monday first, as `1111100`.
    """

    listed_until: date
    weekmask: str
    sessions: tuple[tuple[date, Windows], ...]


def package_calendar(venue: Exchange) -> PackageCalendar:
    """The sessions of an exchange as exchange_calendars has them, from the cache where it was asked before."""
    path = _cache_dir() / f"{venue.mic}-{_made_of(venue)}.json"
    try:
        content = json.loads(_checked(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # none yet, or a damaged one
        built = _built(venue)
        _keep(path, _content(built))
        return built
    return _read(content)


def _built(venue: Exchange) -> PackageCalendar:
    import exchange_calendars

    def asked(end: date) -> Any:
        return exchange_calendars.get_calendar(venue.calendar, start=str(venue.calendar_start), end=str(end))

    source = asked(venue.calendar_end)
    listed = _listed_until(venue, source)
    # A newer package lists more years of an exchange that names its holidays year by year.
    source = source if listed == venue.calendar_end else asked(listed)
    return PackageCalendar(listed, source.weekmask, tuple(_sessions(source)))


def _listed_until(venue: Exchange, source: Any) -> date:
    bound = type(source).bound_max()
    return max(venue.calendar_end, bound.date()) if venue.holidays_listed_yearly and bound is not None else venue.calendar_end


def _sessions(source: Any) -> Iterator[tuple[date, Windows]]:
    import pandas as pd

    table = source.schedule
    columns = (pd.DatetimeIndex(table[name]).to_pydatetime() for name in ("open", "close", "break_start", "break_end"))
    for day, opens, closes, pause, resume in zip(table.index.date, *columns, strict=True):
        start, end = opens.replace(tzinfo=UTC), closes.replace(tzinfo=UTC)
        if pd.isna(pause):
            yield day, ((start, end),)
        else:
            yield day, ((start, pause.replace(tzinfo=UTC)), (resume.replace(tzinfo=UTC), end))


def _made_of(venue: Exchange) -> str:
    bounds = (venue.calendar, venue.calendar_start, venue.calendar_end, venue.holidays_listed_yearly, venue.timezone)
    versions = [version(package) for package in ("exchange_calendars", "pandas")]
    return _sha256("|".join(map(str, (_FORMAT, *bounds, *versions, _zone_rules(venue.timezone)))))[:16]


def _zone_rules(zone: str) -> str:
    """Hash of the time zone's rules, of the system or of tzdata, wherever zoneinfo finds them first."""
    for folder in zoneinfo.TZPATH:
        path = Path(folder) / zone
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256((files("tzdata") / "zoneinfo" / zone).read_bytes()).hexdigest()


def _cache_dir() -> Path:
    return user_cache("calendars")


def _content(built: PackageCalendar) -> dict[str, Any]:
    """As plain numbers: days as ordinals, times as seconds since 1970."""
    sessions = [[day.toordinal(), *(int(at.timestamp()) for window in spans for at in window)] for day, spans in built.sessions]
    return {"listed_until": built.listed_until.isoformat(), "weekmask": built.weekmask, "sessions": sessions}


def _read(content: dict[str, Any]) -> PackageCalendar:
    sessions = tuple((date.fromordinal(day), _windows(times)) for day, *times in content["sessions"])
    return PackageCalendar(date.fromisoformat(content["listed_until"]), content["weekmask"], sessions)


def _windows(seconds: Iterable[int]) -> Windows:
    times = [datetime.fromtimestamp(second, UTC) for second in seconds]
    return tuple(zip(times[::2], times[1::2], strict=True))


def _checked(text: str) -> str:
    """The text below the hash. ValueError where the hash is of another one."""
    stated, _, content = text.partition("\n")
    if stated != _sha256(content):
        raise ValueError("the file is not what was written")
    return content


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _keep(path: Path, content: dict[str, Any]) -> None:
    """Write the file whole or not at all: another process may read it meanwhile."""
    text = json.dumps(content)
    try:
        write_whole(path, f"{_sha256(text)}\n{text}")
    except OSError:  # a read-only or full disk: the next process works it out again
        return
