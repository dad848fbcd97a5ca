"""What `dbt build` makes of a window: all tests pass, and the figures are the ones worked out by hand."""

from typing import Any

import polars as pl
import pytest

from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame
from tests.support.indicator_tables import INDICATOR_TABLES

pytestmark = pytest.mark.slow

Build = Any  # the fixture's record, in conftest.py

MADE = {
    **{f"indicators.{name}": table for name, table in INDICATOR_TABLES.items()},
    **{f"marts.{name}": TABLES[name] for name in ("scanner_signals", "scanner_runs", "market_regime", "confluence")},
    **{f"marts.{name}": TABLES[name] for name in ("data_quality_metrics", "price_flags", "minute_reconciliation")},
}


def test_every_model_and_test_passes(build: Build) -> None:
    # Of an exposure, which only says who reads a model, dbt has nothing to do.
    assert {status for key, status in build.statuses.items() if not key.startswith("exposure.")} == {"success", "pass"}
    assert sum(key.startswith("unit_test.") for key in build.statuses) >= 6


@pytest.mark.parametrize("relation", MADE)
def test_what_is_built_has_the_columns_and_types_of_its_table(build: Build, relation: str) -> None:
    table: TableSchema = MADE[relation]
    rows = build.rows(f"from {relation} limit 0")

    assert dict(rows.select(table.names).schema) == dict(empty_frame(table).schema)
    assert set(rows.columns) == set(table.names)


def test_stop_and_target_stand_at_two_and_three_atrs_of_the_day_before(build: Build) -> None:
    signal = build.rows("from marts.scanner_signals where scanner_name = 'breakout_20d' and symbol = 'RISE'").row(-1, named=True)
    atr = build.rows(
        "select atr_14 from indicators.indicators_daily where symbol = 'RISE' order by session_date desc limit 2 offset 1"
    )

    distance = atr["atr_14"][0]
    assert signal["entry_price"] == 104.0
    assert signal["stop_loss"] == pytest.approx(104 - 2 * distance, abs=1e-4)
    assert signal["target_price"] == pytest.approx(104 + 3 * distance, abs=1e-4)
    assert signal["known_at"] > signal["ts"]


def test_every_close_of_the_window_is_a_scan(build: Build) -> None:
    runs = build.rows("from marts.scanner_runs where scanner_name = 'breakout_20d' order by as_of_ts")

    assert runs["as_of_ts"].to_list() == [session.closes_at for session in build.sessions]
    assert runs["universe_size"][0] == 0
    assert set(runs["mode"]) == {"nightly"}
    # 20 prior sessions are there from the 21st on.
    assert (runs["instruments_scanned"] > 0).to_list() == [i >= 20 for i in range(len(build.sessions))]


def test_quality_counts_what_is_there_and_what_the_calendar_expects(build: Build) -> None:
    metrics = build.rows("from marts.data_quality_metrics")

    daily = metrics.filter(pl.col("table_name") == "bars_daily")
    minute = metrics.filter(pl.col("table_name") == "bars_1m")
    assert daily.height == 5 * 60 + 10
    assert set(daily["data_quality_score"]) == {1.0}
    assert set(minute["total_records"]) == {30}
    assert set(minute["expected_records"]) == {375}
    assert set(minute["missing_data_pct"]) == {92.0}
    # The halved price of SPLIT is explained by its split.
    assert metrics["outlier_count"].sum() == 0
