"""Compaction: many small files of a table's partition become one.

Lives here: finding such partitions, and writing each anew.
Does not live here: deleting the files that were replaced, which readers may still need (`expiry.py`).

An update writes one file a partition; a table that rows are appended to gets one each time, as the register of releases every
night.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.maintenance.lake_tables import list_tables
from pipelines.storage.delta import Change, LakeTable, PartitionValue
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.integrity import DataFile
from pipelines.storage.location import Lake

#: A partition is written anew from so many small files on; what is smaller is small; a larger partition would not fit in memory.
_MANY, _SMALL_BYTES, _MOST_BYTES = 8, 8_000_000, 256_000_000

Reader = Callable[[Sequence[PartitionValue] | None], pl.DataFrame]


@dataclass(frozen=True)
class Compacted:
    """What became fewer files: a table (`XNYS/bars_daily`), how many files of it and their bytes, and how many partitions."""

    table: str
    files: int
    size_bytes: int
    partitions: int


def compact_tables(lake: Lake, exchanges: Iterable[str], *, dry_run: bool) -> list[Compacted]:
    """Write partitions of many small files anew as one file each, one commit a table; `dry_run`: say which.

    A damaged table is left to a repair. The rows stay the same, in another version of the table.
    """
    done = []
    for (mic, name), table in list_tables(lake, exchanges).items():
        try:
            scattered = _find_scattered(table)
            if scattered and not dry_run:
                _write_anew(table, list(scattered))
        except DamagedTableError:
            continue
        if scattered:
            files = [file for found in scattered.values() for file in found]
            place = f"{mic}/{name}" if mic else name
            done.append(Compacted(place, len(files), sum(file.size for file in files), len(scattered)))
    return done


def _find_scattered(table: LakeTable) -> dict[PartitionValue | None, list[DataFile]]:
    """Files of each partition that has many small ones, by its value; None stands for a table without partitions."""
    version = table.own_version()
    if version is None:
        return {}
    values = {str(value): value for value in table.partition_values(version)} if table.schema.partition_by else {}
    by_partition: dict[PartitionValue | None, list[DataFile]] = defaultdict(list)
    for file in table.data_files(version):
        by_partition[values[file.partition] if file.partition is not None else None].append(file)
    return {
        partition: files
        for partition, files in by_partition.items()
        if sum(file.size < _SMALL_BYTES for file in files) >= _MANY and sum(file.size for file in files) <= _MOST_BYTES
    }


def _write_anew(table: LakeTable, partitions: list[PartitionValue | None]) -> None:
    def changes(read: Reader) -> Iterator[Change]:
        for partition in partitions:
            chosen = None if partition is None else [partition]
            yield Change(read(chosen), chosen)

    table.update_in_parts(changes, {"why": "compaction"})
