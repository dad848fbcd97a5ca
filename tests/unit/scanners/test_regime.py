"""Regimes worked out apart from the SQL over the bundled daily bars, in one build and session by session; and confluence."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import polars as pl
import pytest

from pipelines.build.lake_schema import create_lake_schema
from pipelines.indicators.registry import installed
from pipelines.scanners.registry import CompiledScanners

Build = Any  # the fixtures' records, in conftest.py
Bundled = Any

_KEY = ["instrument_id", "session_date"]


@pytest.fixture(scope="module")
def lake(bundled: Bundled) -> Iterator[duckdb.DuckDBPyConnection]:
    """The bundled bars and indicators as a build would find them stored."""
    with duckdb.connect() as connection:
        create_lake_schema(connection, installed())
        connection.execute(
            "create schema indicators; create view indicators.indicators_daily as from lake.indicators_daily limit 0"
        )
        for name in ("sessions", "instruments", "corporate_actions", "bars_daily", "indicators_daily"):
            frame = getattr(bundled.inputs, name)
            stored = connection.sql(f"describe lake.{name}").pl()["column_name"].to_list()
            connection.register("incoming", frame.select(c for c in stored if c in frame.columns).to_arrow())
            connection.execute(f"insert into lake.{name} by name from incoming")
            connection.unregister("incoming")
        yield connection


def regimes(lake: duckdb.DuckDBPyConnection, compiled: CompiledScanners, first: date, last: date) -> pl.DataFrame:
    """What a build of these sessions makes of `market_regime`."""
    lake.execute("delete from lake.window_daily")
    lake.execute("insert into lake.window_daily values ('', ?, ?, ?)", [first, last, last])
    for model in compiled.needed(["marts.market_regime"], frozenset({"indicators.indicators_daily"})):
        lake.execute(f"create schema if not exists {model.relation.split('.')[0]}")
        kind = "table" if model.materialized == "table" else "view"
        lake.execute(f"create or replace {kind} {model.relation} as {model.sql}")
    return lake.sql("from marts.market_regime").pl().sort(_KEY)


@pytest.fixture(scope="module")
def whole(lake: duckdb.DuckDBPyConnection, compiled: CompiledScanners, bundled: Bundled) -> pl.DataFrame:
    days = bundled.bars["session_date"]
    return regimes(lake, compiled, days.min(), days.max())  # type: ignore[arg-type]


def test_every_bar_has_the_regime_that_its_year_and_its_trend_give(bundled: Bundled, whole: pl.DataFrame) -> None:
    expected: list[str | None] = []
    for instrument in bundled.indicators.partition_by("instrument_id", maintain_order=True):
        rows = instrument.to_dicts()
        for i, row in enumerate(rows):
            before = [r["natr_14"] for r in rows[:i] if r["kind"] == "regular"][-252:]
            year = sorted(round(value, 6) for value in before if value is not None)
            adx, adx_before = row["adx_14"], rows[i - 5]["adx_14"] if i >= 5 else None
            if adx is None or len(year) < 126:
                expected.append(None)
            elif round(row["natr_14"], 6) > year[-(-9 * len(year) // 10) - 1]:
                expected.append("volatile")
            else:
                rising = adx_before is not None and adx > 20 and adx > adx_before
                expected.append("trend" if adx > 25 or rising else "range")

    assert whole.select(_KEY).equals(bundled.bars.select(_KEY))
    assert whole["regime"].to_list() == expected
    counts = whole["regime"].value_counts().filter(pl.col("regime").is_not_null())
    assert counts.height == 3
    assert counts["count"].min() > 100  # type: ignore[operator]


@pytest.mark.parametrize(
    ("first", "last"), [(date(2015, 12, 31), date(2015, 12, 31)), (date(2014, 6, 5), date(2014, 6, 11)), (date(2012, 11, 23),) * 2]
)
def test_a_build_of_some_sessions_gives_the_rows_of_the_whole(
    lake: duckdb.DuckDBPyConnection, compiled: CompiledScanners, whole: pl.DataFrame, first: date, last: date
) -> None:
    part = regimes(lake, compiled, first, last)

    assert part.height > 0
    assert part.equals(whole.filter(pl.col("session_date").is_between(first, last)))


def test_a_regime_is_known_since_the_latest_of_the_year_that_it_compares_with(
    lake: duckdb.DuckDBPyConnection, compiled: CompiledScanners, bundled: Bundled, whole: pl.DataFrame
) -> None:
    day, restated = date(2013, 6, 3), datetime(2020, 1, 1, tzinfo=UTC)
    lake.execute(
        "begin; update lake.indicators_daily set known_at = timestamptz '2020-01-01 00:00:00+00' "
        f"where instrument_id = 'XNYS:SPY' and session_date = date '{day}'"
    )
    try:
        now = regimes(lake, compiled, whole["session_date"].min(), whole["session_date"].max())  # type: ignore[arg-type]
    finally:
        lake.execute("rollback")

    changed = now.filter(now["known_at"] != whole["known_at"])
    spy = bundled.bars.filter(pl.col("symbol") == "SPY")
    kinds = spy.filter(pl.col("session_date") >= day).select("session_date", "kind")
    year = kinds.filter(pl.col("kind").eq("regular").cum_sum() <= 253)
    assert set(changed["known_at"]) == {restated}
    assert set(changed["instrument_id"]) == {"XNYS:SPY"}
    assert changed["session_date"].to_list() == year["session_date"].to_list()


def test_confluence_accounts_for_every_signal_once_on_its_side(build: Build) -> None:
    signals, rows = build.rows("from marts.scanner_signals"), build.rows("from marts.confluence")

    by_side = ["instrument_id", "ts", "signal_type"]
    named = signals.sort("scanner_name").group_by(by_side, maintain_order=True).agg(pl.col("scanner_name").str.join(", "))
    found = rows.rename({"as_of_ts": "ts", "agreeing_scanners": "scanner_name"}).select(named.columns)
    assert found.sort(by_side).equals(named.sort(by_side))
    assert rows["agreeing"].sum() == signals.height
    assert rows["disagreeing"].sum() == rows.filter(pl.col("disagreeing") > 0)["agreeing"].sum()
