"""DuckDB relations over the exact files of a table version.

Lives here: the SQL text that reads a pinned version, shared by the build database and the published catalogue.
Does not live here: those two databases (`build/database.py`, `catalogue.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa

from pipelines.market.schema import TableSchema

_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.float64(): "DOUBLE",
    pa.float32(): "FLOAT",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.time64("ns"): "TIME_NS",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
    pa.list_(pa.float64()): "DOUBLE[]",
    pa.list_(pa.int64()): "BIGINT[]",
    pa.list_(pa.timestamp("us", tz="UTC")): "TIMESTAMPTZ[]",
}


def sql_type(arrow: pa.DataType) -> str:
    """DuckDB's name of an Arrow type."""
    return _SQL_TYPES[arrow]


def select_files(schema: TableSchema, files: Sequence[str], present: Collection[str] | None = None) -> str:
    """A SELECT of the table's columns from exactly these files; of no rows when there are none.

    `present`: the columns that the version has (default: all). The others, indicators added since, are NULL.
    """
    if not files:
        columns = ", ".join(f"NULL::{sql_type(c.type)} AS {quoted(c.name)}" for c in schema.columns)
        return f"SELECT {columns} WHERE false"
    listed = ", ".join(literal(f) for f in files)
    columns = ", ".join(
        quoted(c.name) if present is None or c.name in present else f"NULL::{sql_type(c.type)} AS {quoted(c.name)}"
        for c in schema.columns
    )
    options = "union_by_name = true"
    if schema.partition_by:
        partition = schema.column(schema.partition_by)
        options += f", hive_partitioning = true, hive_types = {{{literal(partition.name)}: {sql_type(partition.type)}}}"
    return f"SELECT {columns} FROM read_parquet([{listed}], {options})"


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
