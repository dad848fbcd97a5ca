"""Which releases are kept, and which versions of tables a clean-up has left.

Lives here: the rule of retention, the releases that somebody marked to be kept, what has expired, and the file of the lake that
records both.
Does not live here: deleting files (`maintenance/expiry.py`), what a release is (`releases.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pipelines.storage.errors import DamagedTableError
from pipelines.storage.location import Lake, read_small_file, write_small_file
from pipelines.storage.releases import Release, UnknownReleaseError, find_release

#: Age up to which every release is kept.
KEPT = timedelta(days=90)
_FILE = "retention.json"


class ExpiredReleaseError(UnknownReleaseError):
    """A release that is on record, and of which a clean-up deleted files."""


@dataclass(frozen=True)
class Mark:
    """Somebody wants a release kept: since when (UTC), by which user of the operating system, and why (may be empty)."""

    since: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class HeldVersions:
    """What a clean-up left of a table: every version from `first` on, and of those before the `others`."""

    first: int
    others: tuple[int, ...] = ()


@dataclass(frozen=True)
class Retention:
    """marked: releases to keep, by id. expired: when each release expired that did (UTC). tables: by `XNYS/bars_daily`."""

    marked: Mapping[str, Mark] = field(default_factory=dict)
    expired: Mapping[str, datetime] = field(default_factory=dict)
    tables: Mapping[str, HeldVersions] = field(default_factory=dict)

    def holds(self, exchange: str, table: str, version: int) -> bool:
        """Whether the files of a table's version were left where they are."""
        held = self.tables.get(f"{exchange}/{table}")
        return held is None or version >= held.first or version in held.others


def read_retention(lake: Lake) -> Retention:
    """The lake's record. Raises DamagedTableError where its file cannot be read."""
    text = read_small_file(lake.uri(_FILE))
    if text is None:
        return Retention()
    try:
        content = json.loads(text)
        return Retention(
            {name: Mark(**{**mark, "since": datetime.fromisoformat(mark["since"])}) for name, mark in content["marked"].items()},
            {name: datetime.fromisoformat(moment) for name, moment in content["expired"].items()},
            {name: HeldVersions(held["first"], tuple(held["others"])) for name, held in content["tables"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DamagedTableError(
            f"{lake.uri(_FILE)}, which says what releases are kept, is damaged: move it away, mark again what is to be kept "
            "(`marketlake releases keep ID`), and run `marketlake maintain`"
        ) from None


def write_retention(lake: Lake, retention: Retention) -> None:
    """Record what is kept in place of the record before."""
    write_small_file(lake.uri(_FILE), json.dumps(asdict(retention), default=datetime.isoformat, sort_keys=True).encode())


def keep_release(lake: Lake, release: Release, mark: Mark | None) -> None:
    """Mark a release to be kept for ever; None: take the mark away. Raises ExpiredReleaseError."""
    retention = require_release(lake, release)
    others = {name: known for name, known in retention.marked.items() if name != release.release_id}
    write_retention(lake, replace(retention, marked=others if mark is None else {**others, release.release_id: mark}))


def find_kept_release(lake: Lake, release_id: str) -> Release:
    """`find_release` of one whose files are kept. Raises ExpiredReleaseError too."""
    release = find_release(lake, release_id)
    require_release(lake, release)
    return release


def require_release(lake: Lake, release: Release) -> Retention:
    """Raise ExpiredReleaseError where a release has expired; returns the lake's record."""
    retention = read_retention(lake)
    expired = retention.expired.get(release.release_id)
    if expired is not None:
        raise ExpiredReleaseError(
            f"release {release.release_id} of {release.created_at:%Y-%m-%d} expired on {expired:%Y-%m-%d}: its files are deleted; "
            "`marketlake releases` lists those that are kept"
        )
    return retention


def pin_releases(releases: Iterable[Release], retention: Retention, held: str | None, now: datetime) -> dict[str, str]:
    """Id and reason of every release that is kept at `now` (aware); of several reasons the first that holds.

    Kept are the newest release, those not older than 90 days, the last of each month (UTC), the held one and those marked.
    What has expired stays expired.
    """
    known = [r for r in sorted(releases, key=lambda release: release.sequence) if r.release_id not in retention.expired]
    last_of_month = {_month(release): release.release_id for release in known}
    pinned: dict[str, str] = {}
    for release in known:
        if release.release_id == known[-1].release_id:
            reason = "the newest"
        elif now - release.created_at <= KEPT:
            reason = f"not older than {KEPT.days} days"
        elif release.release_id == held:
            reason = "held by a rollback"
        elif release.release_id in retention.marked:
            reason = "marked by `marketlake releases keep`"
        elif last_of_month[_month(release)] == release.release_id:
            reason = "the last of its month"
        else:
            continue
        pinned[release.release_id] = reason
    return pinned


def _month(release: Release) -> tuple[int, int]:
    created = release.created_at.astimezone(UTC)
    return created.year, created.month
