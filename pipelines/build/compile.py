"""Compiling a dbt project without data.

Lives here: `compile_models`.
Does not live here: which project an installation has (`scanners/project.py`), running dbt (`dbt/run.py`).
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from pipelines.build.lake_schema import create_lake_schema
from pipelines.dbt.run import run_dbt
from pipelines.indicators.registry import home_registry


def compile_models(project_dir: Path, target_dir: Path, indicators: Path | None = None) -> Path:
    """Compile all models of a project against an empty build database in `target_dir`; return the manifest.

    indicators: the home's file of chosen ones. Raises DbtError, IndicatorFileError.
    """
    target_dir.mkdir(parents=True, exist_ok=True)
    build_db = target_dir / "empty.duckdb"
    build_db.unlink(missing_ok=True)
    with duckdb.connect(str(build_db)) as connection:
        create_lake_schema(connection, home_registry(indicators))
    run_dbt(["compile"], build_db=build_db, target_dir=target_dir, project_dir=project_dir, indicators=indicators)
    return target_dir / "manifest.json"
