"""Trying out added scanners before a night depends on them: do they compile, and do they run on an empty lake?

Lives here: `usable`, which sets the plug-ins aside that do not.
Does not live here: what is known without dbt (`plugins.py`), the project they are put into (`additions.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import duckdb

from pipelines.resources import code_version, shipped
from pipelines.scanners.additions import Additions, assemble


def usable(additions: Additions, folder: Path) -> Additions:
    """The additions without plug-ins that fail on an empty lake. What was found is kept in `folder`, so that it is tried once.

    A model of a rule that fails is an error of this code and is raised as DbtError or duckdb.Error.
    """
    if not additions.plugins:
        return additions
    verdict = folder / f"trial-{code_version().partition('+')[2]}-{additions.fingerprint()}.json"
    if not verdict.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = verdict.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(_broken(additions)), encoding="utf-8")
        os.replace(temporary, verdict)
    broken: dict[str, str] = json.loads(verdict.read_text(encoding="utf-8"))
    return additions.without(broken) if broken else additions


def _broken(additions: Additions) -> dict[str, str]:
    """All together first, since they are usually whole; one by one only when they are not."""
    if not _fault(additions):
        return {}
    broken = {}
    for plugin in additions.plugins:
        others = {other.name: "" for other in additions.plugins if other.name != plugin.name}
        if fault := _fault(additions.without(others)):
            broken[plugin.name] = f"plug-in {plugin.name} ({plugin.origin}) fails on an empty lake: {fault}"
    return broken


def _fault(additions: Additions) -> str:
    """Why these do not run, '' when they do."""
    from pipelines.scanners.project import DbtError, compile_project
    from pipelines.scanners.registry import ManifestError, load_scanners
    from pipelines.scanners.runner import empty_run

    folder = Path(tempfile.mkdtemp(prefix="marketlake-trial-"))
    try:
        project = assemble(shipped("dbt_project"), additions, folder)
        empty_run(load_scanners(compile_project(folder / "target", project)))
    except (DbtError, ManifestError, duckdb.Error) as error:
        return " ".join(str(error).split())[:500]
    except Exception as error:  # noqa: BLE001  # decide() of a package of others may fail in any way
        return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ""
