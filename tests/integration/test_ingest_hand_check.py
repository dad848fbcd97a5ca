"""A bar that anybody can add up: IBM's daily bar of 2013-10-07 is its regular minutes, aggregated.

Both come from the bundled LEAN files, through gate and lake. On that day the two are comparable: open, high, low and close agree to
the cent, because open and close of the daily file are first and last regular trades and no trade off the book set its extremes.
On other days of that week they do not (2013-10-04: high 185.09 daily, 185.13 in the minutes), as minute files hold trades of all
venues. Volume differs even here, by 3,040 of 3,908,081 shares: trades that a daily bar counts and that belong to no minute. So
prices are compared exactly and volume to a thousandth.
"""

from datetime import UTC, date, datetime
from itertools import pairwise

import polars as pl
import pytest

from pipelines.bundled import bundled_folder

DAY = date(2013, 10, 7)


@pytest.fixture(scope="module")
def bars(module_pipeline):
    """Daily and minute rows of that day, as they lie in the lake."""
    folder = bundled_folder() / "lean" / "equity" / "usa"
    files = ("daily/ibm.zip", "minute/ibm/20131007_trade.zip")
    deliveries = [module_pipeline.deliver(name, (folder / name).read_bytes(), source="lean") for name in files]
    module_pipeline.ingest(*deliveries, sessions=[DAY])
    (daily,) = module_pipeline.rows("bars_daily").iter_rows(named=True)
    return daily, module_pipeline.rows("bars_1m").sort("ts"), module_pipeline.rows("bars_1m_extended").sort("ts")


def test_the_daily_bar_is_its_regular_minutes(bars) -> None:
    daily, minutes, _ = bars
    assert minutes.height == 390
    from_minutes = (minutes["open"][0], minutes["high"].max(), minutes["low"].min(), minutes["close"][-1])
    assert from_minutes == (182.0, 183.3, 181.85, 182.01)
    assert (daily["open"], daily["high"], daily["low"], daily["close"]) == from_minutes
    assert (minutes["volume"].sum(), daily["volume"]) == (3_905_041, 3_908_081)
    assert minutes["volume"].sum() == pytest.approx(daily["volume"], rel=1e-3)


def test_the_minutes_are_half_past_nine_to_four_in_new_york_and_the_others_lie_around_them(bars) -> None:
    """On that day New York was four hours behind UTC."""
    _, minutes, extended = bars
    opens, closes = datetime(2013, 10, 7, 13, 30, tzinfo=UTC), datetime(2013, 10, 7, 20, tzinfo=UTC)
    assert (minutes["ts"][0], minutes["ts"][-1]) == (opens, datetime(2013, 10, 7, 19, 59, tzinfo=UTC))
    assert all((b - a).total_seconds() == 60 for a, b in pairwise(minutes["ts"]))
    segments = extended.group_by("segment").agg(
        pl.col("volume").sum(), pl.col("ts").min().alias("from"), pl.col("ts").max().alias("to")
    )
    found = {name: (volume, first, last) for name, volume, first, last in segments.rows()}
    assert (found["pre"][0], found["post"][0]) == (30_112, 25_113)
    assert found["pre"][2] < opens <= closes <= found["post"][1]


def test_each_bar_is_known_when_it_is_over(bars) -> None:
    daily, minutes, _ = bars
    assert daily["known_at"] == datetime(2013, 10, 7, 20, tzinfo=UTC)
    assert (minutes["known_at"] - minutes["ts"]).dt.total_seconds().unique().to_list() == [60]
