"""Trying out added scanners before a night depends on them: do they compile, and do they run on an empty lake?

Lives here: `usable`, which sets the plug-ins aside that do not.
Does not live here: what is known without dbt (`plugins.py`), the project they are put into (`discovery.py`).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from pipelines.package_data import code_version, shipped
from pipelines.scanners.extensions.discovery import Extensions, assemble_project
from pipelines.whole_files import write_whole


def usable(additions: Extensions, folder: Path, indicators: Path | None) -> Extensions:
    """The additions without plug-ins that fail on an empty lake. What was found is kept in `folder`, so that it is tried once.

    indicators: the home's file of chosen ones, which rules beside the plug-ins may name.
    A model of a rule that fails is an error of this code and is raised as DbtError or duckdb.Error.
    """
    if not additions.plugins:
        return additions
    validation = folder / f"trial-{code_version().partition('+')[2]}-{additions.fingerprint()}.json"
    if not validation.is_file():
        write_whole(validation, json.dumps(_broken(additions, indicators)))
    broken: dict[str, str] = json.loads(validation.read_text(encoding="utf-8"))
    return additions.without(broken) if broken else additions


def _broken(additions: Extensions, indicators: Path | None) -> dict[str, str]:
    """All together first, since they are usually whole; one by one only when they are not."""
    refused: dict[str, str] = {}
    if not _fault(additions, refused, indicators):
        return refused
    broken: dict[str, str] = {}
    for plugin in additions.plugins:
        others = {other.name: "" for other in additions.plugins if other.name != plugin.name}
        if fault := _fault(additions.without(others), broken, indicators):
            broken[plugin.name] = f"plug-in {plugin.name} ({plugin.origin}) fails on an empty lake: {fault}"
    return broken


def _fault(additions: Extensions, refused: dict[str, str], indicators: Path | None) -> str:
    """Why these do not run, '' when they do. Plug-ins whose SQL may not be run are not: they go into `refused`, with the reason."""
    from pipelines.build.compile import compile_models
    from pipelines.dbt.run import DbtError
    from pipelines.scanners.engine.runner import empty_run
    from pipelines.scanners.registry import ManifestError, load_scanners

    folder = Path(tempfile.mkdtemp(prefix="marketlake-trial-"))
    try:
        project = assemble_project(shipped("dbt_project"), additions, folder)
        manifest = compile_models(project, folder / "target", indicators)
        found = _refused(additions, manifest)
        refused.update(found)
        empty_run(
            load_scanners(manifest, indicators),
            [name for plugin in additions.plugins if plugin.name in found for name in plugin.scanners],
        )
    except (DbtError, ManifestError, duckdb.Error) as error:
        return " ".join(str(error).split())[:500]
    except Exception as error:  # noqa: BLE001  # decide() of a package of others may fail in any way
        return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ""


def _refused(additions: Extensions, manifest: Path) -> dict[str, str]:
    """Plug-ins whose models, as dbt rendered them, read or call what a scanner may not."""
    from pipelines.scanners.extensions.sql_reads import sql_faults  # sqlglot

    nodes = {node["name"]: node for node in json.loads(manifest.read_text(encoding="utf-8"))["nodes"].values()}
    refused = {}
    for plugin in additions.plugins:
        faults = [
            f"{name}.sql {fault}"
            for name in plugin.scanners
            if nodes[name]["language"] == "sql"
            for fault in (*sql_faults(nodes[name]["compiled_code"], _asked_for(nodes[name])), *_hooks(nodes[name]))
        ]
        if faults:
            refused[plugin.name] = f"plug-in {plugin.name} ({plugin.origin}): {'; '.join(faults)}"
    return refused


def _asked_for(node: Mapping[str, Any]) -> set[str]:
    """Relations that a model asked dbt for."""
    return {key.rpartition(".")[2] for key in node["depends_on"]["nodes"]}


def _hooks(node: Mapping[str, Any]) -> Iterator[str]:
    """Statements that dbt would run beside the model."""
    for hook in ("pre-hook", "post-hook"):
        if node["config"].get(hook):
            yield f"declares a {hook}; a scanner is one SELECT statement"
