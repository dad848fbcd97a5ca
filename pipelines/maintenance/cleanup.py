"""What a home no longer needs: staged batches, build databases, catalogues, logs, files that no commit ever took in, old releases.

Lives here: `clean_home`: finding such files, deleting them, and saying what was freed and what was kept, and why.
Does not live here: which releases expire, and which files only they have (`expiry.py`), small files (`compaction.py`), Dagster's
history (`orchestration/history.py`).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.maintenance.compaction import Compacted, compact_tables
from pipelines.maintenance.expiry import RECENT, Expiry, expire, find_expired
from pipelines.storage.location import Lake

#: Age at which logs and requests go.
_LOGS_KEPT = timedelta(days=90)
_DATA_FILE = re.compile(r"[^\"/]+?\.parquet")


@dataclass(frozen=True)
class Share:
    """Files of one kind that were freed or kept: how many (a folder counts as one), their bytes, and why."""

    what: str
    count: int
    size_bytes: int
    why: str


@dataclass(frozen=True)
class Cleaned:
    """What a clean-up freed (or would free: `dry_run`), kept, and wrote as fewer files."""

    dry_run: bool
    freed: tuple[Share, ...]
    kept: tuple[Share, ...]
    compacted: tuple[Compacted, ...] = ()

    def with_more(self, freed: Iterable[Share], kept: Iterable[Share]) -> Cleaned:
        """The same and other shares, but for those without a file."""
        return replace(self, freed=(*self.freed, *(s for s in freed if s.count)), kept=(*self.kept, *(s for s in kept if s.count)))

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
        shares = {"freed": [asdict(share) for share in self.freed], "kept": [asdict(share) for share in self.kept]}
        return {"dry_run": self.dry_run, **shares, "compacted": [asdict(table) for table in self.compacted]}


def clean_home(
    lake: Lake,
    exchanges: Iterable[str],
    state_dir: Path,
    catalogue_link: Path,
    now: datetime,
    *,
    keep_catalogues: timedelta,
    dry_run: bool,
) -> Cleaned:
    """Delete what is derived and old, and what no commit holds. The caller holds the writer's lock.

    `now` (aware) stands for the clock; `keep_catalogues`: age at which unpublished catalogues go. Raises DamagedTableError, before
    anything is deleted, where the lake does not say what is to be kept.
    """
    exchanges = tuple(exchanges)
    expiry = find_expired(lake, exchanges, now)
    compacted = compact_tables(lake, exchanges, dry_run=dry_run)
    orphans = [path for place in expiry.tables for path in _orphans(Path(lake.uri(*place.split("/"))))] if lake.is_local else []
    expiry = expiry.without({str(path) for path in orphans})
    published = catalogue_link.resolve() if catalogue_link.is_symlink() else None
    # They name files that go.
    outdated = [state_dir / "catalogue" / f"{release.release_id}.duckdb" for release in expiry.expired]
    kinds: list[tuple[str, Iterable[Path], timedelta, str, str]] = [
        ("staged batches", _staged(state_dir), RECENT, "published or refused; the raw files are kept", "younger than 7 days"),
        ("records of the gate", (state_dir / "gate").glob("*.json"), RECENT, "of batches staged then", "younger than 7 days"),
        ("requests", (state_dir / "orders").glob("*.json"), _LOGS_KEPT, "older than 90 days", "younger than 90 days"),
        ("build databases", (state_dir / "build").glob("*.duckdb*"), RECENT, "every build begins anew", "built within 7 days"),
        (
            "logs",
            (p for p in (state_dir / "logs").glob("*") if p.is_file()),
            _LOGS_KEPT,
            "older than 90 days",
            "younger than 90 days",
        ),
        (
            "catalogues",
            (path for path in (state_dir / "catalogue").glob("*") if path != published and path not in outdated),
            keep_catalogues,
            "not published any more; `sql --release` makes it again",
            f"unpublished for less than {keep_catalogues.days} days",
        ),
        ("catalogues of expired releases", (p for p in outdated if p.exists()), timedelta(0), "their files are deleted", ""),
        ("orphans", orphans, RECENT, "no commit ever took them in: a run was killed", "a run may be writing them"),
        ("lakes of repairs", (state_dir / "repair").glob("*"), timedelta(0), "a repair has taken from them what it needed", ""),
    ]
    freed, kept = _shares_of(expiry)
    if not dry_run:
        expire(lake, expiry, now)
    for what, paths, age, why, why_kept in kinds:
        old: list[Path] = []
        young: list[Path] = []
        for path in sorted(paths):
            (old if now.timestamp() - path.stat().st_mtime >= age.total_seconds() else young).append(path)
        freed.append(Share(what, len(old), sum(map(_size, old)), why))
        kept.append(Share(what, len(young), sum(map(_size, young)), why_kept))
        if not dry_run:
            for path in old:
                _delete(path)
    return Cleaned(dry_run, tuple(s for s in freed if s.count), tuple(s for s in kept if s.count), tuple(compacted))


def _staged(state_dir: Path) -> Iterator[Path]:
    """Folders of requests, but for the one that each exchange staged last."""
    for exchange in (state_dir / "staged").glob("*"):
        pointer = exchange / "current"
        current = pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else ""
        yield from (path for path in exchange.iterdir() if path.is_dir() and path.name != current)


def _orphans(table: Path) -> Iterator[Path]:
    """Data files, and parts of such, that no entry of a table's log names; the folder that a repair left beside it.

    For tables whose log is whole: of another a repair needs the files that its lost entries named.
    """
    left = table.with_name(f"{table.name}.repair")
    if left.is_dir():
        yield left
    known = _named_in_logs(table)
    for path in table.rglob("*.parquet*"):
        inside = path.relative_to(table).parts[0]
        if not inside.startswith("_delta_log") and path.name not in known:
            yield path


def _named_in_logs(table: Path) -> set[str]:
    """Names of all data files that a log ever took in, also those of entries that a repair set aside."""
    known: set[str] = set()
    for log in table.glob("_delta_log*"):
        for entry in log.glob("*.json"):
            known.update(_DATA_FILE.findall(entry.read_text(encoding="utf-8", errors="replace")))
        for checkpoint in log.glob("*.checkpoint*.parquet"):
            paths = pl.read_parquet(checkpoint, columns=["add"]).get_column("add").struct.field("path").drop_nulls()
            known.update(path.rpartition("/")[2] for path in paths)
    return known


def _shares_of(expiry: Expiry) -> tuple[list[Share], list[Share]]:
    """What of releases and their files goes, and what stays."""
    gone = [size for files in expiry.tables.values() for size in files.unheld.values()]
    freed = [
        Share("releases", len(expiry.expired), 0, "older than 90 days, not the last of a month, not marked"),
        Share("files of earlier versions", len(gone), sum(gone), "no kept release has them, nor had a table within 7 days"),
    ]
    stay = [size for files in expiry.tables.values() for size in files.others.values()]
    kept = [
        *(Share("releases", count, 0, reason) for reason, count in expiry.reasons().items()),
        Share("data files of tables", len(stay), sum(stay), "the newest versions, kept releases or the last 7 days have them"),
        *(Share("tables left alone", 1, 0, reason) for reason in expiry.left_alone.values()),
    ]
    return freed, kept


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(inside.lstat().st_size for inside in path.rglob("*") if inside.is_file())
    return path.lstat().st_size


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
