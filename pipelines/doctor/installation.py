"""Checks of the machine: what is installed, room on the disk, the clock.

Lives here: what does not depend on the lake.
Does not live here: the user's own files (`files.py`).
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from pipelines.doctor.model import Finding
from pipelines.package_data import shipped
from pipelines.settings import Settings

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
    message = f"{free / 1024**3:.1f} GiB free in {home}"
    return Finding("disk", "ok", message) if free >= _LEAST_FREE_BYTES else Finding("disk", "error", message, "free at least 2 GiB")


def check_clock(now: datetime) -> Finding:
    """A clock that lies before this version was made decides wrongly which sessions have closed."""
    if now < datetime(2026, 1, 1, tzinfo=UTC):
        return Finding("clock", "error", f"the clock says {now:%Y-%m-%d}", "set the clock: this version was made later")
    return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")
