"""A home's own calendar of an exchange: `calendars/<MIC>.toml`, what the home states about sessions, each with its source.

    [[holiday]]
    date = 2027-01-26
    source = "NSE circular of 2026-12-14, trading holidays of 2027"

    [[session]]
    date = 2027-10-29
    kind = "special"
    windows = ["18:15-19:15"]
    source = "NSE circular on Diwali Muhurat trading 2027"

    [[hours]]
    from = 2027-08-02
    windows = ["09:00-16:00"]
    source = "NSE circular on longer trading hours"

    [[known]]
    until = 2027-12-31
    source = "NSE circular of 2026-12-14, trading holidays of 2027"

Lives here: what may stand in such a file, and saying in which line it is wrong.
Does not live here: finding and changing the file (`home_calendar.py`), merging it with the other calendars (`calendar_days.py`).

Local times of the exchange. The last `known` entry counts: up to its day the list of exceptions is complete.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from datetime import date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

from pipelines.user_files import UserFileError, shown

KINDS: Final = ("regular", "half_day", "special")
#: Keys of each kind of entry; those in the second set may be left out.
_KEYS: Final[dict[str, tuple[tuple[str, ...], frozenset[str]]]] = {
    "holiday": (("date", "source"), frozenset()),
    "session": (("date", "kind", "windows", "source"), frozenset({"windows"})),
    "hours": (("from", "until", "windows", "source"), frozenset({"until"})),
    "known": (("until", "source"), frozenset()),
}
_HEADER = re.compile(r"\s*\[\[\s*([A-Za-z0-9_-]+)\s*\]\]")
_WINDOW = re.compile(r"([0-2][0-9]:[0-5][0-9])-([0-2][0-9]:[0-5][0-9])")
_LONGEST_SOURCE: Final = 500
_FIRST_YEAR, _LAST_YEAR = 1900, 2199

LocalWindows = tuple[tuple[time, time], ...]


class HomeCalendarError(UserFileError):
    """A home's calendar file cannot be used. `problems`: every mistake in a line of its own, with file and line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Entry:
    """One entry of the file.

    first, last: the days it is about (`last` None: open). windows: local times, ends exclusive.
    """

    what: Literal["holiday", "session", "hours", "known"]
    first: date
    last: date | None
    source: str
    line: int
    kind: str = ""
    windows: LocalWindows = ()


@dataclass(frozen=True, eq=False)
class HomeCalendar:
    """The entries of a file in its order, and the SHA-256 of its content."""

    path: Path
    entries: tuple[Entry, ...]
    fingerprint: str

    @property
    def known_until(self) -> Entry | None:
        """The entry that says up to which day exceptions are listed."""
        return next((entry for entry in reversed(self.entries) if entry.what == "known"), None)

    def origin(self, entry: Entry) -> str:
        """Where an entry stands and what it rests on."""
        return f"{self.path.parent.name}/{self.path.name}:{entry.line}: {entry.source}"


def parse_home_calendar(path: Path, text: str) -> HomeCalendar:
    """The calendar that a text is. `path` is what messages call it. Raises HomeCalendarError with every mistake."""
    if '"""' in text or "'''" in text:
        line = 1 + min(text.count("\n", 0, text.find(quote)) for quote in ('"""', "'''") if quote in text)
        raise HomeCalendarError([f"{path}:{line}: a text of several lines has no meaning here; write it in one"])
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise HomeCalendarError([f"{path}:1: not TOML: nested too deep"]) from None
    except ValueError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise HomeCalendarError([f"{path}:{line}: not TOML: {shown(str(error))[1:-1]}"]) from error
    problems: list[str] = []
    entries = _entries(path, text, content, problems)
    _check_together(path, entries, problems)
    if problems:
        raise HomeCalendarError(sorted(problems, key=lambda problem: int(problem[len(str(path)) + 1 :].partition(":")[0])))
    return HomeCalendar(path, tuple(entries), hashlib.sha256(text.encode()).hexdigest())


def _entries(path: Path, text: str, content: dict[str, Any], problems: list[str]) -> list[Entry]:
    lines = text.split("\n")
    headers: dict[str, list[int]] = {}
    for number, line in enumerate(lines, 1):
        if header := _HEADER.match(line):
            headers.setdefault(header[1], []).append(number)
    found = []
    for name, listed in content.items():
        at = headers.get(name, [])
        if name not in _KEYS:
            near = get_close_matches(name, _KEYS, 1, 0.5)
            hint = f"; did you mean [[{near[0]}]]?" if near else ""
            problems.append(
                f"{path}:{at[0] if at else _line_of(lines, name)}: {shown(name)[1:-1]} is none of [[{']], [['.join(_KEYS)}]]{hint}"
            )
        elif not isinstance(listed, list) or len(at) != len(listed):
            problems.append(f"{path}:{at[0] if at else _line_of(lines, name)}: write each {name} below a line [[{name}]]")
        else:
            entries = (_entry(path, lines, line, name, values, problems) for line, values in zip(at, listed, strict=True))
            found += [entry for entry in entries if entry is not None]
    return sorted(found, key=lambda entry: entry.line)


def _line_of(lines: list[str], key: str, start: int = 1) -> int:
    """The line that gives a key a value, from `start` on and before the next entry; `start` where there is none."""
    for number in range(start, len(lines) + 1):
        line = lines[number - 1].strip()
        if number > start and line.startswith("["):
            break
        if re.match(rf"\[?\s*[\"']?{re.escape(key)}[\"']?\s*[\]=.]", line):
            return number
    return start


def _entry(path: Path, lines: list[str], line: int, name: str, values: Any, problems: list[str]) -> Entry | None:
    """The entry below a header, or None with what is wrong added to `problems`."""
    keys, optional = _KEYS[name]
    wrong = [(key, _unknown(name, key)) for key in values if key not in keys]
    wrong += [(key, message) for key in keys if key in values and (message := _fault(key, values[key]))]
    if name == "session" and values.get("kind") == "half_day" and "windows" not in values:
        wrong.append(("kind", 'a half day has hours of its own; state them, for example windows = ["09:15-12:30"]'))
    found = [f"{path}:{line}: [[{name}]] lacks {key}" for key in keys if key not in values and key not in optional]
    found += [f"{path}:{_line_of(lines, key, line)}: {shown(key)[1:-1]}: {message}" for key, message in wrong]
    problems += found
    if found:
        return None
    first = values.get("date") or values.get("from") or values["until"]
    windows = parse_windows(values["windows"]) if "windows" in values else ()
    return Entry(name, first, values.get("until"), values["source"], line, values.get("kind", ""), windows)  # type: ignore[arg-type]


def _unknown(name: str, key: str) -> str:
    keys = _KEYS[name][0]
    near = get_close_matches(key, keys, 1, 0.5)
    return f"no key of [[{name}]]" + (f"; did you mean {near[0]}?" if near else f"; it has {', '.join(keys)}")


def _fault(key: str, value: Any) -> str | None:
    """What is wrong with the value of a key, None where nothing is."""
    if key in {"date", "from", "until"}:
        if not isinstance(value, date) or isinstance(value, datetime):
            return f"{shown(value)} is no date; write it as 2027-01-26, without quotes"
        return None if _FIRST_YEAR <= value.year <= _LAST_YEAR else f"{value} lies outside {_FIRST_YEAR} to {_LAST_YEAR}"
    if key == "kind":
        return None if value in KINDS else f"{shown(value)} is none of {', '.join(KINDS)}"
    if key == "source":
        return source_fault(value)
    try:
        parse_windows(value)
    except ValueError as error:
        return str(error)
    return None


def source_fault(value: Any) -> str | None:
    """What is wrong with a text that says what an entry rests on, None where nothing is."""
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST_SOURCE:
        return f"say in a text of at most {_LONGEST_SOURCE} letters what it rests on, for example a circular and its date"
    return None if value.isprintable() else f"{shown(value)} holds a control character; remove it"


def parse_windows(windows: Any) -> LocalWindows:
    """Stretches of trading from texts such as "09:15-15:30", in order.

    Raises ValueError for another form, an end not after its start, and stretches that overlap.
    """
    if not isinstance(windows, list) or not windows or not all(isinstance(part, str) for part in windows):
        raise ValueError('write a list of stretches of trading, for example ["09:15-15:30"]')
    found: list[tuple[time, time]] = []
    for part in windows:
        match = _WINDOW.fullmatch(part.strip())
        try:
            start, end = (time.fromisoformat(at) for at in match.groups()) if match else (None, None)
        except ValueError:
            start = end = None
        if start is None or end is None:
            raise ValueError(f"{shown(part)} is no stretch of trading; write it as 09:15-15:30, local time")
        if start >= end:
            raise ValueError(f"{shown(part)} ends before it starts")
        if found and start < found[-1][1]:
            raise ValueError(f"{shown(part)} begins before {found[-1][1]:%H:%M}, where the stretch before it ends")
        found.append((start, end))
    return tuple(found)


def _check_together(path: Path, entries: list[Entry], problems: list[str]) -> None:
    """What entries say against each other: a day that is stated twice, hours whose spans meet."""
    stated: dict[date, int] = {}
    hours: list[Entry] = []
    for entry in entries:
        if entry.what in ("holiday", "session"):
            if entry.first in stated:
                problems.append(f"{path}:{entry.line}: {entry.first} is stated in line {stated[entry.first]} already; remove one")
            stated.setdefault(entry.first, entry.line)
        elif entry.what == "hours":
            if entry.last is not None and entry.last < entry.first:
                problems.append(f"{path}:{entry.line}: until {entry.last} lies before from {entry.first}")
            for other in hours:
                if entry.first <= (other.last or date.max) and other.first <= (entry.last or date.max):
                    problems.append(f"{path}:{entry.line}: its days are among those of the hours in line {other.line}")
            hours.append(entry)
