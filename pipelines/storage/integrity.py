"""Whether the files of a table are those that were written, and its log is followed by marketlake's own commits alone.

Lives here: the checksum in a file's name, comparing files with it, and the mark of our own commits.
Does not live here: writing files (`data_files.py`), which of them a version has (`table_log.py`), putting a damage right
(`pipelines/maintenance`).

A data file's name ends with half of the SHA-256 of its content, and the log has its size: each entry of the log says what its files
hold. Files of homes that were made before have other names; of these only the size is known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow.fs as pafs

from pipelines.storage.errors import WAY_OUT
from pipelines.storage.location import filesystem_of

#: Half of a SHA-256 in hexadecimal digits: what the name of a data file has of it.
CHECKSUM_DIGITS = 32
#: Name of what a commit's metadata holds of the files that it adds; a commit without it is not of this version of marketlake.
MARK = "marketlake"
#: Name of what a repair notes in a commit's metadata: which fault it put right.
REPAIRED = "repaired"
#: One of these is in the metadata of every commit with rows that an earlier version of marketlake made.
_EARLIER_MARKS = frozenset(
    ("batches", "batch", "build", "calendar", "made_of", "of", "order", "release", "rules", "run", "run_key", "why", "withdrawn")
)
#: Commits of earlier versions that bring no rows have no metadata.
_WITHOUT_ROWS = {"CREATE TABLE", "ADD COLUMN"}
_WRITTEN = re.compile(rf"-([0-9a-f]{{{CHECKSUM_DIGITS}}})\.parquet$")
_REPRODUCIBLE = re.compile(rf"-([0-9a-f]{{{CHECKSUM_DIGITS}}})-[0-9a-f]{{{CHECKSUM_DIGITS}}}\.parquet$")
_CHUNK = 1 << 20
#: Files that one message names.
_SHOWN = 3

Fault = Literal["missing", "short", "changed"]


@dataclass(frozen=True)
class DataFile:
    """A data file of a version: its address, size by the log, and value of the partition column."""

    uri: str
    size: int
    partition: str | None
    rows: int

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.uri.rpartition("/")[2]

    @property
    def checksum(self) -> str | None:
        """What its content has to hash to; None where that was not recorded."""
        return recorded_checksum(self.uri)


@dataclass(frozen=True)
class Damage:
    """A file that is not as it was written. `table` is its place in the lake, such as XNYS/bars_daily."""

    table: str
    file: DataFile
    fault: Fault

    def describe(self) -> str:
        """The file, what is wrong with it, and which rows it holds."""
        found = {
            "missing": "is missing",
            "short": "has another size than was written",
            "changed": "has other content than was written",
        }
        part = f" of {self.file.partition}" if self.file.partition else ""
        return f"{self.file.name} ({self.file.rows:,} rows{part}) {found[self.fault]}"


def recorded_checksum(uri: str) -> str | None:
    """The checksum that a file's name holds; None for files of other writers and of earlier versions."""
    found = _WRITTEN.search(uri)
    return found.group(1) if found else None


def reproducible_checksum(uri: str) -> str | None:
    """The checksum of what a rebuild reproduces of a file's content: that of the content, where its name holds no other."""
    found = _REPRODUCIBLE.search(uri)
    return found.group(1) if found else recorded_checksum(uri)


def checksum_of(content: bytes | memoryview) -> str:
    """The checksum of a file's content, as its name has it."""
    return hashlib.sha256(content).hexdigest()[:CHECKSUM_DIGITS]


def find_damage(table: str, files: Iterable[DataFile], *, deep: bool) -> list[Damage]:
    """Files that are missing or of another size; with `deep`, which reads all of them, of other content too."""
    found = []
    for file in files:
        fault = _fault(file.uri, file.size, deep=deep)
        if fault is not None:
            found.append(Damage(table, file, fault))
    return found


def are_as_written(uris: Iterable[str]) -> bool:
    """Whether files are there, with the content that their names tell of. Reads each; stops at the first that is not."""
    return all(_fault(uri, None, deep=True) is None for uri in uris)


def describe_damage(table: str, damages: Sequence[Damage]) -> str:
    """One line on the damaged files of a table, with the way out."""
    shown = "; ".join(damage.describe() for damage in damages[:_SHOWN])
    more = f"; and {len(damages) - _SHOWN} more" if len(damages) > _SHOWN else ""
    return f"{table} is damaged: {shown}{more}: {WAY_OUT}"


def mark_of(files: Sequence[tuple[str, int]]) -> str:
    """What a commit's metadata says of the files (path, size) that it adds: how many, and a hash of their names and sizes."""
    listed = "\n".join(f"{path} {size}" for path, size in sorted(files))
    return f"{len(files)} files, sha256 {hashlib.sha256(listed.encode()).hexdigest()}"


def is_own(commit: Mapping[str, object]) -> bool:
    """Whether an entry of a table's history is of a commit that marketlake made, this version or an earlier one."""
    return MARK in commit or bool(_EARLIER_MARKS & commit.keys()) or commit.get("operation") in _WITHOUT_ROWS


def _fault(uri: str, size: int | None, *, deep: bool) -> Fault | None:
    """What is wrong with a file; `size` None: not known."""
    filesystem, path = filesystem_of(uri)
    info = filesystem.get_file_info(path)
    if info.type != pafs.FileType.File:
        return "missing"
    if size is not None and info.size != size:
        return "short"
    expected = recorded_checksum(uri)
    if deep and expected is not None and _hash_file(filesystem, path) != expected:
        return "changed"
    return None


def _hash_file(filesystem: pafs.FileSystem, path: str) -> str:
    digest = hashlib.sha256()
    with filesystem.open_input_stream(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()[:CHECKSUM_DIGITS]
