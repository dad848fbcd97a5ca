"""Universes: which instruments a scan looks at, as lists of a user's and by rule.

Lives here: `Universes`, read from the files that MARKETLAKE_UNIVERSES names, and watchlists.
Does not live here: which instruments of the lake that makes at a session (`int_universe_members.sql`), who asks for which (a
scanner's yml, `marketlake scan --universe`).

A file is a CSV with the columns universe, symbol, valid_from, valid_to and, if wanted, exchange; both days are included and an
empty one is open. Without a column universe, or without a heading at all, it is a watchlist: a universe named like the file, always
in force. A symbol is any ticker that a share has or had, or its instrument_id.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import polars as pl

from pipelines.build.lake_schema import UNIVERSE_MEMBERS, UNIVERSE_RULES
from pipelines.scanners.registry import UniverseError
from pipelines.user_files import UserFileError, read_text_file, shown

__all__ = [
    "ALL",
    "LIQUID",
    "WATCHLIST",
    "UniverseError",
    "Universes",
    "read_universes",
    "read_watchlist",
]

ALL, LIQUID, WATCHLIST = "all", "liquid", "watchlist"
#: Where a file names a symbol: `place` is file and line.
LINES = {"universe_name": pl.String, "exchange": pl.String, "symbol": pl.String, "place": pl.String}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MOST_BYTES = 64 << 20
_COLUMNS = ("universe", "symbol", "valid_from", "valid_to", "exchange")


@dataclass(frozen=True)
class Universes:
    """What there is to choose from: `members`, `rules` and `lines`, in the columns of these names."""

    members: pl.DataFrame
    rules: pl.DataFrame
    lines: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LINES))

    @property
    def names(self) -> list[str]:
        """All universes, `all` first."""
        lists = self.members.get_column("universe_name").unique().sort().to_list()
        return [ALL, *self.rules.get_column("universe_name").to_list(), *lists]

    def check(self, name: str) -> str:
        """The name, if a universe has it; UniverseError with the nearest spelling otherwise."""
        if name not in self.names:
            near = difflib.get_close_matches(name, self.names, 1, 0.5)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise UniverseError(f"unknown universe {name!r}{hint} Known universes: {', '.join(self.names)}")
        return name

    def with_watchlist(self, symbols: Iterable[str], file: Path | None = None) -> Universes:
        """The same and a list that is always in force. symbols: as `read_watchlist` gives them where they come from a `file`."""
        named = dict(symbols) if isinstance(symbols, Mapping) else {}
        rows = [(WATCHLIST, None, symbol, date.min, date.max) for symbol in symbols]
        lines = [(WATCHLIST, None, symbol, f"{file}:{line}") for symbol, line in named.items()]
        return replace(
            self,
            members=pl.concat([self.members, pl.DataFrame(rows, schema=UNIVERSE_MEMBERS, orient="row")]),
            lines=pl.concat([self.lines, pl.DataFrame(lines, schema=LINES, orient="row")]),
        )

    def fingerprint(self, names: Iterable[str]) -> str:
        """A short hash of what these universes are; `all` needs none."""
        digest = hashlib.sha256()
        for name in sorted(set(names) - {ALL}):
            for frame in (self.members, self.rules):
                digest.update(frame.filter(pl.col("universe_name") == name).sort(pl.all()).write_csv().encode())
        return digest.hexdigest()[:12]


def read_universes(path: Path | None, liquid_value: float) -> Universes:
    """Universes of a CSV file or of every CSV of a folder, and `liquid` above a median traded value (the exchange's currency).

    Raises UniverseError naming file and line.
    """
    rules = pl.DataFrame([(LIQUID, liquid_value)], schema=UNIVERSE_RULES, orient="row")
    if path is None:
        return Universes(pl.DataFrame(schema=UNIVERSE_MEMBERS), rules)
    if not path.exists():
        raise UniverseError(f"MARKETLAKE_UNIVERSES: {path} does not exist")
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    rows = [(*row, place) for file in files for place, row in _rows(file)]
    found = pl.DataFrame(rows, schema={**UNIVERSE_MEMBERS, "place": pl.String}, orient="row")
    return Universes(found.select(*UNIVERSE_MEMBERS).unique(maintain_order=True), rules, found.select(*LINES))


def read_watchlist(path: Path) -> dict[str, int]:
    """Symbols (or instrument_ids) of a CSV with a column symbol, or of a plain list, one a line; `#` begins a remark.

    Each with the line that names it first. Raises UniverseError for a file that is absent or holds no symbol.
    """
    found: dict[str, int] = {}
    for number, row in _lines(path):
        found.setdefault(str(row["symbol"]).upper(), number)
    if not found:
        raise UniverseError(f"{path} holds no symbol; write one a line, or a CSV with a column symbol")
    return found


def _rows(path: Path) -> list[tuple[str, tuple[str, str | None, str, date, date]]]:
    """Place and member of every line."""
    rows = []
    for number, row in _lines(path):
        place = f"{path}:{number}"
        name = row.get("universe") or path.stem.lower()
        if not _NAME.fullmatch(name) or name in (ALL, LIQUID, WATCHLIST):
            raise UniverseError(
                f"{place}: a universe cannot be called {shown(name)}; take small letters, digits and _, and none of "
                f"{ALL}, {LIQUID}, {WATCHLIST}"
            )
        first = _day(row.get("valid_from"), date.min, f"{place}: valid_from")
        last = _day(row.get("valid_to"), date.max, f"{place}: valid_to")
        if first > last:
            raise UniverseError(f"{place}: valid_from {first} lies after valid_to {last}")
        rows.append((place, (name, row.get("exchange") or None, row["symbol"].upper(), first, last)))
    return rows


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and fields of every line that names a symbol."""
    try:
        text = read_text_file(path, "universe or watchlist", _MOST_BYTES, pipes=True)
    except UserFileError as error:
        raise UniverseError(str(error)) from error
    kept = []
    for number, written in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        line = written.partition("#")[0].strip()
        if (command := next((c for c in line if ord(c) < 0x20 and c != "\t"), None)) is not None:
            raise UniverseError(f"{path}:{number}: holds the control character U+{ord(command):04X}; remove it")
        if not line:
            continue
        try:
            kept.append((number, [cell.strip() for cell in next(csv.reader([line], strict=True))]))
        except csv.Error as error:
            raise UniverseError(f"{path}:{number}: {shown(line)} is no line of a CSV ({error})") from error
    if not kept:
        return []
    first, heading = kept[0][0], [cell.lower() for cell in kept[0][1]]
    if "symbol" not in heading:
        if "universe" in heading or len(heading) > 1:
            raise UniverseError(f"{path}:{first}: no column symbol; columns are {', '.join(_COLUMNS)}")
        return [(n, {"symbol": cells[0]}) for n, cells in kept if cells[0]]
    if twice := [name for name in heading if name and heading.count(name) > 1]:
        raise UniverseError(f"{path}:{first}: the column {shown(twice[0])} is there twice; remove one")
    for number, cells in kept[1:]:
        if any(cells[len(heading) :]):
            raise UniverseError(
                f"{path}:{number}: {len(cells)} fields where the heading has {len(heading)}: {shown(','.join(cells))}"
            )
    found = [(n, dict(zip(heading, cells, strict=False))) for n, cells in kept[1:]]
    return [(n, row) for n, row in found if row.get("symbol")]


def _day(text: str | None, default: date, what: str) -> date:
    try:
        return date.fromisoformat(text) if text else default
    except ValueError:
        raise UniverseError(f"{what} {shown(text)} is no date; write it as YYYY-MM-DD") from None
