"""dbt in this process: compiling needs no data, writes only where it is told, and says what failed."""

import shutil
from pathlib import Path

import duckdb
import pytest

from pipelines.build.compile import compile_models
from pipelines.build.lake_schema import create_lake_schema
from pipelines.dbt.run import DbtError, run_dbt
from pipelines.indicators.registry import installed
from pipelines.package_data import shipped
from pipelines.scanners.registry import load_scanners


@pytest.mark.slow
@pytest.mark.measured
def test_compiling_an_empty_lake_gives_a_manifest_and_leaves_the_project_alone(tmp_path: Path) -> None:
    before = sorted(shipped("dbt_project").rglob("*"))

    manifest = compile_models(shipped("dbt_project"), tmp_path / "compiled")

    assert "breakout_20d" in load_scanners(manifest).scanners
    assert sorted(shipped("dbt_project").rglob("*")) == before


@pytest.mark.slow
def test_an_empty_window_builds_to_empty_tables_and_the_database_is_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "XNSE.duckdb"
    with duckdb.connect(str(path)) as connection:
        create_lake_schema(connection, installed())

    run_dbt(
        ["build", "--exclude-resource-type", "unit_test"],
        build_db=path,
        target_dir=tmp_path / "target",
        project_dir=shipped("dbt_project"),
    )

    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("select count(*) from marts.scanner_signals").fetchall() == [(0,)]


@pytest.mark.slow
def test_a_scanner_is_built_at_the_moments_it_declares_by_the_exchange_clock(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(shipped("dbt_project"), copy, ignore=shutil.ignore_patterns("target", "logs"))
    declaration = copy / "models" / "scanners" / "breakout" / "breakout_20d.yml"
    declaration.write_text(declaration.read_text().replace("moments: [close]", 'moments: ["10:30"]'))

    compiled = load_scanners(compile_models(copy, tmp_path / "compiled"))
    built = frozenset(f"indicators.{name}" for name in ("indicators_daily", "intraday_curves", "intraday_profiles"))

    assert compiled.scanner("breakout_20d").moments == ("10:30",)
    with duckdb.connect() as connection:
        create_lake_schema(connection, installed())
        connection.execute("create schema indicators")
        for name in sorted(built):
            connection.execute(f"create table {name} as from lake.{name.split('.')[1]}")
        connection.execute(
            "insert into lake.sessions by name select 'XNSE' as exchange, date '2024-06-28' as session_date, 1 as session_number, "
            "timestamptz '2024-06-28 03:45:00+00' as opens_at, timestamptz '2024-06-28 10:00:00+00' as closes_at, "
            "timestamptz '2024-06-27 18:30:00+00' as midnight_at, 0 as regular_before, 'regular' as kind"
        )
        connection.execute("insert into lake.intraday_curves by name select 'XNSE' as exchange, date '2024-06-28' as session_date")
        connection.execute("insert into lake.window_daily values ('a', '2024-06-28', '2024-06-28', '2024-06-28')")
        connection.execute("insert into lake.instruments by name select 'a' as instrument_id, date '2020-01-01' as valid_from")
        for model in compiled.needed(["marts.scanner_runs"], built):
            connection.execute(f"create schema if not exists {model.relation.split('.')[0]}")
            connection.execute(f"create view {model.relation} as {model.sql}")
        moments = connection.execute(
            "select strftime(make_timestamp(epoch_us(as_of_ts)), '%H:%M'), minute_of_session from scan.moments "
            "where list_contains(scanners, 'breakout_20d')"
        )
        assert moments.fetchall() == [("05:00", 75)]
        runs = connection.execute("select count(*) from marts.scanner_runs where scanner_name = 'breakout_20d'")
        assert runs.fetchall() == [(1,)]


@pytest.mark.slow
def test_a_parameter_that_no_scanner_has_fails_by_name(tmp_path: Path) -> None:
    path = tmp_path / "XNSE.duckdb"
    with duckdb.connect(str(path)) as connection:
        create_lake_schema(connection, installed())

    with pytest.raises(DbtError, match="breakout_20d has no parameter volum;"):
        run_dbt(
            ["compile", "--select", "params"],
            build_db=path,
            target_dir=tmp_path / "target",
            project_dir=shipped("dbt_project"),
            variables={"scanner_params": {"breakout_20d": {"volum": 1}}},
        )
