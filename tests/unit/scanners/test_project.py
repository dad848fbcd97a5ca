"""dbt in this process: compiling needs no data, writes only where it is told, and says what failed."""

from pathlib import Path

import duckdb
import pytest

from pipelines.scanners.project import DbtError, compile_project, create_lake_schema, dbt_project_dir, run_dbt
from pipelines.scanners.registry import load_scanners


def test_compiling_an_empty_lake_gives_a_manifest_and_leaves_the_project_alone(tmp_path: Path) -> None:
    before = sorted(dbt_project_dir().rglob("*"))

    manifest = compile_project(tmp_path / "compiled")

    assert "breakout_20d" in load_scanners(manifest).scanners
    assert sorted(dbt_project_dir().rglob("*")) == before


def test_an_empty_window_builds_to_empty_tables_and_the_database_is_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "XNSE.duckdb"
    with duckdb.connect(str(path)) as connection:
        create_lake_schema(connection)

    run_dbt(["build", "--exclude-resource-type", "unit_test"], build_db=path, target_dir=tmp_path / "target")

    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("select count(*) from marts.scanner_signals").fetchall() == [(0,)]


def test_a_parameter_that_no_scanner_has_fails_by_name(tmp_path: Path) -> None:
    path = tmp_path / "XNSE.duckdb"
    with duckdb.connect(str(path)) as connection:
        create_lake_schema(connection)

    with pytest.raises(DbtError, match="breakout_20d has no parameter volum;"):
        run_dbt(
            ["compile", "--select", "params"],
            build_db=path,
            target_dir=tmp_path / "target",
            variables={"scanner_params": {"breakout_20d": {"volum": 1}}},
        )
