"""One Delta table of the lake: its versions, what each holds, reads and changes.

Lives here: `LakeTable`; its rows are read by `table_rows.py` and its commits made by `table_commits.py`, whose public names other
packages take from here.
Does not live here: how rows are encoded (`data_files.py`), what to write (`merge.py`, `upsert.py`), what to release
(`releases.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from pipelines.market.schema import TableSchema
from pipelines.storage.data_files import DataFiles
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.integrity import REPAIRED, Damage, DataFile, describe_damage, find_damage
from pipelines.storage.table_commits import Change, LakeConflictError, add_new_columns, commit_files, create_table, write_rows
from pipelines.storage.table_log import data_files, open_table, require_own_commit, require_table, table_place
from pipelines.storage.table_rows import PartitionValue, empty_frame, list_files, read_rows

__all__ = ["UNREADABLE", "Change", "LakeConflictError", "LakeTable", "PartitionValue", "empty_frame"]

_COMMIT_ATTEMPTS = 20
#: What reading a damaged table raises: files that are gone or cut, a log that cannot be followed.
UNREADABLE = (DamagedTableError, OSError, DeltaError, pl.exceptions.PolarsError)


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
        return list_files(self._require(version), self.schema, partitions)

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
        return read_rows(self._open(version), self.uri, self.schema, partitions, columns, where, verify=verify)

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
            with ExitStack() as begun:
                for decided in changes(self._reader(handle)):
                    if decided.partitions is not None and not decided.partitions:
                        continue
                    base = base or create_table(self.uri, self.schema)
                    files = files or begun.enter_context(DataFiles(self.uri, self.schema, base.version()))
                    write_rows(files, decided.rows, self.schema)
                    partitions.update(decided.partitions or [])
            if base is None or files is None:
                return None if handle is None else handle.version()
            if commit_files(base, self.uri, self.schema, files, "overwrite", partitions, metadata):
                return base.version() + 1
        raise LakeConflictError(f"{self.uri}: another writer was faster {_COMMIT_ATTEMPTS} times; run the command again")

    def append(self, frame: pl.DataFrame, metadata: Mapping[str, str]) -> int:
        """Add rows as one commit. The caller knows that their keys are new. Raises LakeConflictError after 20 lost races."""
        for _ in range(_COMMIT_ATTEMPTS):
            base = self._open() or create_table(self.uri, self.schema)
            require_own_commit(base)
            add_new_columns(base, self.schema)
            with DataFiles(self.uri, self.schema, base.version()) as files:
                write_rows(files, frame, self.schema)
            if commit_files(base, self.uri, self.schema, files, "append", (), metadata):
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

    def _reader(self, handle: DeltaTable | None) -> Callable[[Sequence[PartitionValue] | None], pl.DataFrame]:
        return lambda partitions: read_rows(handle, self.uri, self.schema, partitions)
