"""Contracts of models: what a table or view was made of is what its yml declares, or the model fails and nothing of it stays."""

import shutil
from pathlib import Path

import duckdb
import pytest
import yaml

from pipelines.dbt.run import DbtError, run_dbt
from pipelines.package_data import shipped

DECLARED = {"name": "varchar", "seen_at": "timestamptz", "bars": "bigint", "tags": "varchar[]"}
AS_DECLARED = "select 'A' as name, timestamptz '2024-01-02 09:30Z' as seen_at, 7::bigint as bars, ['x'] as tags"
MODELS = {
    "as_declared": AS_DECLARED,
    "narrow": "select 'A' as name, timestamptz '2024-01-02 09:30Z' as seen_at, 7::integer as bars, ['x'] as tags",
    "other_order": "select 7::bigint as bars, 'A' as name, timestamptz '2024-01-02 09:30Z' as seen_at, ['x'] as tags",
    "one_more": f"{AS_DECLARED}, 1 as more",
    "one_less": "select 'A' as name, timestamptz '2024-01-02 09:30Z' as seen_at, 7::bigint as bars",
    "other_type": "select 'A' as name, date '2024-01-02' as seen_at, 7::bigint as bars, ['x'] as tags",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A build of every model as table and as view, twice: the database and what dbt said of the models that failed."""
    folder = tmp_path_factory.mktemp("contracts")
    project, models = folder / "project", folder / "project" / "models"
    shutil.copytree(shipped("dbt_project") / "macros", project / "macros", ignore=lambda _, names: set(names) - _MACROS)
    shutil.copy(shipped("dbt_project") / "profiles.yml", project)
    (project / "dbt_project.yml").write_text("name: contracts\nprofile: marketlake\nconfig-version: 2\n")
    models.mkdir()
    columns = [{"name": name, "data_type": kind} for name, kind in DECLARED.items()]
    described = []
    for name, sql in MODELS.items():
        for kind in ("table", "view"):
            (models / f"{name}_{kind}.sql").write_text(sql)
            config = {"materialized": kind, "contract": {"enforced": True}}
            described.append({"name": f"{name}_{kind}", "config": config, "columns": columns})
    (models / "models.yml").write_text(yaml.safe_dump({"models": described}))
    database = folder / "build.duckdb"
    for _ in range(2):
        with pytest.raises(DbtError) as failed:
            run_dbt(["run"], build_db=database, target_dir=folder / "target", project_dir=project)
    return database, str(failed.value)


_MACROS = {"table.sql", "view.sql", "is_as_declared.sql", "generate_schema_name.sql"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "view"])
def test_a_model_that_keeps_its_contract_is_there_as_declared(built: tuple[Path, str], kind: str) -> None:
    assert _columns(built[0], f"as_declared_{kind}") == ["VARCHAR", "TIMESTAMP WITH TIME ZONE", "BIGINT", "VARCHAR[]"]
    assert _rows(built[0], f"as_declared_{kind}") == 1


@pytest.mark.slow
def test_a_table_in_another_order_gets_the_declared_one(built: tuple[Path, str]) -> None:
    assert _columns(built[0], "other_order_table") == ["VARCHAR", "TIMESTAMP WITH TIME ZONE", "BIGINT", "VARCHAR[]"]
    assert _rows(built[0], "other_order_table") == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "view"])
@pytest.mark.parametrize("name", ["narrow", "one_more", "one_less", "other_type"])
def test_a_model_that_breaks_its_contract_fails_and_leaves_nothing(built: tuple[Path, str], name: str, kind: str) -> None:
    assert f"{name}_{kind}" in built[1]
    assert "contract" in built[1]
    with duckdb.connect(str(built[0]), read_only=True) as connection:
        there = connection.execute("select count(*) from duckdb_columns() where table_name = ?", [f"{name}_{kind}"]).fetchall()
    assert there == [(0,)]


def _columns(database: Path, name: str) -> list[str]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return [row[1] for row in connection.execute(f"describe {name}").fetchall()]


def _rows(database: Path, name: str) -> int:
    with duckdb.connect(str(database), read_only=True) as connection:
        return len(connection.execute(f"from {name}").fetchall())
