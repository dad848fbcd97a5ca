"""Minutes against their day: what agrees, what does not, and what is not comparable."""

from collections.abc import Callable
from datetime import date, timedelta

import polars as pl
import pytest

from pipelines.market.calendar import calendar

Mart = Callable[..., pl.DataFrame]
DAY = date(2024, 1, 3)
NSE = {"symbol": "RELIANCE", "tick": 0.05}


def minutes(exchange: str, day: date = DAY, last_half_hour: float = 101.0, volume: int = 100) -> pl.DataFrame:
    """Minutes at 100, the last thirty at another price; the high and the low of the day in two of them."""
    session = calendar(exchange).session(day)
    count = session.bars_expected
    rows = [
        (session.opens_at + timedelta(minutes=n), last_half_hour if n >= count - 30 else 100.0, {5: 103.0}.get(n), {6: 98.0}.get(n))
        for n in range(count)
    ]
    frame = pl.DataFrame(rows, schema=["ts", "close", "spike", "dip"], orient="row").with_columns(
        pl.col("ts").cast(pl.Datetime("us", "UTC"))
    )
    return frame.select(
        "ts",
        "close",
        open="close",
        high=pl.coalesce("spike", "close"),
        low=pl.coalesce("dip", "close"),
        volume=pl.lit(volume),
        session_date=pl.lit(day),
        exchange=pl.lit(exchange),
        instrument_id=pl.lit("I"),
        symbol=pl.lit("RELIANCE"),
    )


def reconciled(mart: Mart, exchange: str, one_minute: pl.DataFrame, **daily: float) -> dict[str, object]:
    volume = int(one_minute["volume"].sum())
    values = {"open": 100.0, "high": 103.0, "low": 98.0, "close": 101.0, "volume": volume, **daily}
    tick = 0.05 if exchange == "XNSE" else 0.01
    key = {"exchange": exchange, "instrument_id": "I", "symbol": "RELIANCE"}
    frames = {
        "bars_1m": one_minute,
        "bars_daily": pl.DataFrame({**key, "session_date": one_minute["session_date"][0], **values}),
        "instruments": pl.DataFrame({**key, "valid_from": date(2030, 1, 1), "tick_size": tick, "is_active": True}),
    }
    (row,) = mart("minute_reconciliation", exchange, frames).iter_rows(named=True)
    return row


@pytest.mark.slow
@pytest.mark.measured
def test_a_day_that_is_its_minutes_agrees_and_its_close_is_the_average_of_the_last_half_hour(mart: Mart) -> None:
    row = reconciled(mart, "XNSE", minutes("XNSE"))
    assert (row["minutes"], row["minute_close"], row["close_error_bp"]) == (375, 101.0, 0.0)
    assert (row["high_error_ticks"], row["low_error_ticks"], row["volume_ratio"], row["agrees"]) == (0.0, 0.0, 1.0, True)


@pytest.mark.parametrize(
    ("daily", "agrees"),
    [
        ({"close": 101.0 * 1.0005}, True),  # 5 bp
        ({"close": 101.0 * 1.0006}, False),
        ({"high": 103.10}, True),  # two ticks of 0.05
        ({"high": 103.15}, False),
        ({"low": 97.90}, True),
        ({"low": 97.85}, False),
        ({"volume": 37_870}, True),  # the day has 1 % more than its 37,500: the closing session
        ({"volume": 37_900}, False),
        ({"volume": 37_499}, False),  # the day cannot have less than its minutes
        ({"open": 99.0}, True),  # the day's open is the auction's
    ],
)
def test_the_tolerances_are_those_that_were_stated(mart: Mart, daily: dict[str, float], agrees: bool) -> None:
    assert reconciled(mart, "XNSE", minutes("XNSE"), **daily)["agrees"] is agrees


def test_where_the_close_is_a_trade_or_an_auction_s_price_it_is_not_compared(mart: Mart) -> None:
    new_york = reconciled(mart, "XNYS", minutes("XNYS"), close=250.0)
    assert (new_york["minute_close"], new_york["agrees"]) == (None, True)
    auction = reconciled(mart, "XNSE", minutes("XNSE", date(2026, 8, 4)), close=250.0)
    assert (auction["minute_close"], auction["agrees"]) == (None, True)


def test_a_session_without_volume_is_judged_by_its_prices(mart: Mart) -> None:
    row = reconciled(mart, "XNSE", minutes("XNSE", volume=0))
    assert (row["minute_close"], row["volume_ratio"], row["agrees"]) == (None, None, True)


def test_days_without_minutes_and_minutes_without_a_day_have_no_row(mart: Mart) -> None:
    one_minute = minutes("XNSE")
    key = {"exchange": "XNSE", "instrument_id": "I", "symbol": "RELIANCE"}
    other = {"session_date": date(2024, 1, 4), "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1}
    frames = {
        "bars_1m": one_minute,
        "bars_daily": pl.DataFrame({**key, **other}),
        "instruments": pl.DataFrame({**key, "valid_from": DAY, "tick_size": 0.05, "is_active": True}),
    }
    assert mart("minute_reconciliation", "XNSE", frames).is_empty()
