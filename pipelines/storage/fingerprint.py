"""Byte-for-byte comparison of tables.

Lives here: `fingerprint`, the SHA-256 of a canonical Arrow stream.
Does not live here: which tables a release holds (`releases.py`).
"""

from __future__ import annotations

import hashlib

import polars as pl
import pyarrow as pa

from pipelines.market.schema import TableSchema


def fingerprint(frame: pl.DataFrame, schema: TableSchema) -> str:
    """SHA-256 of an Arrow IPC stream of the rows sorted by key, without the columns that a rebuild cannot reproduce.

    Arrow leaves open what lies in memory under a missing value and whether a bitmap without gaps is written at all. So the
    stream holds each column filled up, with a byte per row beside it that tells whether the value is there.
    """
    rows = frame.select(schema.reproducible()).sort(list(schema.key))
    columns: dict[str, pl.Series] = {}
    for column in rows:
        there = column.is_not_null()
        columns[column.name] = column.cast(pl.UInt8) if column.dtype == pl.Boolean else column
        columns[column.name] = columns[column.name].zip_with(there, _filler(columns[column.name]))
        columns[f"{column.name} is there"] = there.cast(pl.UInt8)
    table = pl.DataFrame(columns).to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    sink = _HashSink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema) as writer:
        writer.write_table(table, max_chunksize=64 * 1024)
    return sink.digest.hexdigest()


def _filler(column: pl.Series) -> pl.Series:
    if isinstance(column.dtype, pl.List):
        return pl.Series(column.name, [[]], dtype=column.dtype)
    if column.dtype == pl.String:
        return pl.Series(column.name, [""])
    return pl.Series(column.name, [0]).cast(column.dtype)


class _HashSink:
    """A file object that keeps nothing but a hash."""

    closed = False

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        self.closed = True
