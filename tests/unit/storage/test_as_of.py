"""What was known at a moment: old values before a correction came, no value before a bar came, whatever is stored now."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.indicators.tables import INDICATOR_TABLES
from pipelines.market.tables import TABLES
from pipelines.storage.as_of import show_as_of
from pipelines.storage.catalogue import write_catalogue
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.publish import publish
from pipelines.storage.query import open_catalogue
from pipelines.storage.releases import record_release, releases

Frame = Callable[..., pl.DataFrame]
D1, D2 = date(2024, 1, 2), date(2024, 1, 3)
SCHEMAS = {name: schema for name, schema in {**TABLES, **INDICATOR_TABLES}.items() if name != "releases"}
CLOSED = datetime(2024, 1, 3, 21, 0, tzinfo=UTC)
CORRECTED = datetime(2024, 4, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def catalogue(tmp_path: Path, daily: Frame) -> tuple[Lake, Path]:
    """Two bars; the first was corrected 90 days later, from 10 to 9."""
    lake = Lake(str(tmp_path / "lake"))
    bars = TABLES["bars_daily"]
    first = daily(("A", D1, 10.0), ("A", D2, 11.0), batch="b1", received_at=CLOSED)
    publish(lake, "XNYS", bars, first, priorities={}, batches=["b1"])
    corrected = daily(("A", D1, 9.0), batch="b2", received_at=CORRECTED)
    publish(lake, "XNYS", bars, corrected, priorities={}, batches=["b2"])
    tables = {name: LakeTable(lake.table_uri("XNYS", name), TABLES[name]) for name in ("bars_daily", "bars_daily_superseded")}
    versions = {name: version for name, table in tables.items() if (version := table.version()) is not None}
    release, _ = record_release(lake, "XNYS", versions, code_version="1", config={}, sessions=[])
    return lake, write_catalogue(lake, release, SCHEMAS, releases(lake), tmp_path / "state")


def closes(catalogue: tuple[Lake, Path], moment: datetime | None, relation: str = "bars_daily") -> list[tuple[date, float]]:
    lake, path = catalogue
    with open_catalogue(path, lake) as connection:
        if moment is not None:
            show_as_of(connection, moment, {**SCHEMAS, "releases": TABLES["releases"]})
        return connection.sql(f"SELECT session_date, close FROM {relation} ORDER BY session_date").fetchall()


def test_today_shows_the_correction(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, None) == [(D1, 9.0), (D2, 11.0)]


def test_before_the_correction_the_old_value_stands(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, datetime(2024, 4, 2, 11, 59, tzinfo=UTC)) == [(D1, 10.0), (D2, 11.0)]


def test_from_the_correction_on_the_new_value_stands(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, CORRECTED) == [(D1, 9.0), (D2, 11.0)]


def test_a_bar_is_not_known_before_it_closed(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, datetime(2024, 1, 3, 20, 59, tzinfo=UTC)) == [(D1, 10.0)]
    assert closes(catalogue, datetime(2024, 1, 2, 12, 0, tzinfo=UTC)) == []


def test_adjusted_bars_follow(catalogue: tuple[Lake, Path]) -> None:
    assert closes(catalogue, datetime(2024, 4, 1, tzinfo=UTC), "bars_daily_adjusted") == [(D1, 10.0), (D2, 11.0)]


def test_releases_of_later_are_not_there_yet(catalogue: tuple[Lake, Path]) -> None:
    lake, path = catalogue
    with open_catalogue(path, lake) as connection:
        assert connection.sql("SELECT count(*) FROM releases").fetchall() == [(1,)]
        show_as_of(connection, CLOSED, {**SCHEMAS, "releases": TABLES["releases"]})
        assert connection.sql("SELECT count(*) FROM releases").fetchall() == [(0,)]


def test_a_table_whose_replaced_rows_are_not_kept_is_refused_by_name_with_what_to_do(catalogue: tuple[Lake, Path]) -> None:
    lake, path = catalogue
    with open_catalogue(path, lake) as connection:
        show_as_of(connection, CORRECTED, {"bars_daily": TABLES["bars_daily"]})
        with pytest.raises(duckdb.Error, match=r"bars_daily is computed.*marketlake sql --release"):
            connection.sql("SELECT count(*) FROM bars_daily").fetchall()
