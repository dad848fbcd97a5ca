"""What a home no longer needs: staged batches, build databases, catalogues, logs, files that no commit ever took in.

Lives here: `clean_home`: finding such files, deleting them, and saying what was freed and what was kept, and why.
Does not live here: versions of tables and releases, which stay (`storage/releases.py`), Dagster's history.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.storage.location import Lake

#: Age below which nothing is deleted: a run, a reader or a person may still be at work with it.
RECENT = timedelta(days=7)
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
    """What a clean-up freed (or would free: `dry_run`) and kept."""

    dry_run: bool
    freed: tuple[Share, ...]
    kept: tuple[Share, ...]

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
        return {"dry_run": self.dry_run, "freed": [asdict(s) for s in self.freed], "kept": [asdict(s) for s in self.kept]}


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

    `now` (aware) stands for the clock; `keep_catalogues`: age at which unpublished catalogues go.
    """
    published = catalogue_link.resolve() if catalogue_link.is_symlink() else None
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
            (path for path in (state_dir / "catalogue").glob("*") if path != published),
            keep_catalogues,
            "not published any more; `sql --release` makes it again",
            f"unpublished for less than {keep_catalogues.days} days",
        ),
        ("lakes of repairs", (state_dir / "repair").glob("*"), timedelta(0), "a repair has taken from them what it needed", ""),
    ]
    if lake.is_local:
        orphans = [path for mic in exchanges for path in _orphans(Path(lake.uri(mic)))]
        kinds.append(("orphans", orphans, RECENT, "no commit ever took them in: a run was killed", "a run may be writing them"))
    freed, kept = [], []
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
    if lake.is_local:
        kept.append(_tables(lake, exchanges))
    return Cleaned(dry_run, tuple(s for s in freed if s.count), tuple(s for s in kept if s.count))


def _staged(state_dir: Path) -> Iterator[Path]:
    """Folders of requests, but for the one that each exchange staged last."""
    for exchange in (state_dir / "staged").glob("*"):
        pointer = exchange / "current"
        current = pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else ""
        yield from (path for path in exchange.iterdir() if path.is_dir() and path.name != current)


def _orphans(exchange: Path) -> Iterator[Path]:
    """Data files, and parts of such, that no entry of their table's log names; folders that a repair left."""
    for table in sorted(path.parent for path in exchange.glob("*/_delta_log")):
        if table.name.endswith(".repair"):
            yield table
            continue
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


def _tables(lake: Lake, exchanges: Iterable[str]) -> Share:
    files = [p for mic in exchanges for p in Path(lake.uri(mic)).rglob("*.parquet") if not p.parent.name.startswith("_delta_log")]
    return Share("data files of tables", len(files), sum(map(_size, files)), "releases and earlier versions hold them")


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(inside.lstat().st_size for inside in path.rglob("*") if inside.is_file())
    return path.lstat().st_size


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
