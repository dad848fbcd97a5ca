"""Commits to a Delta table: creating it, writing the files of a change, and taking them in on top of the version that was read.

Lives here: `Change`, `create_table`, `write_rows`, `commit_files`, and which columns a commit adds.
Does not live here: a table and its versions (`delta.py`), how rows are encoded (`data_files.py`), what to write (`merge.py`,
`upsert.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema
from deltalake.exceptions import CommitFailedError

from pipelines.market.schema import TableSchema
from pipelines.storage.data_files import DataFiles
from pipelines.storage.integrity import MARK, mark_of
from pipelines.storage.table_log import open_table, require_table
from pipelines.storage.table_rows import PartitionValue

#: Versions are kept until a release no longer pins them; deletion is a decision of maintenance, not the log's.
_CONFIGURATION: dict[str, str | None] = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
    # A reader replays at most so many commits beside the checkpoint.
    "delta.checkpointInterval": "10",
}


class LakeConflictError(RuntimeError):
    """Other writers kept committing to the same table; nothing of this commit was written."""


class Change:
    """What an update decided: rows that replace all rows of `partitions`; None means the whole table, an empty list nothing."""

    def __init__(self, rows: pl.DataFrame, partitions: Sequence[PartitionValue] | None) -> None:
        self.rows = rows
        self.partitions = partitions


def create_table(uri: str, schema: TableSchema) -> DeltaTable:
    """The table's first version, without rows: if another writer made it meanwhile, a commit to this one fails."""
    DeltaTable.create(
        uri,
        schema=schema.arrow(),
        mode="ignore",
        partition_by=[schema.partition_by] if schema.partition_by else None,
        configuration=_CONFIGURATION,
        commit_properties=CommitProperties(custom_metadata={MARK: mark_of([])}),
    )
    return DeltaTable(uri, version=0)


def add_new_columns(base: DeltaTable, schema: TableSchema) -> None:
    """Commit the columns that a table does not have yet: a commit that only adds files does not change them."""
    if new := _new_fields(base.schema(), schema):
        base.alter.add_columns(new, commit_properties=CommitProperties(custom_metadata={MARK: mark_of([])}))


def write_rows(files: DataFiles, rows: pl.DataFrame, schema: TableSchema) -> None:
    """Write rows, a file for each partition."""
    table, column = _arrow(rows, schema), schema.partition_by
    if column is None:
        files.write(table, None)
        return
    runs = rows.get_column(column).sort().rle().struct.unnest()
    start = 0
    for length, value in runs.iter_rows():
        files.write(table.slice(start, length), value)
        start += length


def commit_files(
    base: DeltaTable,
    uri: str,
    schema: TableSchema,
    files: DataFiles,
    mode: Literal["append", "overwrite"],
    partitions: Collection[PartitionValue],
    metadata: Mapping[str, str],
) -> bool:
    """Commit files as the version after `base`; False where another writer has made that version.

    Files that this version holds stay: of the same rows another writer makes the same files. The others are deleted.
    """
    column = schema.partition_by
    mark = mark_of([(action.path, action.size) for action in files.added])
    try:
        base.create_write_transaction(
            [*files.added],
            mode,
            _widened(base.schema(), schema),
            partition_by=[column] if column else None,
            partition_filters=[(column, "in", [str(p) for p in sorted(partitions)])] if column and partitions else None,
            # Never on top of a version that was not read: what was decided knows nothing of its rows.
            commit_properties=CommitProperties(custom_metadata={**metadata, MARK: mark}, max_commit_retries=0),
        )
    except CommitFailedError:
        newest = open_table(uri)
        if newest is not None and newest.version() == base.version():
            # No other writer: the log cannot be written.
            files.discard()
            raise
        made = require_table(uri, base.version() + 1)
        files.discard({file.rpartition("/")[2] for file in made.file_uris()})
        return False
    return True


def _widened(stored: Schema, schema: TableSchema) -> Schema:
    """The stored columns, and indicators that were chosen since. Those no longer chosen stay, as NULL."""
    new = _new_fields(stored, schema)
    return Schema([*stored.fields, *new]) if new else stored


def _new_fields(stored: Schema, schema: TableSchema) -> list[Field]:
    known = {field.name for field in stored.fields}
    new = [field.with_nullable(True) for field in schema.arrow() if field.name not in known]
    return Schema.from_arrow(pa.schema(new)).fields if new else []


def _arrow(frame: pl.DataFrame, schema: TableSchema) -> pa.Table:
    ordered = frame.select(schema.names)
    if schema.sort_by:
        first = [schema.partition_by] if schema.partition_by else []
        ordered = ordered.sort([*first, *(c for c in schema.sort_by if c not in first)])
    return ordered.to_arrow().cast(schema.arrow())
