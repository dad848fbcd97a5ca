"""The build database of a release holds what was released, not what came since, and stays until it must be made anew."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.build.prepare import BuildConfiguration
from pipelines.build.release_build import (
    NoReleaseError,
    ReleaseDatabase,
    prepare_release_database,
    prepared_database,
    release_database_path,
)
from pipelines.ingest.freshness import NoBarsError
from pipelines.market.tables import TABLES
from pipelines.scanners.build_configuration import configure_build
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release, record_release
from pipelines.storage.upsert import publish
from tests.support.home_project import shipped_project

Frame = Callable[..., pl.DataFrame]
D1, D2, D3, HOLIDAY = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4), date(2024, 1, 1)
LATER = datetime(2025, 2, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> BuildConfiguration:
    return configure_build(("XNYS",), shipped_project(tmp_path_factory.mktemp("state")))


@pytest.fixture
def lake(tmp_path: Path, daily: Frame) -> Lake:
    """A of two sessions, released."""
    lake = Lake(str(tmp_path / "lake"))
    put(lake, daily(("A", D1, 10.0), ("A", D2, 11.0), batch="b1"))
    release(lake)
    return lake


def put(lake: Lake, rows: pl.DataFrame) -> None:
    publish(lake, "XNYS", TABLES["bars_daily"], rows, priorities={}, batches=rows["batch_id"].unique().to_list())


def release(lake: Lake) -> Release:
    tables = {name: LakeTable(lake.table_uri("XNYS", name), TABLES[name]) for name in ("bars_daily", "bars_daily_superseded")}
    versions = {name: version for name, table in tables.items() if (version := table.version()) is not None}
    made, _ = record_release(lake, "XNYS", versions, code_version="1", config={}, sessions=[])
    return made


def rows(state: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(release_database_path(state)), read_only=True) as connection:
        return connection.execute(query).fetchall()


CLOSES = "select session_date, close from lake.bars_daily order by all"


def test_a_correction_and_a_session_that_came_since_are_not_in_it_until_they_are_released(
    tmp_path: Path, lake: Lake, daily: Frame, configuration: BuildConfiguration
) -> None:
    put(lake, daily(("A", D1, 9.0), ("A", D3, 12.0), batch="b2", received_at=LATER))

    prepare_release_database(lake, "XNYS", tmp_path, configuration)
    assert rows(tmp_path, CLOSES) == [(D1, 10.0), (D2, 11.0)]
    # A replaced row that is still the released one would be seen twice as of its time.
    assert rows(tmp_path, "select count(*) from lake.bars_daily_superseded") == [(0,)]
    assert rows(tmp_path, "select from_session, to_session from lake.window_daily") == [(D2, D2)]

    newest = release(lake)
    made, is_new = prepare_release_database(lake, "XNYS", tmp_path, configuration)
    assert (made.release_id, made.sessions, is_new) == (newest.release_id, str(D3), True)
    assert rows(tmp_path, CLOSES) == [(D1, 9.0), (D2, 11.0), (D3, 12.0)]
    assert rows(tmp_path, "select close from lake.bars_daily_superseded") == [(10.0,)]


def test_what_dbt_built_stays_until_another_window_or_a_new_start_is_asked_for(
    tmp_path: Path, lake: Lake, configuration: BuildConfiguration
) -> None:
    def prepared(**asked: object) -> tuple[str, bool]:
        made, is_new = prepare_release_database(lake, "XNYS", tmp_path, configuration, **asked)  # type: ignore[arg-type]
        return made.sessions, is_new

    window = "select from_session, to_session from lake.window_daily"
    assert prepared(session=D1) == (str(D1), True)
    with duckdb.connect(str(release_database_path(tmp_path))) as connection:
        connection.execute("create table main.built as select 1 as one")
    assert [prepared(), prepared(session=D1)] == [(str(D1), False)] * 2
    assert rows(tmp_path, "from main.built") == [(1,)]

    assert prepared(full=True) == ("all", True)
    assert rows(tmp_path, window) == [(D1, D2)]
    assert rows(tmp_path, "select count(*) from duckdb_tables() where table_name = 'built'") == [(0,)]
    assert [prepared(), prepared(anew=True)] == [("all", False), (str(D2), True)]


def test_neither_the_lake_nor_a_nightly_build_is_touched(tmp_path: Path, lake: Lake, configuration: BuildConfiguration) -> None:
    before = sorted(path for path in (tmp_path / "lake").rglob("*") if path.is_file())

    prepare_release_database(lake, "XNYS", tmp_path / "state", configuration)

    assert sorted(path for path in (tmp_path / "lake").rglob("*") if path.is_file()) == before
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["dbt"]


def test_without_a_release_or_bars_of_the_session_nothing_is_written(
    tmp_path: Path, lake: Lake, daily: Frame, configuration: BuildConfiguration
) -> None:
    state, unreleased = tmp_path / "state", Lake(str(tmp_path / "other"))
    publish(unreleased, "XNYS", TABLES["bars_daily"], daily(("A", D1, 10.0)), priorities={}, batches=["b1"])

    with pytest.raises(NoReleaseError, match="nothing of XNYS is released yet: run `marketlake nightly --exchange XNYS`"):
        prepare_release_database(unreleased, "XNYS", state, configuration)
    with pytest.raises(NoReleaseError, match="nothing of XNSE is released yet"):
        prepare_release_database(lake, "XNSE", state, configuration)
    with pytest.raises(NoBarsError, match="has no bars of 2024-01-01 of XNYS"):
        prepare_release_database(lake, "XNYS", state, configuration, session=HOLIDAY)
    assert not state.exists()


def test_a_database_that_was_not_finished_counts_as_none(tmp_path: Path, lake: Lake, configuration: BuildConfiguration) -> None:
    made, _ = prepare_release_database(lake, "XNYS", tmp_path, configuration)
    assert prepared_database(tmp_path) == made == ReleaseDatabase("XNYS", made.release_id, str(D2))

    release_database_path(tmp_path).unlink()
    assert prepared_database(tmp_path) is None
    assert prepare_release_database(lake, "XNYS", tmp_path, configuration) == (made, True)
