"""Checks of the machine: what is installed, room on the disk, the clock.

Lives here: what does not depend on the lake.
Does not live here: the user's own files (`files.py`).
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipelines.doctor.model import Finding
from pipelines.package_data import shipped
from pipelines.settings import Settings
from pipelines.storage.locks import lock_holder

_LEAST_FREE_BYTES = 2 * 1024**3
_PACKAGES = ("dagster", "dbt-duckdb", "duckdb", "deltalake", "great-expectations")


def check_packages() -> Finding:
    """The libraries that the product stands on, and the files that ship with it."""
    try:
        found = [f"{name} {version(name)}" for name in _PACKAGES]
        shipped("dbt_project")
        shipped("expectations")
    except (PackageNotFoundError, FileNotFoundError) as error:
        return Finding("installation", "error", str(error), "install marketlake again from its lock file")
    return Finding("installation", "ok", ", ".join(found))


def check_disk(settings: Settings) -> Finding:
    """Room for the next build."""
    home = settings.home if settings.home.exists() else settings.home.parent
    free = shutil.disk_usage(home).free
    # A build starts its database anew beside the last one's files, and commits about as much again.
    needed = max(_LEAST_FREE_BYTES, 2 * sum(f.stat().st_size for f in (settings.state_dir / "build").glob("*.duckdb")))
    message = f"{free / 1024**3:.1f} GiB free in {home}"
    if free >= needed:
        return Finding("disk", "ok", message)
    advice = f"free at least {needed / 1024**3:.0f} GiB"
    return Finding("disk", "error", message, advice)


def check_home(settings: Settings) -> Finding:
    """Whether this user may write where runs write, and whether a writer is at work."""
    folders = [settings.home, settings.state_dir, *([Path(settings.lake_root)] if "://" not in settings.lake_root else [])]
    if closed := [str(folder) for folder in folders if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK)]:
        advice = "run as the user who owns the home, or give this user the right to write there"
        return Finding("home", "error", f"no permission to write in {', '.join(closed)}", advice)
    holder = lock_holder(settings.state_dir)
    return Finding("home", "ok", f"{settings.home} can be written" + (f"; at work now: {holder}" if holder else ""))


def check_clock(now: datetime) -> Finding:
    """A clock that lies before this version was made decides wrongly which sessions have closed."""
    if now < datetime(2026, 1, 1, tzinfo=UTC):
        return Finding("clock", "error", f"the clock says {now:%Y-%m-%d}", "set the clock: this version was made later")
    return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")
