"""What dbt built, read part by part: groups of partitions that fit in memory, none left out."""

from datetime import date

import duckdb
import pyarrow as pa
import pytest

from pipelines.build import database
from pipelines.build.database import BuiltTable
from pipelines.market.schema import Column, TableSchema

DAYS = [date(2024, 1, day) for day in (2, 3, 4, 5)]
SCHEMA = TableSchema(
    name="measures",
    description="Figures by day.",
    key=("session_date", "name"),
    columns=(Column("session_date", pa.date32(), "The session."), Column("name", pa.string(), "Who.")),
    partition_by="session_date",
)


@pytest.fixture
def built() -> BuiltTable:
    """Three rows of each day but the first, which has none."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA marts; CREATE TABLE marts.measures (session_date DATE, name VARCHAR)")
    connection.executemany("INSERT INTO marts.measures VALUES (?, ?)", [(day, name) for day in DAYS[1:] for name in "abc"])
    return BuiltTable(connection, "marts.measures", SCHEMA)


@pytest.mark.parametrize(
    ("limit", "groups"),
    [
        pytest.param(2, [DAYS[:1], DAYS[1:2], DAYS[2:3], DAYS[3:]], id="a day with more rows than fit stands alone"),
        pytest.param(6, [DAYS[:3], DAYS[3:]], id="neighbours that fit stand together"),
        pytest.param(100, [DAYS], id="all that fit stand together"),
    ],
)
def test_partitions_are_grouped_by_their_rows(
    built: BuiltTable, monkeypatch: pytest.MonkeyPatch, limit: int, groups: list[list[date]]
) -> None:
    monkeypatch.setattr(database, "ROWS_PER_PART", limit)
    found = built.parts(DAYS)
    assert found == groups
    rows = [day for part in found for day in built.rows(part)["session_date"].to_list()]
    assert sorted(rows) == sorted(built.rows()["session_date"].to_list())


def test_rows_outside_of_what_a_build_replaces_are_a_defect(built: BuiltTable) -> None:
    with pytest.raises(ValueError, match=r"marts\.measures has rows of 2024-01-05"):
        built.parts(DAYS[:3])


def test_nothing_is_grouped_where_nothing_is_replaced(built: BuiltTable) -> None:
    built.connection.execute("DELETE FROM marts.measures")
    assert built.parts([]) == []


def test_sessions_are_counted_in_their_order(built: BuiltTable) -> None:
    assert built.rows_by_session() == dict.fromkeys(DAYS[1:], 3)
