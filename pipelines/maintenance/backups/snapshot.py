"""A lake at one moment: its tables' newest versions, and the exact list of files that they and the kept releases have.

Lives here: `take_snapshot`, which reads the lake while a run may be writing to it, and takes no lock.
Does not live here: copying the files (`make.py`), other files of a home (`home_files.py`).

Versions of one table follow each other, and each is complete when its log names it. The newest versions of all tables are read
again and again until two readings agree: between the two nothing was committed, so that they belong together. A run that is at work
is left out of the snapshot from its next commit on, as if it had been killed there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import polars as pl

from pipelines.market.tables.operations import RAW_FILES, RELEASES
from pipelines.storage.delta import LakeTable
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.integrity import recorded_checksum
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release, releases
from pipelines.storage.retention import read_retention
from pipelines.storage.table_log import data_files, require_table

#: Beside the tables: which release is held, what is kept.
_SMALL_FILES = ("hold.json", "retention.json")
_READINGS = 100
_ENTRY = re.compile(r"(\d{20})\.(json|checkpoint\..*parquet)")
_Read = TypeVar("_Read")


class BusyLakeError(RuntimeError):
    """The lake changed faster than it could be read."""


@dataclass(frozen=True)
class LakeFile:
    """A file of the lake by its place below the root; checksum: how the SHA-256 of its content begins, None: it is not known.

    size: None where it is not on record. raw: a delivery as received. use: `needed` where a newest version has it, `kept` where
    only earlier releases have, `left` where neither does.
    """

    path: str
    size: int | None = None
    checksum: str | None = None
    use: Literal["needed", "kept", "left"] = "needed"
    raw: bool = False


@dataclass(frozen=True)
class Snapshot:
    """tables: newest version by place. releases: all, oldest first. small: content of files beside the tables, by name."""

    tables: Mapping[str, int]
    releases: tuple[Release, ...]
    small: Mapping[str, bytes]
    files: tuple[LakeFile, ...]


def take_snapshot(lake: Lake) -> Snapshot:
    """The lake at this moment. Raises DamagedTableError where a version that has to be kept cannot be opened, BusyLakeError."""
    root = Path(lake.root)
    tables, small = settle(lambda: (_newest_versions(root), _read_small(root)))
    known = tuple(releases(lake, tables[RELEASES.name])) if RELEASES.name in tables else ()
    expired = read_retention(lake).expired
    kept = [release for release in known if release.release_id not in expired]
    needed: dict[str, set[int]] = {place: {version} for place, version in tables.items()}
    for release in kept:
        for mic, of_tables in release.table_versions.items():
            for name, version in of_tables.items():
                needed.setdefault(f"{mic}/{name}", set()).add(version)
    files = {file.path: file for place, head in tables.items() for file in _log_of(root, place, head)}
    for place, versions in sorted(needed.items()):
        files.update({file.path: file for file in _data_of(lake, place, tables.get(place), versions)})
    files.update({file.path: file for file in _raw_files(lake, tables)})
    return Snapshot(tables, known, small, tuple(files[path] for path in sorted(files)))


def settle(read: Callable[[], _Read]) -> _Read:
    """What two readings in a row agree on. Raises BusyLakeError after 100 that do not."""
    last = read()
    for _ in range(_READINGS):
        again = read()
        if again == last:
            return last
        last = again
    raise BusyLakeError("the lake changes faster than it can be read; run the command again")


def _newest_versions(root: Path) -> dict[str, int]:
    """Newest version of every table, by its place, from the names in its log."""
    found = {}
    for log in sorted((*root.glob("*/_delta_log"), *root.glob("*/*/_delta_log"))):
        versions = [int(match.group(1)) for entry in log.iterdir() if (match := _ENTRY.fullmatch(entry.name))]
        place = log.parent.relative_to(root).as_posix()
        if versions and not place.endswith(".repair"):
            found[place] = max(versions)
    return found


def _read_small(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in _SMALL_FILES if (root / name).is_file()}


def _log_of(root: Path, place: str, head: int) -> Iterator[LakeFile]:
    """Entries and checkpoints of a table's log up to a version, and what a repair set aside of it.

    `_last_checkpoint` only spares readers a listing, and may name a checkpoint of a later version.
    """
    for entry in (root / place / "_delta_log").iterdir():
        match = _ENTRY.fullmatch(entry.name)
        if match and int(match.group(1)) <= head:
            yield LakeFile(entry.relative_to(root).as_posix())
    for aside in (root / place).glob("_delta_log_before_*"):
        yield from (LakeFile(path.relative_to(root).as_posix()) for path in aside.rglob("*") if path.is_file())


def _data_of(lake: Lake, place: str, head: int | None, versions: set[int]) -> Iterator[LakeFile]:
    """Data files of a table: those that its newest version (None: it is gone) has or one of these, and what earlier ones left."""
    uri = lake.uri(*place.split("/"))
    for path in _named_in_log(Path(uri), head) if head is not None else ():
        if (Path(uri) / path).is_file():
            yield LakeFile(f"{place}/{path}", (Path(uri) / path).stat().st_size, recorded_checksum(path), "left")
    for version in sorted(versions):
        try:
            listed = data_files(require_table(uri, version), uri, None)
        except DamagedTableError:
            # What a repair found lost is lost: nobody reads it again.
            if LakeTable(uri, RELEASES).repaired_since(version) is None:
                raise
            continue
        # Sorted: what the newest version has comes last and counts.
        use: Literal["needed", "kept"] = "needed" if version == head else "kept"
        for file in listed:
            yield LakeFile(f"{place}/{file.uri.removeprefix(uri).lstrip('/')}", file.size, file.checksum, use)


def _named_in_log(table: Path, head: int) -> Iterator[str]:
    """Paths of the data files that a table's log took in up to a version."""
    log = table / "_delta_log"
    entries = sorted(path for path in log.glob("*.json") if path.stem.isdecimal() and int(path.stem) <= head)
    if not entries or int(entries[0].stem) > 0:
        # The log begins with a checkpoint, which has all that came before.
        for checkpoint in sorted(log.glob("*.checkpoint*.parquet"))[:1]:
            yield from pl.read_parquet(checkpoint, columns=["add"])["add"].struct.field("path").drop_nulls()
    for entry in entries:
        for line in entry.read_text(encoding="utf-8").splitlines():
            if line.startswith('{"add"'):
                yield json.loads(line)["add"]["path"]


def _raw_files(lake: Lake, tables: Mapping[str, int]) -> Iterator[LakeFile]:
    """Kept deliveries: those on record, and those that lie there, whose ingest may have been killed."""
    root = Path(lake.root)
    for folder in sorted(root.glob("*/raw")):
        for path in folder.glob("??/*"):
            if not path.name.startswith("."):
                yield LakeFile(path.relative_to(root).as_posix(), path.stat().st_size, path.name, "left", raw=True)
    for place, head in tables.items():
        mic, _, name = place.partition("/")
        if name == RAW_FILES.name:
            register = LakeTable(lake.table_uri(mic, name), RAW_FILES).read(head, columns=["content_hash", "size_bytes"])
            for digest, size in register.unique().iter_rows():
                yield LakeFile(f"{mic}/raw/{digest[:2]}/{digest}", size, digest, raw=True)
