"""Data files of a Delta table: how rows are encoded, and the add actions by which a commit takes written files in.

Lives here: `DataFiles`, and the encoding of columns.
Does not live here: which rows belong together and the commit (`table_commits.py`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from time import time
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from pipelines.market.schema import TableSchema
from pipelines.storage.integrity import checksum_of
from pipelines.storage.location import filesystem_of

#: 15,000 rows a group keep one instrument's day within one group (measured on 500 × 375 bars a session).
_ROWS_PER_GROUP = 15_000


class DataFiles:
    """Files of one table that no commit has taken in yet. Nothing of them is visible before one does.

    A `with` that an error leaves deletes them.

    Floats are split by bytes and have no dictionary, which takes half the bytes of Delta's own writer; texts and flags have one,
    whole numbers and times are differences. Statistics are kept of what rows are looked up by, never of values.
    """

    def __init__(self, uri: str, schema: TableSchema, base_version: int) -> None:
        self._files, self._root = filesystem_of(uri)
        self._schema, self._base_version = schema, base_version
        self._begun: list[str] = []
        self.added: list[AddAction] = []

    def __enter__(self) -> DataFiles:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave nothing behind of what was not written to its end."""
        if kind is not None:
            self.discard()

    def write(self, rows: pa.Table, partition: date | int | None) -> None:
        """Write rows, sorted and with the partition's column, as one file of that partition.

        Its name holds the version it is for (the same rows in another version are another file) and the hash of its content; before
        that the hash of what a rebuild reproduces of it, where there are columns that none does.
        """
        column = self._schema.partition_by
        content = rows.drop_columns([column]) if column else rows
        encoded = _encode(content)
        checksums = [checksum_of(memoryview(encoded))]
        if len(kept := [name for name in self._schema.reproducible() if name != column]) < content.num_columns:
            checksums.insert(0, checksum_of(memoryview(_encode(content.select(kept)))))
        name = f"part-{self._base_version + 1:08d}-{'-'.join(checksums)}.parquet"
        path = f"{column}={partition}/{name}" if column else name
        self._begun.append(path)
        if column and isinstance(self._files, pafs.LocalFileSystem):
            self._files.create_dir(f"{self._root}/{column}={partition}")
        with self._files.open_output_stream(f"{self._root}/{path}") as out:
            out.write(encoded)
        self.added.append(
            AddAction(
                path=path,
                size=encoded.size,
                partition_values={column: str(partition)} if column else {},
                modification_time=int(time() * 1000),
                data_change=True,
                stats=json.dumps(_statistics(content, [name for name in self._schema.key if name != column])),
            )
        )

    def discard(self, kept: Collection[str] = ()) -> None:
        """Delete what was written, whole or in part, but for the file names in `kept`."""
        for path in self._begun:
            target = f"{self._root}/{path}"
            if path.rpartition("/")[2] not in kept and self._files.get_file_info(target).type == pafs.FileType.File:
                self._files.delete_file(target)
        self._begun, self.added = [], []


def _encode(content: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(content, sink, **_writer_options(content.schema))
    return sink.getvalue()


def _writer_options(schema: pa.Schema) -> dict[str, Any]:
    dictionaries, encodings, looked_up = [], {}, []
    for field in schema:
        path = f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        kind = field.type.value_type if pa.types.is_list(field.type) else field.type
        if pa.types.is_floating(kind):
            encodings[path] = "BYTE_STREAM_SPLIT"
            continue
        looked_up.append(path)
        if pa.types.is_integer(kind) or pa.types.is_temporal(kind):
            encodings[path] = "DELTA_BINARY_PACKED"
        elif not pa.types.is_boolean(kind):
            dictionaries.append(path)
    return {
        "compression": "zstd",
        "compression_level": 1,
        "row_group_size": _ROWS_PER_GROUP,
        "use_dictionary": dictionaries,
        "column_encoding": encodings,
        "write_statistics": looked_up,
        # For readers that compare them; ours compare whole files (`integrity.py`).
        "write_page_checksum": True,
    }


def _statistics(rows: pa.Table, keys: Sequence[str]) -> Mapping[str, Any]:
    """What the log says of a file: its rows, and least and greatest key. Delta keeps times as text in UTC."""
    bounds = {name: pc.min_max(rows.column(name)).as_py() for name in keys} if rows.num_rows else {}
    return {
        "numRecords": rows.num_rows,
        "minValues": {name: _as_text(found["min"]) for name, found in bounds.items()},
        "maxValues": {name: _as_text(found["max"]) for name, found in bounds.items()},
        "nullCount": {name: rows.column(name).null_count for name in keys},
    }


def _as_text(value: object) -> object:
    if hasattr(value, "isoformat"):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z") if hasattr(value, "hour") else value.isoformat()
    return value
