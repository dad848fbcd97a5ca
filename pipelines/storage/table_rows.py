"""Rows of a Delta table's version: which data files hold them, and reading these.

Lives here: `read_rows`, `list_files`, and a frame without rows as a table has it.
Does not live here: a table and its versions (`delta.py`), what its log says of files (`table_log.py`), commits
(`table_commits.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from pipelines.market.schema import TableSchema
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.integrity import are_as_written, describe_damage, find_damage
from pipelines.storage.table_log import data_files, table_place

PartitionValue = date | int
#: What polars raises where a Parquet file is not one; its Rust panics on some.
_UNDECODABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


def empty_frame(schema: TableSchema) -> pl.DataFrame:
    """A frame without rows, with the columns and types of a table."""
    # From no batch: to make empty columns pyarrow would import pandas, half a second in every command that reads a table.
    frame = pl.from_arrow(pa.Table.from_batches([], schema=schema.arrow()))
    assert isinstance(frame, pl.DataFrame)
    return frame


def list_files(handle: DeltaTable, schema: TableSchema, partitions: Sequence[PartitionValue] | None) -> list[str]:
    """Data files of a version, sorted; None: of all partitions.

    Delta writes local paths percent-encoded; these are as the file system has them.
    """
    if partitions is not None and not partitions:
        return []
    predicate = None if partitions is None else _predicate(schema, partitions)
    files = sorted(handle.file_uris(file_pruning_predicate=predicate))
    return [unquote(file) if file.startswith("/") else file for file in files]


def read_rows(
    handle: DeltaTable | None,
    uri: str,
    schema: TableSchema,
    partitions: Sequence[PartitionValue] | None,
    columns: Sequence[str] | None = None,
    where: pl.Expr | None = None,
    *,
    verify: bool = True,
) -> pl.DataFrame:
    """Rows of a version of the table at `uri`, as `LakeTable.read` tells; no rows without a handle."""
    names = list(columns or schema.names)
    if handle is None or (partitions is not None and not partitions):
        return empty_frame(schema).select(names)
    files = list_files(handle, schema, partitions if schema.partition_by else None)
    if not files:
        return empty_frame(schema).select(names)
    if verify and not are_as_written(files):
        raise _damaged(handle, uri, schema, "a file changed while it was read")
    types = empty_frame(schema).schema
    partition = schema.partition_by
    rows = pl.scan_parquet(
        files,
        schema={name: kind for name, kind in types.items() if name != partition},
        glob=False,
        hive_partitioning=partition is not None,
        hive_schema={partition: types[partition]} if partition else None,
        # Indicators that were chosen since are NULL in older files; those no longer chosen stay in them.
        missing_columns="insert",
        extra_columns="ignore",
    )
    try:
        return (rows if where is None else rows.filter(where)).select(names).collect()
    except _UNDECODABLE as error:
        raise _damaged(handle, uri, schema, " ".join(str(error).split())[:160]) from None


def _damaged(handle: DeltaTable, uri: str, schema: TableSchema, reason: str) -> DamagedTableError:
    """What is wrong with a version that could not be read, its files compared one by one; `reason` where all are as written."""
    place, files = table_place(uri), data_files(handle, uri, schema.partition_by)
    damages = find_damage(place, files, deep=False) or find_damage(place, files, deep=True)
    return DamagedTableError(
        describe_damage(place, damages) if damages else f"{place} cannot be read ({reason}); nothing is wrong with its files"
    )


def _predicate(schema: TableSchema, partitions: Iterable[PartitionValue]) -> str:
    if not schema.partition_by:
        raise ValueError(f"table {schema.name} has no partitions")
    values = ", ".join(str(p) if isinstance(p, int) else f"'{p.isoformat()}'" for p in sorted(set(partitions)))
    return f"{schema.partition_by} IN ({values})"
