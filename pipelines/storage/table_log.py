"""The log of a Delta table: opening a version, its list of data files, who made its newest commit.

Lives here: reading the log, and naming what is wrong with it.
Does not live here: rows (`table_rows.py`) and commits (`table_commits.py`), the files themselves (`integrity.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote

import polars as pl
import pyarrow.fs as pafs
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from pipelines.storage.errors import WAY_OUT, DamagedTableError, ForeignCommitError
from pipelines.storage.integrity import DataFile, is_own, reproducible_checksum
from pipelines.storage.location import filesystem_of


def open_table(uri: str, version: int | None = None) -> DeltaTable | None:
    """A version of a table (default: the latest); None while there is no such table.

    Raises DamagedTableError where the log cannot be followed, and where data files lie there without one.
    """
    try:
        return DeltaTable(uri, version=version)
    except TableNotFoundError:
        if _has_data_files(uri):
            has_log = version is not None and DeltaTable.is_deltatable(uri)
            found = f"version {version} in its log is gone" if has_log else "its log is gone, its data files are there"
            raise DamagedTableError(f"{table_place(uri)} is damaged: {found}: {WAY_OUT}") from None
        return None
    except DeltaError as error:
        what = "the newest entries of its log" if version is None else f"version {version} in its log"
        reason = " ".join(str(error).split("\n")[0].split())[:160]
        raise DamagedTableError(f"{table_place(uri)} is damaged: {what} cannot be read ({reason}): {WAY_OUT}") from None


def require_table(uri: str, version: int) -> DeltaTable:
    """A version of a table that has to be there. Raises DamagedTableError where the table is gone, or this version of it."""
    handle = open_table(uri, version)
    if handle is None:
        raise DamagedTableError(f"{table_place(uri)} is gone, and version {version} of it is needed: {WAY_OUT}")
    return handle


def data_files(handle: DeltaTable, uri: str, column: str | None, partitions: Collection[object] | None = None) -> list[DataFile]:
    """Data files of a version of the table at `uri` with what the log says of them, sorted.

    `column`: the partition column; `partitions`: its values.
    """
    actions = pl.DataFrame(handle.get_add_actions(flatten=True))
    if actions.is_empty():
        return []
    partition = pl.col(f"partition.{column}").cast(pl.String) if column else pl.lit(None, pl.String)
    listed = actions.select("path", "size_bytes", "num_records", partition=partition)
    if column and partitions is not None:
        listed = listed.filter(pl.col("partition").is_in([str(value) for value in partitions]))
    return [
        DataFile(f"{uri.rstrip('/')}/{unquote(path)}", size, partition, rows or 0)
        for path, size, rows, partition in listed.sort("path").iter_rows()
    ]


def list_contents(handle: DeltaTable | None) -> list[str]:
    """What a version holds: folder and checksum of each data file, sorted, or its name where that has no checksum.

    Columns that no rebuild reproduces (clock times, durations) do not count. Nothing for a table that is not there.
    """
    if handle is None:
        return []
    paths: list[str] = pl.DataFrame(handle.get_add_actions())["path"].to_list() if handle.count() else []
    return sorted(f"{path.rpartition('/')[0]}/{reproducible_checksum(path) or path.rpartition('/')[2]}" for path in paths)


def require_own_commit(handle: DeltaTable) -> None:
    """Raise ForeignCommitError where the newest commit of a table is not marketlake's."""
    newest = handle.history(1)
    if newest and not is_own(newest[0]):
        number, operation = newest[0].get("version", handle.version()), newest[0].get("operation", "unknown")
        raise ForeignCommitError(
            f"{table_place(handle.table_uri)} has a commit that marketlake did not make: version {number} ({operation}, by "
            f"{newest[0].get('engineInfo', 'an unknown program')}); its rows passed no gate: run `marketlake repair`, which takes "
            "the table back to its last own version, and bring the rows in with `marketlake ingest`"
        )


def table_place(uri: str) -> str:
    """Where a table stands in its lake: XNYS/bars_daily."""
    parts = uri.rstrip("/").rsplit("/", 2)
    return parts[-1] if parts[-1] == "releases" else "/".join(parts[-2:])


def _has_data_files(uri: str) -> bool:
    filesystem, path = filesystem_of(uri)
    found = filesystem.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True))
    return any(info.type == pafs.FileType.File and info.path.endswith(".parquet") for info in found)
