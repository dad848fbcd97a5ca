"""dbt's documentation of the models, generated on the build database of a release.

Lives here: `document_release`, where the page lies, and what is recorded beside it of what it shows.
Does not live here: making the database (`release_build.py`), running dbt (`dbt/run.py`), serving the page (`cli/docs_server.py`).
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.build.release_build import ReleaseDatabase, release_database_path, release_target_dir
from pipelines.dbt.run import run_dbt

#: dbt's name of the page that holds manifest and catalog itself.
_STATIC = "static_index.html"


def docs_path(state_dir: Path) -> Path:
    """The page: one file that needs no other, so that it can be copied anywhere."""
    return state_dir / "dbt" / "docs" / "index.html"


def document_release(database: ReleaseDatabase, state_dir: Path, project_dir: Path, project_version: str) -> bool:
    """Have dbt document the project on the prepared `database`; whether that was done just now.

    A page there is kept that shows the same database, untouched since, and the same `project_version`. Raises DbtError; the page
    there stays as it is then.
    """
    page = docs_path(state_dir)
    if page.is_file() and _record(page) == _shown(database, state_dir, project_version):
        return False
    target = release_target_dir(state_dir)
    run_dbt(["docs", "generate", "--static"], build_db=release_database_path(state_dir), target_dir=target, project_dir=project_dir)
    page.parent.mkdir(parents=True, exist_ok=True)
    record = page.with_name("made_of.json")
    record.unlink(missing_ok=True)
    temporary = page.with_suffix(f".{os.getpid()}")
    shutil.move(target / _STATIC, temporary)
    os.replace(temporary, page)
    # After dbt closed the database, which writes to it.
    record.write_text(json.dumps(_shown(database, state_dir, project_version)), encoding="utf-8")
    return True


def _shown(database: ReleaseDatabase, state_dir: Path, project_version: str) -> dict[str, Any]:
    """What a page shows: of the file its time, since the page lists the tables that dbt built in it."""
    changed = release_database_path(state_dir).stat().st_mtime_ns
    return {**asdict(database), "project": project_version, "database_changed": changed}


def _record(page: Path) -> dict[str, Any] | None:
    """What the page was recorded to show; None where its making was not finished."""
    record = page.with_name("made_of.json")
    if not record.is_file():
        return None
    content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return content
