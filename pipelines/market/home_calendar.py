"""The calendar file of this home: where it is, what it says now, and appending an entry to it.

Lives here: `home_calendar(mic)` and `append_entry`.
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


def home_calendar_path(mic: str) -> Path:
    """Where this home keeps its own calendar of an exchange; there need not be one."""
    return _home_folder() / "calendars" / f"{mic}.toml"


def home_calendar(mic: str) -> HomeCalendar | None:
    """This home's own calendar of an exchange; None where it has none. Read again when the file has changed.

    Raises HomeCalendarError with every mistake, and for a file or folder that is there and cannot be read.
    """
    path = home_calendar_path(mic)
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HomeCalendarError([f"{path}: cannot be read: {error.strerror}; make it readable, or remove it"]) from error
    return _read(path, (about.st_mtime_ns, about.st_size, about.st_ino))


def append_entry(mic: str, block: str) -> HomeCalendar:
    """Append an entry, as TOML, to this home's calendar of an exchange and return what the file then says.

    The whole is checked, also together with the other calendars, before anything is written, and the file is replaced at once.
    Raises HomeCalendarError.
    """
    path = home_calendar_path(mic).resolve()
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


def _home_folder() -> Path:
    # Asked for at every look at a calendar, while reading the settings takes milliseconds.
    try:
        about = os.stat(".env")
        changed: tuple[int, int] | None = (about.st_mtime_ns, about.st_ino)
    except OSError:
        changed = None
    return _home_of(os.environ.get("MARKETLAKE_HOME"), os.getcwd(), changed)


@lru_cache(maxsize=64)
def _home_of(_named: str | None, _working_directory: str, _changed: tuple[int, int] | None) -> Path:
    from pipelines.settings import Settings

    return Settings().home
