"""Indicators in the catalogue bear the mark of a suspected action that nobody has decided, from its session on."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.market.tables import TABLES
from pipelines.storage.catalogue import write_catalogue
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.releases import record_release, releases
from tests.support.indicator_tables import INDICATOR_TABLES

SCHEMAS = {name: schema for name, schema in {**TABLES, **INDICATOR_TABLES}.items() if name != "releases"}
INSTRUMENTS = ("XNYS:AIG", "XNYS:O'K", "XNYS:IBM")
D1, D2, D3, D4 = (date(2024, 1, day) for day in (2, 3, 4, 5))


def flag(instrument: str, day: date, kind: str) -> dict[str, object]:
    return {"instrument_id": instrument, "session_date": day, "flag": kind}


def frame(table: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    """Rows of a table; what they do not name is one value of its type."""
    schema = dict(empty_frame(SCHEMAS[table]).schema)
    filler = {pl.String: "XNYS", pl.Date: D1, pl.Datetime: datetime(2024, 1, 2, tzinfo=UTC), pl.List: [], pl.Boolean: False}
    values = [{name: row.get(name, filler.get(type_.base_type(), 0)) for name, type_ in schema.items()} for row in rows]
    return pl.DataFrame(values, schema=schema)


def catalogue(folder: Path, flags: list[dict[str, object]]) -> duckdb.DuckDBPyConnection:
    """A release of four days' indicators of three instruments and of these findings."""
    lake = Lake(str(folder / "lake"))
    rows = [{"instrument_id": name, "session_date": day} for name in INSTRUMENTS for day in (D1, D2, D3, D4)]
    versions = {}
    for name, content in (("indicators_daily", rows), ("indicators_1m", rows), ("price_flags", flags)):
        versions[name] = LakeTable(lake.table_uri("XNYS", name), SCHEMAS[name]).append(frame(name, content), {})
    made, _ = record_release(lake, "XNYS", versions, code_version="1", config={}, sessions=[str(D4)])
    return duckdb.connect(str(write_catalogue(lake, made, SCHEMAS, releases(lake), folder / "state")), read_only=True)


@pytest.mark.parametrize("table", ["indicators_daily", "indicators_1m", "indicators_daily_adjusted"])
def test_rows_are_marked_from_the_suspected_session_on_with_the_last_one_up_to_them(tmp_path: Path, table: str) -> None:
    shown = catalogue(
        tmp_path,
        [
            flag("XNYS:AIG", D2, "unrecorded_split"),
            flag("XNYS:AIG", D4, "unrecorded_demerger"),
            flag("XNYS:O'K", D3, "unrecorded_split"),
            flag("XNYS:IBM", D2, "price_spike"),
        ],
    )
    listed = f"select instrument_id, list(suspected_action order by session_date) from {table} group by 1"
    marks = dict(shown.sql(listed).fetchall())
    assert marks == {"XNYS:AIG": [None, D2, D2, D4], "XNYS:O'K": [None, None, D3, D3], "XNYS:IBM": [None] * 4}


def test_the_newest_rows_are_marked_too_and_the_column_says_what_it_is(tmp_path: Path) -> None:
    shown = catalogue(tmp_path, [flag("XNYS:AIG", D2, "unrecorded_split")])
    marked = "select instrument_id from indicators_daily_latest where suspected_action is not null"
    assert shown.sql(marked).fetchall() == [("XNYS:AIG",)]
    comments = shown.sql("select table_name, comment from duckdb_columns() where column_name = 'suspected_action'").fetchall()
    assert len(comments) == 4
    assert all("nobody has decided" in comment for _, comment in comments)


def test_without_a_suspect_no_row_is_marked(tmp_path: Path) -> None:
    shown = catalogue(tmp_path, [])
    assert shown.sql("select count(*), count(suspected_action) from indicators_daily").fetchall() == [(12, 0)]


def test_a_query_that_does_not_ask_for_the_mark_does_not_pay_for_it(tmp_path: Path) -> None:
    shown = catalogue(tmp_path, [flag("XNYS:AIG", D2, "unrecorded_split")])
    plan = shown.sql("explain select sma_20 from indicators_1m").fetchall()[0][1]
    assert "JOIN" not in plan
    assert "CASE" not in plan
