"""Recorded ticks of six NSE shares through staging, gate and merge, against the exchange's own daily figures.

The recordings' dirt (see their README): times and volumes that step back, seconds repeated, ticks stamped 1970, ticks of the next
session, days that begin late or end early. Nothing in the figures asserted here was counted with this project's code.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ingested(shared: Path, module_pipeline):
    """All 27 files in one order: the pipeline, and the figures of bars_1m and bars_1m_extended."""
    files = sorted((shared / "data" / "nse_ticks").rglob("*.zip"))
    assert len(files) == 27
    deliveries = [module_pipeline.deliver(f.name, f.read_bytes(), source="nse_ticks", mic="XNSE") for f in files]
    return module_pipeline, module_pipeline.ingest(*deliveries)


@pytest.fixture(scope="module")
def days(ingested, shared: Path) -> pl.DataFrame:
    """A row per share and session: what the minutes say, beside the exchange's day."""
    pipeline, _ = ingested
    key = ["symbol", "session_date"]
    of_day = [pl.col("high").max(), pl.col("low").min(), pl.col("close").last(), pl.col("volume").sum(), pl.len().alias("minutes")]
    minutes = pipeline.rows("bars_1m", "XNSE").sort("ts").group_by(key).agg(of_day)
    panel = pl.read_parquet(shared / "data" / "nse_daily" / "nse_bhav_panel.parquet").filter(pl.col("SERIES") == "EQ")
    daily = panel.select(
        pl.col("SYMBOL").alias("symbol"),
        pl.col("DATE1").str.to_date("%d-%b-%Y").alias("session_date"),
        *(pl.col(c) for c in ("HIGH_PRICE", "LOW_PRICE", "LAST_PRICE", "TTL_TRD_QNTY")),
    ).unique(key, keep="first", maintain_order=True)
    return minutes.join(daily, on=key, how="inner")


def test_every_row_is_accounted_for_and_ticks_of_1970_are_set_aside_by_name(ingested) -> None:
    pipeline, figures = ingested
    read = 0
    for table in ("bars_1m", "bars_1m_extended"):
        counts = figures[table]
        assert counts["read"] == sum(value for name, value in counts.items() if name != "read")
        read += counts["read"]
    assert read == sum(pipeline.rows("raw_files", "XNSE")["rows_read"])
    held = pipeline.rows("quarantine", "XNSE")
    assert held.group_by("rule").len().rows() == [("beyond_calendar", 5 * 3007)]
    assert set(held["reason"]) == {"the time lies outside the exchange's known calendar"}


def test_minutes_lie_within_the_exchange_s_day_and_come_near_its_extremes(days: pl.DataFrame) -> None:
    recorded = days.filter(pl.col("minutes") > 300)
    assert recorded.height == 27
    assert (recorded["high"] <= recorded["HIGH_PRICE"] + 1e-9).all()
    assert (recorded["low"] >= recorded["LOW_PRICE"] - 1e-9).all()
    # 16 April was recorded from 09:15:05 to the close; the other days' extremes may lie in what is missing.
    whole = recorded.filter(pl.col("session_date") == date(2021, 4, 16))
    assert whole.height == 5
    assert ((whole["HIGH_PRICE"] / whole["high"] - 1) < 0.0005).all()
    assert ((1 - whole["LOW_PRICE"] / whole["low"]) < 0.0005).all()


def test_volume_is_the_day_s_but_for_what_was_traded_before_the_recording_began(days: pl.DataFrame) -> None:
    share = days.with_columns(share=pl.col("volume") / pl.col("TTL_TRD_QNTY"))
    whole = share.filter(pl.col("session_date").is_in([date(2021, 4, 16), date(2021, 5, 14)]))
    assert whole["share"].is_between(0.96, 1).all()
    # 9 April was recorded from 09:16:41 on, when RELIANCE had traded 302,856 of its 6,478,482 shares.
    late = share.row(by_predicate=(pl.col("symbol") == "RELIANCE") & (pl.col("session_date") == date(2021, 4, 9)), named=True)
    assert late["volume"] == 6_474_352 - 302_856


def test_the_next_session_s_first_seconds_make_its_own_bars(ingested) -> None:
    pipeline, _ = ingested
    stub = pipeline.rows("bars_1m", "XNSE").filter(pl.col("session_date") == date(2021, 4, 19))
    assert stub.height == stub["symbol"].n_unique() == 5
    early = pipeline.rows("bars_1m_extended", "XNSE").filter(pl.col("session_date") == date(2021, 4, 19))
    assert set(early["segment"]) == {"pre"}
