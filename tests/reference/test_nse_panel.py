"""Sixteen years of NSE's daily files, with the dirt that their README counts: found, named, and every row accounted for."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.ingest.staged import Staged
from pipelines.sources.protocol import ParseOptions
from pipelines.storage.raw import store_raw

pytestmark = pytest.mark.slow

KEY = ["SYMBOL", "SERIES"]


@pytest.fixture(scope="module")
def panel(shared: Path) -> pl.DataFrame:
    return pl.read_parquet(shared / "data" / "nse_daily" / "nse_bhav_panel.parquet")


@pytest.fixture(scope="module")
def staged(shared: Path, module_pipeline) -> Staged:
    import json

    options = json.loads(ParseOptions("XNSE", "Asia/Kolkata", extra={"column.moment": "DATE1"}).canonical_json())
    path = shared / "data" / "nse_daily" / "nse_bhav_panel.parquet"
    arrived = datetime(2026, 9, 1, tzinfo=UTC)
    delivery = store_raw(module_pipeline.lake, "XNSE", path, name=path.name, source="parquet", options=options, received_at=arrived)
    staged: Staged = module_pipeline.stage(delivery)
    return staged


def test_the_panel_has_1907_duplicate_keys_as_text_and_1936_as_dates(panel: pl.DataFrame) -> None:
    """Counted without this project's code: `12-MAY-2021` and `12-May-2021` are one day."""
    parsed = panel.with_columns(day=pl.col("DATE1").str.to_date("%d-%b-%Y"))
    assert panel.height - panel.unique([*KEY, "DATE1"]).height == 1907
    assert parsed.height - parsed.unique([*KEY, "day"]).height == 1936
    assert parsed.filter(pl.col("day") != pl.col("FILE_DATE").dt.date()).height == 2137


def test_copies_are_dropped_and_counted_those_with_empty_zeros_too(staged: Staged) -> None:
    counts = staged.counts["bars_daily"]
    conflicts = staged.quarantine.filter(pl.col("rule") == "conflicting_duplicate")
    # 12 May 2021 came twice, first with zeros for trades and deliveries: 29 keys, each with two rows that do not contradict.
    assert conflicts.is_empty()
    assert counts.duplicates == 1936
    day = staged.tables["bars_daily"].filter(pl.col("session_date") == date(2021, 5, 12))
    # Of one share, in the series BZ, the file gives no delivery.
    assert day.select(pl.col("trades", "delivery_qty").null_count()).row(0) == (0, 1)
    assert counts.read == 113_234 == staged.tables["bars_daily"].height + counts.duplicates + counts.quarantined


def test_no_traded_session_is_taken_for_a_holiday(staged: Staged) -> None:
    """Evening sessions of Diwali and moved holidays are in the calendar."""
    assert staged.quarantine.filter(pl.col("rule") == "not_a_session").is_empty()
    days = set(staged.tables["bars_daily"]["session_date"])
    assert {date(2013, 11, 14), date(2015, 11, 11), date(2018, 11, 7), date(2025, 10, 21)} <= days
    assert not {date(2013, 11, 15), date(2024, 1, 22), date(2026, 1, 15)} & days
