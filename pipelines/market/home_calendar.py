"""The calendar files of a home: where they are, what one says now, and appending an entry to it.

Lives here: `home_calendar` and `append_entry`, for the folder that the home's settings name.
Does not live here: what may stand in the file (`calendar_file.py`), merging it with the other calendars (`calendar_days.py`), the
command (`cli/calendar.py`).
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pipelines.market.calendar_days import calendar_days
from pipelines.market.calendar_file import HomeCalendar, HomeCalendarError, parse_home_calendar
from pipelines.market.exchanges import exchange
from pipelines.user_files import UserFileError, read_text_file


def home_calendar_path(mic: str, calendars: Path) -> Path:
    """Where a home keeps its own calendar of an exchange, in its folder of calendars; there need not be one."""
    return calendars / f"{mic}.toml"


def home_calendar(mic: str, calendars: Path | None) -> HomeCalendar | None:
    """The home's own calendar of an exchange; None where it has none. Read again when the file has changed.

    calendars: the home's folder of calendars; None without a home.

    Raises HomeCalendarError with every mistake, and for a file or folder that is there and cannot be read.
    """
    if calendars is None:
        return None
    path = home_calendar_path(mic, calendars)
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HomeCalendarError([f"{path}: cannot be read: {error.strerror}; make it readable, or remove it"]) from error
    return _read(path, (about.st_mtime_ns, about.st_size, about.st_ino))


def append_entry(mic: str, block: str, calendars: Path) -> HomeCalendar:
    """Append an entry, as TOML, to the home's calendar of an exchange and return what the file then says.

    The whole is checked, also together with the other calendars, before anything is written, and the file is replaced at once.
    Raises HomeCalendarError.
    """
    path = home_calendar_path(mic, calendars).resolve()
    before = _text(path) if path.exists() else f"# Sessions of {mic} as this home states them.\n"
    text = f"{before.rstrip(chr(10))}\n\n{block.strip()}\n"
    changed = parse_home_calendar(path, text)
    calendar_days(exchange(mic), changed)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    return changed


@lru_cache(maxsize=64)
def _read(path: Path, _changed: tuple[int, int, int]) -> HomeCalendar:
    return parse_home_calendar(path, _text(path))


def _text(path: Path) -> str:
    try:
        return read_text_file(path, "calendar")
    except UserFileError as error:
        raise HomeCalendarError([str(error)]) from error
