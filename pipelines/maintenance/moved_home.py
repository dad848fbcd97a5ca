"""A home that was copied or moved: what names its old place is made anew.

Lives here: noticing it, deleting what names files by absolute paths, and publishing the catalogue again.
Does not live here: where the place is on record (`storage/home_place.py`); `dagster.yaml`, which names the folder of Dagster's
history (`orchestration/home_config.py`).

Tables name their files relative to themselves. Catalogues and the database of `marketlake dbt` hold views of absolute paths; a copy
of a home would read the original's files by them. All of them are derived.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pipelines.indicators.tables import home_tables
from pipelines.market.tables import TABLES
from pipelines.storage.catalogue import publish_catalogue
from pipelines.storage.hold import published_release
from pipelines.storage.home_place import is_in_place, note_place, noted_place
from pipelines.storage.location import Lake
from pipelines.storage.releases import releases
from pipelines.user_files import UserFileError


def renew_moved_home(lake: Lake, state_dir: Path, link: Path) -> str | None:
    """Make anew what names another place than this one. Returns that place; None where nothing moved.

    Raises what reading a damaged lake raises, and UserFileError where nothing can be written; a home that did not move need not be
    writable.
    """
    moved_from = _forget_old_place(lake, state_dir, link)
    if moved_from is not None:
        publish_release(lake, state_dir, link)
    return moved_from


def publish_release(lake: Lake, state_dir: Path, link: Path) -> str | None:
    """Publish what the lake says is published: the held release or the newest. Returns its id; None before the first."""
    last = published_release(lake)
    if last is None:
        return None
    schemas = {name: schema for name, schema in {**TABLES, **home_tables(lake.indicators)}.items() if name != "releases"}
    publish_catalogue(lake, last, schemas, releases(lake), state_dir, link)
    note_place(state_dir, lake.root)
    return last.release_id


def _forget_old_place(lake: Lake, state_dir: Path, link: Path) -> str | None:
    if is_in_place(state_dir, lake.root):
        return None
    moved = noted_place(state_dir) is not None or _is_of_another_place(lake, state_dir, link)
    if not os.access(state_dir, os.W_OK):
        if moved:
            raise UserFileError(
                f"{state_dir.parent} was copied or moved, and its catalogue can only be renewed by who may write there"
            )
        return None
    with (state_dir / "lake_root.lock").open("w") as lock:
        # Of two commands that notice it at once the second finds it done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_in_place(state_dir, lake.root):
            return None
        old = noted_place(state_dir)
        if moved:
            _delete_catalogues(state_dir, link)
        note_place(state_dir, lake.root)
        return (old or "another folder") if moved else None


def _delete_catalogues(state_dir: Path, link: Path) -> None:
    for path in (state_dir / "catalogue").glob("*.duckdb"):
        path.unlink()
    # A copy that followed the link has a file in its place.
    if link.is_file() and not link.is_symlink():
        link.unlink()
    # Without its record the database of `marketlake dbt` is made anew.
    (state_dir / "dbt" / "release.json").unlink(missing_ok=True)


def _is_of_another_place(lake: Lake, state_dir: Path, link: Path) -> bool:
    """Whether the newest catalogue of a home without a note names files of another lake."""
    catalogues = sorted((state_dir / "catalogue").glob("*.duckdb"), key=lambda path: path.stat().st_mtime)
    copied_link = [link] if link.is_file() and not link.is_symlink() else []
    # Not opened: one that is damaged is said elsewhere.
    contents = (path.read_bytes() for path in (*catalogues[-1:], *copied_link))
    return any(b".parquet" in content and f"{lake.root}/".encode() not in content for content in contents)
