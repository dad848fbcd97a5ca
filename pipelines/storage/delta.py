"""One Delta table of the lake: versions, file lists, reads and commits.

Lives here: `LakeTable`, the only place that calls deltalake.
Does not live here: what to write (`merge.py`, `upsert.py`), what to release (`releases.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from pipelines.market.schema import TableSchema

PartitionValue = date | int
#: 15,000 rows a group keep one instrument's day within one group (facts measured on 500 × 375 bars a session).
_WRITER = WriterProperties(compression="ZSTD", max_row_group_size=15_000)
#: Versions are kept until a release no longer pins them; deletion is a decision of maintenance, not the log's.
_CONFIGURATION: dict[str, str | None] = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}
_COMMIT_ATTEMPTS = 20


#: What reading a damaged table raises: files that are gone or cut, a log that cannot be followed.
UNREADABLE = (OSError, DeltaError, pl.exceptions.PolarsError)


class LakeConflictError(RuntimeError):
    """Other writers kept committing to the same table; nothing of this commit was written."""


class LakeTable:
    """A table of the lake at one address.

    Every write goes through the handle of the version that was read, so that a writer who decided on old rows fails instead of
    silently undoing a newer commit.
    """

    def __init__(self, uri: str, schema: TableSchema) -> None:
        self.uri = uri
        self.schema = schema

    def version(self) -> int | None:
        """Latest version; None while the table does not exist."""
        handle = self._open()
        return None if handle is None else handle.version()

    def files(self, version: int, partitions: Sequence[PartitionValue] | None = None) -> list[str]:
        """Data files of a version, sorted; of some partitions only where given. Never a glob: old files stay on disk."""
        return self._files(self._require(version), partitions)

    def columns(self, version: int) -> set[str]:
        """Names of the columns that a version has: others than the schema's where indicators were chosen since."""
        return {field.name for field in self._require(version).schema().fields}

    def partition_values(self, version: int | None = None) -> list[PartitionValue]:
        """Values of the partition column that a version (default: the latest) has files of, sorted; none while there is no table.

        From the table's log: no data file is opened. ValueError for a table without partitions.
        """
        return sorted(self.partition_rows(version))

    def partition_rows(self, version: int | None = None) -> dict[PartitionValue, int]:
        """Rows by value of the partition column, as `partition_values` finds them and by the same log's statistics."""
        if self.schema.partition_by is None:
            raise ValueError(f"table {self.schema.name} has no partitions")
        handle = self._open(version)
        files = pl.DataFrame() if handle is None else pl.DataFrame(handle.get_add_actions(flatten=True))
        if files.is_empty():
            return {}
        name = f"partition.{self.schema.partition_by}"
        return dict(files.group_by(name).agg(pl.col("num_records").sum()).iter_rows())

    def row_count(self) -> int:
        """Rows of the latest version, by the statistics in the table's log: no data file is opened. 0 while there is no table."""
        handle = self._open()
        return 0 if handle is None else handle.count()

    def read(
        self,
        version: int | None = None,
        partitions: Sequence[PartitionValue] | None = None,
        columns: Sequence[str] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        """Rows of a version (default: the latest) in the schema's order; an empty frame while the table does not exist.

        `where` is asked of each row group's statistics before it is read.
        """
        handle = self._open(version)
        return self._read(handle, partitions, columns, where)

    def scan_versions(self) -> list[dict[str, object]]:
        """The table's history, newest first: version, timestamp, operation, custom metadata."""
        handle = self._open()
        return [] if handle is None else handle.history()

    def update(
        self,
        change: Callable[[Callable[[Sequence[PartitionValue] | None], pl.DataFrame]], Change],
        metadata: Mapping[str, str],
    ) -> int | None:
        """Read, decide, commit; and again from the new head when another writer was faster.

        `change` receives a reader of the base version's rows by partition and returns the partitions to replace.
        Returns the version that holds the change: the base version when there was nothing to write.
        Raises LakeConflictError after 20 lost races.
        """
        for _ in range(_COMMIT_ATTEMPTS):
            handle = self._open()
            decided = change(partial(self._read, handle))
            if decided.partitions is not None and not decided.partitions:
                return None if handle is None else handle.version()
            if handle is None:
                handle = self._create()
                if handle.version() > 0:
                    # Another writer made the table meanwhile: what was decided knows nothing of its rows.
                    continue
            try:
                self._write(handle, decided, metadata)
            except CommitFailedError:
                continue
            return handle.version()
        raise LakeConflictError(f"{self.uri}: another writer was faster {_COMMIT_ATTEMPTS} times; run the command again")

    def append(self, frame: pl.DataFrame, metadata: Mapping[str, str]) -> int:
        """Add rows as one commit. The caller knows that their keys are new."""
        handle = self._open() or self._create()
        write_deltalake(
            handle,
            self._arrow(frame),
            mode="append",
            writer_properties=_WRITER,
            commit_properties=CommitProperties(custom_metadata=dict(metadata)),
        )
        return handle.version()

    # --- below: the handle ---

    def _open(self, version: int | None = None) -> DeltaTable | None:
        try:
            return DeltaTable(self.uri, version=version)
        except TableNotFoundError:
            return None

    def _require(self, version: int) -> DeltaTable:
        handle = self._open(version)
        if handle is None:
            raise FileNotFoundError(f"{self.uri}: no such table")
        return handle

    def _create(self) -> DeltaTable:
        return DeltaTable.create(
            self.uri,
            schema=self.schema.arrow(),
            mode="ignore",
            partition_by=[self.schema.partition_by] if self.schema.partition_by else None,
            configuration=_CONFIGURATION,
        )

    def _read(
        self,
        handle: DeltaTable | None,
        partitions: Sequence[PartitionValue] | None,
        columns: Sequence[str] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame:
        names = list(columns or self.schema.names)
        if handle is None or (partitions is not None and not partitions):
            return empty_frame(self.schema).select(names)
        files = self._files(handle, partitions if self.schema.partition_by else None)
        if not files:
            return empty_frame(self.schema).select(names)
        types = empty_frame(self.schema).schema
        partition = self.schema.partition_by
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
        return (rows if where is None else rows.filter(where)).select(names).collect()

    def _files(self, handle: DeltaTable, partitions: Sequence[PartitionValue] | None) -> list[str]:
        """Data files of a handle, sorted. Delta writes local paths percent-encoded; these are as the file system has them."""
        if partitions is not None and not partitions:
            return []
        predicate = None if partitions is None else self._predicate(partitions)
        files = sorted(handle.file_uris(file_pruning_predicate=predicate))
        return [unquote(file) if file.startswith("/") else file for file in files]

    def _write(self, handle: DeltaTable, decided: Change, metadata: Mapping[str, str]) -> None:
        predicate = None if decided.partitions is None else self._predicate(decided.partitions)
        write_deltalake(
            handle,
            self._arrow(decided.rows),
            mode="overwrite",
            predicate=predicate,
            # Indicators that were chosen since widen the table; those no longer chosen stay in it, as NULL.
            schema_mode="merge" if {field.name for field in handle.schema().fields} != set(self.schema.names) else None,
            writer_properties=_WRITER,
            commit_properties=CommitProperties(custom_metadata=dict(metadata)),
        )

    def _predicate(self, partitions: Iterable[PartitionValue]) -> str:
        if not self.schema.partition_by:
            raise ValueError(f"table {self.schema.name} has no partitions")
        values = ", ".join(str(p) if isinstance(p, int) else f"'{p.isoformat()}'" for p in sorted(set(partitions)))
        return f"{self.schema.partition_by} IN ({values})"

    def _arrow(self, frame: pl.DataFrame) -> pa.Table:
        ordered = frame.select(self.schema.names)
        if self.schema.sort_by:
            first = [self.schema.partition_by] if self.schema.partition_by else []
            ordered = ordered.sort([*first, *(c for c in self.schema.sort_by if c not in first)])
        return ordered.to_arrow().cast(self.schema.arrow())


class Change:
    """What an update decided: rows that replace all rows of `partitions`; None means the whole table, an empty list nothing."""

    def __init__(self, rows: pl.DataFrame, partitions: Sequence[PartitionValue] | None) -> None:
        self.rows = rows
        self.partitions = partitions


def empty_frame(schema: TableSchema) -> pl.DataFrame:
    """A frame without rows, with the columns and types of a table."""
    frame = pl.from_arrow(schema.arrow().empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame
