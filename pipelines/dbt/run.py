"""Running dbt in this process.

Lives here: `run_dbt` and `DbtError`, and `run_dbt_command` for people at a terminal.
Does not live here: dbt as a child of a Dagster run (`process.py`), which project is run (`scanners/project.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.dbt.process import BUILD_DB, INDICATORS
from pipelines.process_environment import set_environment


class DbtError(RuntimeError):
    """dbt failed; the message names the models and tests that did, with their errors."""


def run_dbt(
    arguments: Sequence[str],
    *,
    build_db: Path,
    target_dir: Path,
    project_dir: Path,
    indicators: Path | None = None,
    variables: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Run one dbt command in this process; return a row per node: unique_id, status, seconds, message.

    `indicators` is the home's file of chosen ones. `variables` are dbt vars, for example
    `{"scanner_params": {"breakout_20d": {"volume_factor": 2.0}}}`. dbt writes only into `target_dir`, its log too, and prints
    nothing. Raises DbtError when a node fails or dbt does not get that far.
    """
    import json

    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    project = str(project_dir)
    command = [*arguments, "--project-dir", project, "--profiles-dir", project, "--no-use-colors", "--log-level", "none"]
    if variables:
        command += ["--vars", json.dumps(variables, sort_keys=True)]
    with set_environment(_places(build_db, target_dir, indicators)):
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


def run_dbt_command(
    arguments: Sequence[str], *, build_db: Path, target_dir: Path, project_dir: Path, indicators: Path | None
) -> int:
    """Run dbt as its own command line does, with what it prints; return its exit code.

    Project, profiles and folders are given by the environment, so that arguments of the same name go before them.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import cli

    places = {
        **_places(build_db, target_dir, indicators),
        "DBT_PROJECT_DIR": str(project_dir),
        "DBT_PROFILES_DIR": str(project_dir),
    }
    with set_environment(places):
        try:
            cli.main(args=[*arguments], prog_name="dbt")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            DuckDBConnectionManager.close_all_connections()
    return 0


def _places(build_db: Path, target_dir: Path, indicators: Path | None) -> dict[str, str]:
    """Where dbt reads and writes and which indicators it computes, as variables."""
    places = {BUILD_DB: str(build_db), "DBT_TARGET_PATH": str(target_dir), "DBT_LOG_PATH": str(target_dir / "logs")}
    return {**places, INDICATORS: str(indicators or "")}
