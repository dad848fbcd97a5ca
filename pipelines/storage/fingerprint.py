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
    """SHA-256 of an Arrow IPC stream of the rows sorted by key, without the columns that a rebuild cannot reproduce."""
    names = schema.reproducible()
    fields = pa.schema([schema.arrow().field(name) for name in names])
    rows = frame.select(names).sort(list(schema.key)).to_arrow().cast(fields).combine_chunks()
    sink = _HashSink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), fields) as writer:
        writer.write_table(rows, max_chunksize=64 * 1024)
    return sink.digest.hexdigest()


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
