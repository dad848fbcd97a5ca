"""The dbt project as a resource: where it is, and running dbt on it in this process.

Lives here: `run_dbt`, `compile_project` and the empty build database that compiling needs.
Does not live here: the nightly build (orchestration runs dbt through dagster-dbt), filling a build database (`storage/build.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipelines.indicators.tables import INDICATOR_TABLES
from pipelines.market.closing_auction import CLOSING_AUCTIONS
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.resources import shipped
from pipelines.scanners.additions import Additions, assemble, find_additions
from pipelines.scanners.dbt_process import BUILD_DB
from pipelines.scanners.finding_effects import FINDING_EFFECTS
from pipelines.scanners.registry import Scanner, read_declaration
from pipelines.scanners.universes import MEMBERS, RULES
from pipelines.settings import Settings
from pipelines.storage.build import RECORDS, replaced_tables
from pipelines.storage.plan import INPUTS
from pipelines.storage.relations import quoted, select_files

#: Derived tables whose last built rows the models read.
DERIVED = (*INDICATOR_TABLES, "intraday_curves", "intraday_profiles", "scanner_signals", "scanner_runs")

#: Beside a manifest: what it was made of.
MADE_OF = "made_of"


class DbtError(RuntimeError):
    """dbt failed; the message names the models and tests that did, with their errors."""


def dbt_project_dir() -> Path:
    """The folder of the dbt project; treat it as read-only.

    It is the shipped one, or where this installation adds scanners (MARKETLAKE_SCANNERS, packages), one made of both in the home's
    state folder. Raises RuleFileError, UniverseError.
    """
    found = additions()
    return assemble(shipped("dbt_project"), found, _projects()) if found.files else shipped("dbt_project")


def additions() -> Additions:
    """The scanners that this installation adds. Plug-ins that do not run on an empty lake are set aside, with the reason.

    Raises RuleFileError, UniverseError.
    """
    from pipelines.scanners.trial import usable

    return usable(find_additions(shipped("dbt_project")), _projects())


def project_fingerprint() -> str:
    """What the project's models are made of: a manifest of another one is out of date."""
    return additions().fingerprint()


def _projects() -> Path:
    return Settings().state_dir / "dbt"


def declared_scanners() -> dict[str, Scanner]:
    """Every scanner as its yml declares it, by name: in milliseconds and without dbt. Raises RuleFileError, UniverseError."""
    import yaml

    found = {}
    for path in (dbt_project_dir() / "models" / "scanners").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            if "scanner" in model.get("config", {}).get("meta", {}):
                found[model["name"]] = read_declaration(model, f"scanners.{model['name']}")
    return dict(sorted(found.items()))


def lake_schemas() -> dict[str, TableSchema]:
    """Schemas of everything in schema `lake` of a build database, apart from its windows."""
    tables = {**TABLES, **INDICATOR_TABLES}
    return {name: tables[name] for name in (*INPUTS, *DERIVED, "sessions")}


def create_lake_schema(connection: duckdb.DuckDBPyConnection) -> None:
    """Make schema `lake` with every table empty, the windows too."""
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("create schema lake")
    for name, schema in lake_schemas().items():
        connection.execute(f"create table lake.{quoted(name)} as {select_files(schema, [])}")
    for name, schema in replaced_tables((*INPUTS, *RECORDS)).items():
        connection.execute(f"create table lake.{quoted(name)} as {select_files(schema, [])}")
    frames: dict[str, dict[str, Any]] = {
        "closing_auctions": CLOSING_AUCTIONS,
        "universe_members": MEMBERS,
        "universe_rules": RULES,
        "finding_effects": FINDING_EFFECTS,
    }
    for name, columns in frames.items():
        connection.register("nothing", pl.DataFrame(schema=columns).to_arrow())
        connection.execute(f"create table lake.{name} as from nothing")
        connection.unregister("nothing")
    for name in ("window_daily", "window_1m", "window_listings"):
        connection.execute(f"create table lake.{name} (instrument_id varchar, from_session date, to_session date, changed_to date)")
    connection.execute("create table lake.window_bounds (first_session date, last_session date)")


def run_dbt(
    arguments: Sequence[str],
    *,
    build_db: Path,
    target_dir: Path,
    variables: Mapping[str, Any] | None = None,
    project_dir: Path | None = None,
) -> list[dict[str, Any]]:
    """Run one dbt command in this process; return a row per node: unique_id, status, seconds, message.

    `variables` are dbt vars, for example `{"scanner_params": {"breakout_20d": {"volume_factor": 2.0}}}`. dbt writes only into
    `target_dir`, its log too, and prints nothing. `project_dir`: default this installation's. Raises DbtError when a node fails or
    dbt does not get that far.
    """
    import json

    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    project = str(project_dir or dbt_project_dir())
    command = [*arguments, "--project-dir", project, "--profiles-dir", project, "--no-use-colors", "--log-level", "none"]
    if variables:
        command += ["--vars", json.dumps(variables, sort_keys=True)]
    places = {
        BUILD_DB: str(build_db),
        "DBT_TARGET_PATH": str(target_dir),
        "DBT_LOG_PATH": str(target_dir / "logs"),
    }
    with _environment(places):
        try:
            outcome = dbtRunner().invoke(command)
        finally:
            # dbt-duckdb keeps the database open for the next run of the process; others could then not open it read-only.
            DuckDBConnectionManager.close_all_connections()
    results = [
        {"unique_id": r.node.unique_id, "status": str(r.status), "seconds": r.execution_time, "message": r.message}
        for r in getattr(outcome.result, "results", [])
    ]
    if not outcome.success:
        failed = [f"{r['unique_id']}: {r['message']}" for r in results if r["status"] in {"error", "fail", "runtime error"}]
        raise DbtError(f"dbt {arguments[0]} failed. " + ("\n".join(failed) or str(outcome.exception)))
    return results


def compile_project(target_dir: Path, project_dir: Path | None = None) -> Path:
    """Compile all models against an empty build database; return the manifest. What the live scan runs.

    A file `made_of` beside it says of which additions (`project_fingerprint`), unless a `project_dir` was named.
    """
    target_dir.mkdir(parents=True, exist_ok=True)
    build_db = target_dir / "empty.duckdb"
    build_db.unlink(missing_ok=True)
    with duckdb.connect(str(build_db)) as connection:
        create_lake_schema(connection)
    run_dbt(["compile"], build_db=build_db, target_dir=target_dir, project_dir=project_dir)
    if project_dir is None:
        (target_dir / MADE_OF).write_text(project_fingerprint(), encoding="utf-8")
    return target_dir / "manifest.json"


def manifest_path(target: Path) -> Path:
    """The dbt manifest in `target`, made when it is missing, older than the project, or of other added scanners."""
    return _manifest(target, project_fingerprint())


@cache
def _manifest(target: Path, fingerprint: str) -> Path:
    manifest, made_of = target / "manifest.json", target / MADE_OF
    same = made_of.is_file() and made_of.read_text(encoding="utf-8") == fingerprint
    newest = max(p.stat().st_mtime for p in dbt_project_dir().rglob("*") if p.is_file() and "target" not in p.parts)
    if not same or not manifest.exists() or manifest.stat().st_mtime < newest:
        compile_project(target)
    return manifest


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while: profiles.yml and dbt's own paths are read from there."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
