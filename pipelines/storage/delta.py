"""One Delta table of the lake: versions, file lists, reads and commits.

Lives here: `LakeTable`; with `data_files.py` the only place that calls deltalake.
Does not live here: how rows are encoded (`data_files.py`), what to write (`merge.py`, `upsert.py`), what to release
(`releases.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Literal
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema
from deltalake.exceptions import CommitFailedError, DeltaError

from pipelines.market.schema import TableSchema
from pipelines.storage.data_files import DataFiles
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.integrity import (
    MARK,
    REPAIRED,
    Damage,
    DataFile,
    are_as_written,
    describe_damage,
    find_damage,
    mark_of,
)
from pipelines.storage.table_log import data_files, open_table, require_own_commit, require_table, table_place

PartitionValue = date | int
#: Versions are kept until a release no longer pins them; deletion is a decision of maintenance, not the log's.
_CONFIGURATION: dict[str, str | None] = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
    # A reader replays at most so many commits beside the checkpoint.
    "delta.checkpointInterval": "10",
}
_COMMIT_ATTEMPTS = 20


#: What reading a damaged table raises: files that are gone or cut, a log that cannot be followed.
UNREADABLE = (DamagedTableError, OSError, DeltaError, pl.exceptions.PolarsError)
#: What polars raises where a Parquet file is not one; its Rust panics on some.
_UNDECODABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


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
        *,
        verify: bool = True,
    ) -> pl.DataFrame:
        """Rows of a version (default: the latest) in the schema's order; an empty frame while the table does not exist.

        `where` is asked of each row group's statistics before it is read. Files are compared with their checksums first, which
        reads them whole; `verify` False: not, for a glance at few columns of a long history. Raises DamagedTableError.
        """
        handle = self._open(version)
        return self._read(handle, partitions, columns, where, verify=verify)

    def data_files(self, version: int, partitions: Sequence[PartitionValue] | None = None) -> list[DataFile]:
        """Data files of a version with what the log says of them, of some partitions only where given."""
        return data_files(self._require(version), self.uri, self.schema.partition_by, partitions)

    def find_damage(self, version: int, partitions: Sequence[PartitionValue] | None = None, *, deep: bool) -> list[Damage]:
        """Files of a version that are missing or of another size; `deep`: or of another content than was written."""
        return find_damage(table_place(self.uri), self.data_files(version, partitions), deep=deep)

    def require_intact(self, version: int, partitions: Sequence[PartitionValue] | None = None) -> int:
        """Raise DamagedTableError where a file of a version is not as it was written. Reads these files whole; returns how many."""
        files, place = self.data_files(version, partitions), table_place(self.uri)
        if damages := find_damage(place, files, deep=True):
            raise DamagedTableError(describe_damage(place, damages))
        return len(files)

    def own_version(self) -> int | None:
        """`version`, known to be marketlake's: raises ForeignCommitError otherwise. No commit of ours ever stands on such a one."""
        handle = self._open()
        if handle is None:
            return None
        require_own_commit(handle)
        return handle.version()

    def scan_versions(self) -> list[dict[str, object]]:
        """The table's history, newest first: version, timestamp, operation, custom metadata."""
        handle = self._open()
        return [] if handle is None else handle.history()

    def update(
        self, change: Callable[[Callable[[Sequence[PartitionValue] | None], pl.DataFrame]], Change], metadata: Mapping[str, str]
    ) -> int | None:
        """Read, decide, commit; and again from the new head when another writer was faster.

        `change` receives a reader of the base version's rows by partition and returns the partitions to replace.
        Returns the version that holds the change: the base version when there was nothing to write.
        Raises LakeConflictError after 20 lost races.
        """
        return self.update_in_parts(lambda read: [change(read)], metadata)

    def update_in_parts(
        self,
        changes: Callable[[Callable[[Sequence[PartitionValue] | None], pl.DataFrame]], Iterable[Change]],
        metadata: Mapping[str, str],
    ) -> int | None:
        """`update` by several changes, each of partitions of its own, so that rows need not fit in memory together.

        Each is written as it comes; one commit takes all of them in.
        """
        for _ in range(_COMMIT_ATTEMPTS):
            handle = self._open()
            if handle is not None:
                require_own_commit(handle)
            base, files, partitions = handle, None, set[PartitionValue]()
            try:
                for decided in changes(partial(self._read, handle)):
                    if decided.partitions is not None and not decided.partitions:
                        continue
                    base = base or self._create()
                    files = files or DataFiles(self.uri, self.schema, base.version())
                    self._write(files, decided.rows)
                    partitions.update(decided.partitions or [])
            except BaseException:
                if files is not None:
                    files.discard()
                raise
            if base is None or files is None:
                return None if handle is None else handle.version()
            if self._commit(base, files, "overwrite", partitions, metadata):
                return base.version() + 1
        raise LakeConflictError(f"{self.uri}: another writer was faster {_COMMIT_ATTEMPTS} times; run the command again")

    def append(self, frame: pl.DataFrame, metadata: Mapping[str, str]) -> int:
        """Add rows as one commit. The caller knows that their keys are new. Raises LakeConflictError after 20 lost races."""
        for _ in range(_COMMIT_ATTEMPTS):
            base = self._open() or self._create()
            require_own_commit(base)
            if new := self._new_fields(base.schema()):
                # A commit that only adds files does not change the table's columns.
                base.alter.add_columns(new, commit_properties=CommitProperties(custom_metadata={MARK: mark_of([])}))
            files = DataFiles(self.uri, self.schema, base.version())
            try:
                self._write(files, frame)
            except BaseException:
                files.discard()
                raise
            if self._commit(base, files, "append", (), metadata):
                return base.version() + 1
        raise LakeConflictError(f"{self.uri}: another writer was faster {_COMMIT_ATTEMPTS} times; run the command again")

    def repaired_since(self, version: int) -> int | None:
        """The newest version after `version` that a repair made; None where there is none."""
        handle = self._open()
        if handle is None or handle.version() <= version:
            return None
        newer = handle.history(handle.version() - version)
        return next((int(entry["version"]) for entry in newer if REPAIRED in entry and int(entry["version"]) > version), None)

    # --- below: the handle ---

    def _open(self, version: int | None = None) -> DeltaTable | None:
        return open_table(self.uri, version)

    def _require(self, version: int) -> DeltaTable:
        return require_table(self.uri, version)

    def _create(self) -> DeltaTable:
        """The table's first version, without rows: if another writer made it meanwhile, a commit to this one fails."""
        DeltaTable.create(
            self.uri,
            schema=self.schema.arrow(),
            mode="ignore",
            partition_by=[self.schema.partition_by] if self.schema.partition_by else None,
            configuration=_CONFIGURATION,
            commit_properties=CommitProperties(custom_metadata={MARK: mark_of([])}),
        )
        return DeltaTable(self.uri, version=0)

    def _read(
        self,
        handle: DeltaTable | None,
        partitions: Sequence[PartitionValue] | None,
        columns: Sequence[str] | None = None,
        where: pl.Expr | None = None,
        *,
        verify: bool = True,
    ) -> pl.DataFrame:
        names = list(columns or self.schema.names)
        if handle is None or (partitions is not None and not partitions):
            return empty_frame(self.schema).select(names)
        files = self._files(handle, partitions if self.schema.partition_by else None)
        if not files:
            return empty_frame(self.schema).select(names)
        if verify and not are_as_written(files):
            raise self._damaged(handle, "a file changed while it was read")
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
        try:
            return (rows if where is None else rows.filter(where)).select(names).collect()
        except _UNDECODABLE as error:
            raise self._damaged(handle, " ".join(str(error).split())[:160]) from None

    def _damaged(self, handle: DeltaTable, reason: str) -> DamagedTableError:
        """What is wrong with a version that could not be read, its files compared one by one; `reason` where all are as written."""
        place, files = table_place(self.uri), data_files(handle, self.uri, self.schema.partition_by)
        damages = find_damage(place, files, deep=False) or find_damage(place, files, deep=True)
        return DamagedTableError(
            describe_damage(place, damages) if damages else f"{place} cannot be read ({reason}); nothing is wrong with its files"
        )

    def _files(self, handle: DeltaTable, partitions: Sequence[PartitionValue] | None) -> list[str]:
        """Data files of a handle, sorted. Delta writes local paths percent-encoded; these are as the file system has them."""
        if partitions is not None and not partitions:
            return []
        predicate = None if partitions is None else self._predicate(partitions)
        files = sorted(handle.file_uris(file_pruning_predicate=predicate))
        return [unquote(file) if file.startswith("/") else file for file in files]

    def _write(self, files: DataFiles, rows: pl.DataFrame) -> None:
        """Write rows, a file for each partition."""
        table, column = self._arrow(rows), self.schema.partition_by
        if column is None:
            files.write(table, None)
            return
        runs = rows.get_column(column).sort().rle().struct.unnest()
        start = 0
        for length, value in runs.iter_rows():
            files.write(table.slice(start, length), value)
            start += length

    def _commit(
        self,
        base: DeltaTable,
        files: DataFiles,
        mode: Literal["append", "overwrite"],
        partitions: Collection[PartitionValue],
        metadata: Mapping[str, str],
    ) -> bool:
        """Commit files as the version after `base`; False where another writer has made that version.

        Files that this version holds stay: of the same rows another writer makes the same files. The others are deleted.
        """
        column = self.schema.partition_by
        mark = mark_of([(action.path, action.size) for action in files.added])
        try:
            base.create_write_transaction(
                [*files.added],
                mode,
                self._widened(base.schema()),
                partition_by=[column] if column else None,
                partition_filters=[(column, "in", [str(p) for p in sorted(partitions)])] if column and partitions else None,
                # Never on top of a version that was not read: what was decided knows nothing of its rows.
                commit_properties=CommitProperties(custom_metadata={**metadata, MARK: mark}, max_commit_retries=0),
            )
        except CommitFailedError:
            if self.version() == base.version():
                # No other writer: the log cannot be written.
                files.discard()
                raise
            made = self._require(base.version() + 1)
            files.discard({file.rpartition("/")[2] for file in made.file_uris()})
            return False
        return True

    def _widened(self, stored: Schema) -> Schema:
        """The stored columns, and indicators that were chosen since. Those no longer chosen stay, as NULL."""
        new = self._new_fields(stored)
        return Schema([*stored.fields, *new]) if new else stored

    def _new_fields(self, stored: Schema) -> list[Field]:
        known = {field.name for field in stored.fields}
        new = [field.with_nullable(True) for field in self.schema.arrow() if field.name not in known]
        return Schema.from_arrow(pa.schema(new)).fields if new else []

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
    # From no batch: to make empty columns pyarrow would import pandas, half a second in every command that reads a table.
    frame = pl.from_arrow(pa.Table.from_batches([], schema=schema.arrow()))
    assert isinstance(frame, pl.DataFrame)
    return frame
