"""What a home has beside its lake: which files a backup takes, and what it leaves out.

Lives here: `list_home_files`, the settings as a backup keeps them, and what is not kept, for people.
Does not live here: the lake (`snapshot.py`), copying (`make.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import SecretStr

from pipelines.settings import Settings

#: Variables that name the place of the home, which a restored one does not share.
_PLACES = frozenset({"MARKETLAKE_HOME", "MARKETLAKE_LAKE_URI"})
SETTINGS_FILE = ".env"

#: What is not kept, and why that loses nothing, or what to do about it.
NOT_KEPT = (
    ("Dagster's history", "begins anew; a session shows as materialised again once a run has made it"),
    ("build databases, staged batches, requests, dbt's files", "every run makes its own"),
    ("catalogues", "restore publishes the release again; `sql --release` makes the others"),
    ("inbox and deliveries", "what was taken from there is among the raw files; the rest the vendor has"),
    ("secrets", "passwords and addresses with passwords come from the environment; of .env other settings are kept"),
)


def list_home_files(settings: Settings) -> Iterator[Path]:
    """Files that people wrote: calendars, strategies, indicators, scanners, universes; and the reports."""
    places = [settings.calendars, settings.strategies_dir, settings.reports_dir]
    places += [place for place in (settings.indicators, settings.scanners, settings.universes) if place is not None]
    for place in places:
        if place.is_relative_to(settings.home):
            yield from sorted(path for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file())


def list_outside(settings: Settings) -> list[str]:
    """Files and folders that the settings name and that lie outside the home: a backup does not have them."""
    places = (settings.strategies, settings.indicators, settings.scanners, settings.universes)
    return [str(place) for place in places if place is not None and not place.is_relative_to(settings.home)]


def settings_without_secrets(path: Path) -> bytes | None:
    """The lines of marketlake in the home's `.env`, but for secrets and places; None where there is no file."""
    if not path.is_file():
        return None
    secret = {f"MARKETLAKE_{name.upper()}" for name, field in Settings.model_fields.items() if _is_secret(field.annotation)}
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name = line.strip().removeprefix("export ").partition("=")[0].strip()
        if name.startswith("MARKETLAKE_") and name not in secret | _PLACES:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept).encode()


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))
