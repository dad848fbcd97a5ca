"""Putting one table right: another program's commits, damaged files, a log that cannot be followed.

Lives here: what is wrong with a table, and the changes of its files and log that put it right with given rows.
Does not live here: where the rows come from (`replay.py`), which table is put right by what (`repair.py`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import polars as pl
from deltalake import CommitProperties, DeltaTable

from pipelines.storage.delta import Change, LakeTable, PartitionValue, empty_frame
from pipelines.storage.errors import DamagedTableError, ForeignCommitError
from pipelines.storage.integrity import MARK, REPAIRED, Damage, are_as_written, is_own, mark_of
from pipelines.storage.table_log import open_table

Fault = Literal["foreign", "files", "log", "gone"]
#: Earlier versions that are looked at for rows of a damaged file.
_LOOKED_BACK = 200


@dataclass(frozen=True)
class TableFault:
    """What is wrong with a table. head: its newest readable version. last: the newest that it is known to have had."""

    table: LakeTable
    fault: Fault
    head: int | None
    last: int
    damages: tuple[Damage, ...] = ()

    @property
    def partitions(self) -> list[PartitionValue] | None:
        """Partitions with damaged files, sorted; None for a table without partitions."""
        by = self.table.schema.partition_by
        if by is None:
            return None
        values = {str(damage.file.partition) for damage in self.damages}
        return sorted(int(value) for value in values) if by == "session_year" else sorted(date.fromisoformat(v) for v in values)


def find_fault(table: LakeTable, released: int | None) -> TableFault | None:
    """What is wrong with a table, of which a release holds version `released`; None where it is whole. Reads all of its files."""
    try:
        head = table.own_version()
    except ForeignCommitError:
        head = table.version()
        return TableFault(table, "foreign", head, head or 0)
    except DamagedTableError:
        entries = _log_versions(table)
        good = next((v for v in reversed(range(max(entries, default=-1) + 1)) if _opens(table, v)), None)
        return TableFault(table, "log", good, max([*entries, released or 0]))
    if head is None:
        return TableFault(table, "gone", None, released) if released is not None else None
    if released is not None and head < released:
        return TableFault(table, "log", head, released)
    damages = table.find_damage(head, deep=True)
    return TableFault(table, "files", head, head, tuple(damages)) if damages else None


def take_back_foreign(table: LakeTable) -> tuple[int, int]:
    """Make the last version that marketlake made the newest again. Returns it, and how many commits were taken back."""
    handle = open_table(table.uri)
    if handle is None:
        raise DamagedTableError(f"{table.uri} is gone")
    history = handle.history()
    own = next(entry for entry in history if is_own(entry))
    version = int(own["version"])
    handle.restore(version, commit_properties=CommitProperties(custom_metadata={REPAIRED: "foreign commits", MARK: mark_of([])}))
    return version, int(history[0]["version"]) - version


def note_repair(table: LakeTable, what: str) -> None:
    """Commit that a table stands as it is: what is built on its released version is built anew. `what` was repaired."""
    handle = open_table(table.uri)
    if handle is not None:
        # A commit without files: a property is set to what it is.
        interval = {"delta.checkpointInterval": handle.metadata().configuration.get("delta.checkpointInterval", "10")}
        noted = CommitProperties(custom_metadata={REPAIRED: what, MARK: mark_of([])})
        handle.alter.set_table_properties(interval, commit_properties=noted)


def copy_twins(damages: Iterable[Damage]) -> list[Damage]:
    """Bring back files of which the table's folder holds another with the same content. Returns those that have none."""
    left = []
    for damage in damages:
        path = Path(damage.file.uri)
        root = path.parent.parent if damage.file.partition else path.parent
        twins = root.rglob(f"*-{damage.file.checksum}.parquet") if damage.file.checksum and root.is_dir() else iter(())
        twin = next((twin for twin in twins if twin != path and are_as_written([str(twin)])), None)
        if twin is None:
            left.append(damage)
        else:
            put_file(twin, path)
    return left


def put_file(source: Path, target: Path) -> None:
    """Copy a file into place as a whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, temporary)
    os.replace(temporary, target)


def earlier_rows(fault: TableFault, partitions: Sequence[PartitionValue] | None) -> pl.DataFrame | None:
    """Rows of partitions in the newest earlier version whose files of them are whole; None where there is none such."""
    head = fault.last if fault.head is None else fault.head
    for version in range(head, max(head - _LOOKED_BACK, 0), -1):
        try:
            return fault.table.read(version, partitions)
        except DamagedTableError:
            continue
    return None


def replace_partitions(
    table: LakeTable,
    rows_of: Callable[[Sequence[PartitionValue] | None], pl.DataFrame],
    partitions: Sequence[PartitionValue] | None,
) -> int:
    """Commit rows in place of partitions (None: of the whole table), without reading what is there; returns how many rows.

    They are asked for partition by partition, so that they need not fit in memory together.
    """
    count = 0

    def changes(_: object) -> Iterator[Change]:
        nonlocal count
        count = 0
        parts: list[list[PartitionValue] | None] = [None] if partitions is None else [[value] for value in partitions]
        for part in parts:
            rows = rows_of(part)
            count += rows.height
            yield Change(rows, part)

    table.update_in_parts(changes, {REPAIRED: "files"})
    return count


def restart_log(fault: TableFault, rows: pl.DataFrame) -> Path:
    """`adopt_table` of a table that is made of these rows, and gone afterwards."""
    side = LakeTable(f"{fault.table.uri}.repair", fault.table.schema)
    shutil.rmtree(side.uri, ignore_errors=True)
    by = side.schema.partition_by
    values = rows.get_column(by).unique().sort().to_list() if by else None
    if rows.height:
        side.update(lambda _: Change(rows, values), {REPAIRED: "log"})
    aside = adopt_table(fault, side)
    shutil.rmtree(side.uri)
    return aside


def adopt_table(fault: TableFault, side: LakeTable) -> Path:
    """Begin a table's log anew with the files of another table's newest version, as a version after the last one that it had.

    Returns where its broken entries lie. Versions up to the last readable one stay. Those between are gone: whoever asks for one is
    told so, and never gets other rows. The other table gets a commit that notes the repair; it is made where it is not there.
    """
    table, log = fault.table, Path(fault.table.uri, "_delta_log")
    if side.version() is None:
        side.append(empty_frame(side.schema), {REPAIRED: "log"})
    note_repair(side, "log")
    made, number = side.version() or 0, fault.last + 1
    DeltaTable(side.uri).create_checkpoint()
    aside = Path(table.uri, f"_delta_log_before_{number}")
    aside.mkdir(parents=True, exist_ok=True)
    log.mkdir(exist_ok=True)
    for entry in sorted(log.iterdir()):
        version = _version_of(entry)
        if entry.name == "_last_checkpoint" or (version is not None and (fault.head is None or version > fault.head)):
            os.replace(entry, aside / entry.name)
    for file in side.files(made):
        put_file(Path(file), Path(table.uri) / Path(file).relative_to(side.uri))
    made_log = Path(side.uri, "_delta_log")
    hint = json.loads((made_log / "_last_checkpoint").read_text(encoding="utf-8"))
    put_file(made_log / f"{made:020}.checkpoint.parquet", log / f"{number:020}.checkpoint.parquet")
    put_file(made_log / f"{made:020}.json", log / f"{number:020}.json")
    (log / "_last_checkpoint").write_text(json.dumps({**hint, "version": number}), encoding="utf-8")
    return aside


def _log_versions(table: LakeTable) -> list[int]:
    log = Path(table.uri, "_delta_log")
    versions = [_version_of(entry) for entry in log.iterdir()] if log.is_dir() else []
    of_files = [path.name.split("-")[1] for path in Path(table.uri).rglob("part-*.parquet")]
    return [version for version in versions if version is not None] + [int(v) for v in of_files if v.isdigit() and len(v) == 8]


def _version_of(entry: Path) -> int | None:
    digits = entry.name.partition(".")[0]
    return int(digits) if len(digits) == 20 and digits.isdigit() else None


def _opens(table: LakeTable, version: int) -> bool:
    try:
        return open_table(table.uri, version) is not None
    except DamagedTableError:
        return False
