"""Faults that disks, people and other programs plant in a lake.

Lives here: one function a fault, on a file or a table's folder.
Does not live here: what is expected of a home that has one (the tests).
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
from deltalake import DeltaTable, write_deltalake

from pipelines.storage.delta import LakeTable


def flip_bit(path: Path, offset: int | None = None) -> None:
    """Turn one bit of a file (default: in its middle), as a disk does: size and time of change stay."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if offset is None else offset] ^= 0b100
    path.write_bytes(bytes(content))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def cut(path: Path) -> None:
    """Leave the first half of a file."""
    os.truncate(path, path.stat().st_size // 2)


def lose(path: Path) -> None:
    """Delete a file."""
    path.unlink()


#: Faults of a data file, by name, with the words by which a message tells of them.
FILE_FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "bit flip": (flip_bit, "has other content than was written"),
    "cut": (cut, "has another size than was written"),
    "deleted": (lose, "is missing"),
}


def newest_file(table: LakeTable) -> Path:
    """The last data file of a table's newest version: of its newest partition."""
    version = table.version()
    assert version is not None
    return Path(table.files(version)[-1])


def log_entry(table: LakeTable, version: int | None = None) -> Path:
    """A table's log entry of a version; default: the newest."""
    number = table.version() if version is None else version
    return Path(table.uri) / "_delta_log" / f"{number:020}.json"


def append_foreign(table: LakeTable, rows: pl.DataFrame | None = None) -> None:
    """Append rows (default: the table's first) by deltalake itself, as any program can."""
    added = table.read().head(1) if rows is None else rows
    write_deltalake(DeltaTable(table.uri), added.select(table.schema.names).to_arrow().cast(table.schema.arrow()), mode="append")


def remove_folder(table: LakeTable) -> None:
    """Delete a table with its log."""
    shutil.rmtree(table.uri)
