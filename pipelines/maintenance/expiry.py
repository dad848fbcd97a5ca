"""Expiry of old releases, and the data files that no version of a table needs any more.

Lives here: finding both, recording the expiry in the lake, and deleting the files.
Does not live here: the rule by which releases are kept (`storage/retention.py`), other files of a home (`cleanup.py`).

A file stays as long as a kept release, the newest version of its table, or any version that was the newest within 7 days has it:
who reads without a release reads such a one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pyarrow.fs as pafs

from pipelines.maintenance.lake_tables import list_tables
from pipelines.storage.delta import LakeTable
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.hold import read_hold
from pipelines.storage.location import Lake, filesystem_of
from pipelines.storage.releases import Release, releases
from pipelines.storage.retention import HeldVersions, Retention, pin_releases, read_retention, write_retention

#: Age below which nothing is deleted: a run, a reader or a person may still be at work with it.
RECENT = timedelta(days=7)


@dataclass(frozen=True)
class TableFiles:
    """Data files in a table's folder, sizes by path: those that no kept version has, the others, and which versions are kept."""

    uri: str
    unheld: Mapping[str, int]
    others: Mapping[str, int]
    held: HeldVersions


@dataclass(frozen=True)
class Expiry:
    """What expires: releases, and files by table (`XNYS/bars_daily`).

    pinned: why each other release is kept, by id. left_alone: why tables are not touched, by table.
    """

    retention: Retention
    expired: tuple[Release, ...]
    pinned: Mapping[str, str]
    tables: Mapping[str, TableFiles]
    left_alone: Mapping[str, str]

    def reasons(self) -> dict[str, int]:
        """How many releases are kept, by reason."""
        return dict(Counter(self.pinned.values()))

    def without(self, paths: Collection[str]) -> Expiry:
        """The same but for some files."""
        tables = {
            place: replace(
                files,
                unheld={path: size for path, size in files.unheld.items() if path not in paths},
                others={path: size for path, size in files.others.items() if path not in paths},
            )
            for place, files in self.tables.items()
        }
        return replace(self, tables=tables)


def find_expired(lake: Lake, exchanges: Iterable[str], now: datetime) -> Expiry:
    """What has expired at `now` (aware). Nothing is written. Raises DamagedTableError where it is not known what is to be kept."""
    retention, known, hold = read_retention(lake), releases(lake), read_hold(lake)
    pinned = pin_releases(known, retention, hold.release_id if hold else None, now)
    expired = tuple(r for r in known if r.release_id not in pinned and r.release_id not in retention.expired)
    kept = [release for release in known if release.release_id in pinned]
    # Of every exchange that a release has, configured or not.
    named = sorted({*exchanges, *(exchange for release in known for exchange in release.table_versions)})
    tables: dict[str, TableFiles] = {}
    left_alone: dict[str, str] = {}
    for (mic, name), table in list_tables(lake, named).items():
        place = f"{mic}/{name}" if mic else name
        needed = {release.versions(mic)[name] for release in kept if name in release.versions(mic)}
        try:
            files = list_files_by_need(table, needed, now)
        except DamagedTableError as error:
            left_alone[place] = str(error)
            continue
        if files is not None:
            tables[place] = files
    return Expiry(retention, expired, pinned, tables, left_alone)


def list_files_by_need(table: LakeTable, needed: Collection[int], now: datetime) -> TableFiles | None:
    """Files of a table; unheld: older than 7 days, in none of the versions `needed`, and in none that was the newest since then.

    None where there is no table. Raises DamagedTableError where one of these versions cannot be opened, or the newest is not
    marketlake's: it is not known then what a repair will need.
    """
    head, limit = table.own_version(), (now - RECENT).timestamp()
    if head is None:
        return None
    made = sorted((int(str(entry["version"])), int(str(entry.get("timestamp", 0)))) for entry in table.scan_versions())
    replaced_at = {version: moment / 1000 for (version, _), (_, moment) in pairwise(made)}
    first = min([head, *(version for version, _ in made if replaced_at.get(version, limit + 1) > limit)])
    earlier = sorted(version for version in needed if version < first)
    held: set[str] = set()
    for version in {*needed, head, *(version for version, _ in made if version >= first)}:
        try:
            held.update(filesystem_of(file.uri)[1] for file in table.data_files(version))
        except DamagedTableError:
            # What a repair found lost is lost: nobody reads it again.
            if table.repaired_since(version) is None:
                raise
    filesystem, root = filesystem_of(table.uri)
    unheld: dict[str, int] = {}
    others: dict[str, int] = {}
    for info in filesystem.get_file_info(pafs.FileSelector(root, recursive=True)):
        inside = info.path.removeprefix(root).lstrip("/")
        if info.type != pafs.FileType.File or inside.startswith("_delta_log") or not inside.endswith(".parquet"):
            continue
        goes = info.path not in held and info.mtime_ns / 1e9 < limit
        (unheld if goes else others)[info.path] = info.size
    return TableFiles(table.uri, unheld, others, HeldVersions(first, tuple(earlier)))


def expire(lake: Lake, expiry: Expiry, now: datetime) -> None:
    """Record what expires, then delete the files. After a crash the next clean-up finds what this one left."""
    record = replace(
        expiry.retention,
        expired={**expiry.retention.expired, **{release.release_id: now for release in expiry.expired}},
        tables={**expiry.retention.tables, **{place: files.held for place, files in expiry.tables.items() if files.unheld}},
    )
    if record != expiry.retention:
        write_retention(lake, record)
    for files in expiry.tables.values():
        filesystem, _ = filesystem_of(files.uri)
        for path in sorted(files.unheld):
            filesystem.delete_file(path)
