"""Releases: immutable, consistent sets of table versions.

Lives here: recording and listing releases, and deciding whether there is something new to release.
Does not live here: the catalogue that analysts open (`catalogue.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from pipelines.market.tables.operations import RELEASES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.table_log import list_contents, open_table

TableVersions = dict[str, dict[str, int]]


class UnknownReleaseError(ValueError):
    """No release has this id."""


@dataclass(frozen=True)
class Release:
    """One release. `table_versions` maps exchange → table → Delta version; `sessions` exchange → [first, last, count]."""

    release_id: str
    sequence: int
    created_at: datetime
    fingerprint: str
    table_versions: TableVersions
    code_version: str
    config: dict[str, Any]
    sessions: dict[str, list[Any]]
    supersedes: str | None

    def built_with(self, exchange: str) -> str | None:
        """What made an exchange's derived tables, as recorded; None where that is not known."""
        found: dict[str, str] = self.config.get("built_with", {})
        return found.get(exchange)

    def versions(self, exchange: str) -> dict[str, int]:
        """Table versions of one exchange; empty when the release has nothing of it."""
        return self.table_versions.get(exchange, {})


def record_release(
    lake: Lake,
    exchange: str,
    versions: Mapping[str, int],
    *,
    code_version: str,
    config: Mapping[str, Any],
    sessions: list[Any],
    built_with: str | None = None,
) -> tuple[Release, bool]:
    """Record a release of one exchange's versions, carrying the other exchanges over.

    `built_with` says what made this exchange's derived tables (code, indicators): the release's own code version is that of
    the exchange built last, while the tables of the others are older.

    Returns the release and whether it is new: unchanged versions, code and configuration return the last one.
    """
    last = latest_release(lake)
    carried = last.table_versions if last else {}
    merged: TableVersions = {**carried, exchange: dict(sorted(versions.items()))}
    merged = dict(sorted(merged.items()))
    if built_with is not None:
        made = last.config.get("built_with", {}) if last else {}
        config = {**config, "built_with": {**made, exchange: built_with}}
    fingerprint = _fingerprint(lake, merged, code_version, config)
    # The versions too: a table that was repaired holds the same in another version, and the one released before cannot be read.
    if last and last.fingerprint == fingerprint and last.table_versions == merged:
        return last, False
    sequence = last.sequence + 1 if last else 1
    release = Release(
        release_id=f"r{sequence:05d}-{fingerprint[:8]}",
        sequence=sequence,
        created_at=datetime.now(UTC),
        fingerprint=fingerprint,
        table_versions=merged,
        code_version=code_version,
        config=dict(config),
        sessions={**(last.sessions if last else {}), exchange: sessions},
        supersedes=last.release_id if last else None,
    )
    _table(lake).append(_frame([release]), {"release": release.release_id})
    return release, True


def releases(lake: Lake, version: int | None = None) -> list[Release]:
    """All releases, oldest first; as of an earlier `version` of the register where given."""
    rows = _table(lake).read(version).sort("sequence")
    return [_from_row(row) for row in rows.iter_rows(named=True)]


def latest_release(lake: Lake) -> Release | None:
    """The newest release; None before the first."""
    found = releases(lake)
    return found[-1] if found else None


def find_release(lake: Lake, release_id: str) -> Release:
    """The release whose id this is, or begins so. UnknownReleaseError where there is none (listing the latest), or several."""
    known = releases(lake)
    named = [release for release in known if release.release_id == release_id] or [
        release for release in known if release_id and release.release_id.startswith(release_id)
    ]
    if len(named) == 1:
        return named[0]
    if named:
        several = ", ".join(release.release_id for release in named[-5:])
        raise UnknownReleaseError(f"{release_id!r} begins {len(named)} releases, write more of the one meant: {several}")
    latest = ", ".join(release.release_id for release in known[-5:]) or "none yet; run `marketlake nightly`"
    raise UnknownReleaseError(f"no release {release_id!r}; the latest are: {latest}")


def releases_frame(found: list[Release]) -> pl.DataFrame:
    """Releases as rows of the published `releases` table."""
    return _frame(found)


def _fingerprint(lake: Lake, versions: TableVersions, code_version: str, config: Mapping[str, Any]) -> str:
    """Hash of what the tables hold at these versions, the code and the configuration: not of the versions, which every lake counts.

    The names of data files hold the hashes of their contents.
    """
    contents = {
        exchange: {name: list_contents(open_table(lake.table_uri(exchange, name), version)) for name, version in tables.items()}
        for exchange, tables in versions.items()
    }
    return hashlib.sha256(json.dumps([contents, code_version, dict(config)], sort_keys=True).encode()).hexdigest()


def _table(lake: Lake) -> LakeTable:
    return LakeTable(lake.uri(RELEASES.name), RELEASES)


def _frame(found: list[Release]) -> pl.DataFrame:
    rows = [
        {
            "release_id": r.release_id,
            "sequence": r.sequence,
            "created_at": r.created_at,
            "fingerprint": r.fingerprint,
            "table_versions": json.dumps(r.table_versions, sort_keys=True),
            "code_version": r.code_version,
            "config": json.dumps(r.config, sort_keys=True),
            "sessions": json.dumps(r.sessions, sort_keys=True, default=str),
            "supersedes": r.supersedes,
        }
        for r in found
    ]
    overrides = {"created_at": pl.Datetime("us", "UTC"), "supersedes": pl.String, "sequence": pl.Int64}
    schema: dict[str, Any] = {c.name: overrides.get(c.name, pl.String) for c in RELEASES.columns}
    return pl.DataFrame(rows, schema=schema)


def _from_row(row: dict[str, Any]) -> Release:
    return Release(
        release_id=row["release_id"],
        sequence=row["sequence"],
        created_at=row["created_at"],
        fingerprint=row["fingerprint"],
        table_versions=json.loads(row["table_versions"]),
        code_version=row["code_version"],
        config=json.loads(row["config"]),
        sessions=json.loads(row["sessions"]),
        supersedes=row["supersedes"],
    )
