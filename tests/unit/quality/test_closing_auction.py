"""Minutes of a share that closes in an auction beside those of one that does not."""

from datetime import UTC, date, datetime, timedelta

import polars as pl

from pipelines.ingest.staging_columns import place_minutes
from pipelines.market.calendar import calendar
from pipelines.quality.profile import profile

DAY = date(2026, 8, 4)


def minutes(symbol: str, day: date) -> pl.DataFrame:
    """Every minute from 09:15 to 15:39 in India."""
    opened = datetime(day.year, day.month, day.day, 3, 45, tzinfo=UTC)
    return pl.DataFrame({"symbol": symbol, "ts": [opened + timedelta(minutes=n) for n in range(385)]}).with_columns(
        pl.col("ts").cast(pl.Datetime("us", "UTC"))
    )


def segments(symbol: str, day: date) -> dict[str, int]:
    placed = place_minutes(minutes(symbol, day), calendar("XNSE"))
    return dict(placed.group_by("segment", maintain_order=True).len().rows())


def test_the_last_quarter_of_an_hour_of_an_auction_share_is_no_regular_trading() -> None:
    assert segments("RELIANCE", DAY) == {"regular": 360, "auction": 20, "post": 5}
    assert segments("NIFTYBEES", DAY) == {"regular": 375, "post": 10}
    assert segments("RELIANCE", date(2026, 7, 31)) == {"regular": 375, "post": 10}


def test_360_minutes_are_complete_for_the_one_and_15_short_for_the_other() -> None:
    both = pl.concat([minutes("RELIANCE", DAY).head(360), minutes("NIFTYBEES", DAY).head(360)])
    rows = place_minutes(both, calendar("XNSE")).with_columns(
        exchange=pl.lit("XNSE"), instrument_id=pl.col("symbol"), low=1.0, high=1.0, close=1.0, volume=1
    )
    figures = profile("bars_1m", rows, calendar("XNSE")).select("instrument_id", "expected_rows", "completeness").rows()
    assert figures == [("NIFTYBEES", 375, 0.96), ("RELIANCE", 360, 1.0)]
