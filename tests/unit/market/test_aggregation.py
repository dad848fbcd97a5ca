"""Coarser bars from finer ones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.market.aggregation import bars_to_minutes, minutes_to_daily, ticks_to_minutes, trades_of_cumulative

OPEN = datetime(2024, 1, 2, 9, 30, tzinfo=UTC)
BAR = ("open", "high", "low", "close", "volume")


def ticks(rows: list[tuple[int, float, int]]) -> pl.DataFrame:
    """Rows of (milliseconds after OPEN, price, volume)."""
    return pl.DataFrame(
        {
            "symbol": ["A"] * len(rows),
            "ts": [OPEN + timedelta(milliseconds=ms) for ms, _, _ in rows],
            "price": [float(price) for _, price, _ in rows],
            "volume": [float(volume) for _, _, volume in rows],
        },
        schema_overrides={"ts": pl.Datetime("us", "UTC"), "price": pl.Float64, "volume": pl.Float64},
    )


def test_a_trade_on_the_minute_belongs_to_the_bar_that_starts_there() -> None:
    bars = ticks_to_minutes(ticks([(59_999, 1, 1), (60_000, 2, 1)]))
    assert bars.select("ts", "close").rows() == [(OPEN, 1.0), (OPEN + timedelta(minutes=1), 2.0)]


def test_open_is_the_first_by_time_then_by_input_order() -> None:
    bars = ticks_to_minutes(ticks([(500, 5, 1), (100, 3, 2), (100, 4, 3), (500, 6, 4)]))
    assert bars.select(BAR).row(0) == (3.0, 6.0, 3.0, 6.0, 10.0)


def test_a_minute_without_a_trade_has_no_bar() -> None:
    assert ticks_to_minutes(ticks([(0, 1, 1), (180_000, 1, 1)])).height == 2


def test_the_first_value_of_named_columns_is_carried() -> None:
    frame = ticks([(500, 5, 1), (100, 3, 2)]).with_row_index("row_number")
    assert ticks_to_minutes(frame, first=["row_number"])["row_number"].to_list() == [1]


def test_days_keep_symbols_and_sessions_apart() -> None:
    minutes = ticks_to_minutes(ticks([(0, 2, 1), (60_000, 1, 1), (120_000, 3, 1)])).with_columns(
        session_date=pl.lit(date(2024, 1, 2))
    )
    both = pl.concat([minutes, minutes.with_columns(symbol=pl.lit("B"), session_date=pl.lit(date(2024, 1, 3)))])
    days = minutes_to_daily(both.reverse())
    assert days.select("symbol", "session_date", *BAR).rows() == [
        ("A", date(2024, 1, 2), 2.0, 3.0, 1.0, 3.0, 3.0),
        ("B", date(2024, 1, 3), 2.0, 3.0, 1.0, 3.0, 3.0),
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 600_000), st.integers(1, 1000), st.integers(0, 100)),
        min_size=1,
        max_size=60,
        unique_by=lambda t: t[0],
    )
)
def test_through_minutes_or_at_once_the_day_is_the_same(rows: list[tuple[int, float, int]]) -> None:
    trades = ticks(rows).with_columns(session_date=pl.lit(date(2024, 1, 2)))
    price = pl.col("price")
    as_bars = trades.with_columns(open=price, high=price, low=price, close=price)
    by = ("symbol", "session_date")
    through = minutes_to_daily(ticks_to_minutes(trades, by=by))
    assert through.equals(minutes_to_daily(as_bars))
    again = bars_to_minutes(ticks_to_minutes(trades, by=by), by=by)
    assert again.equals(ticks_to_minutes(trades, by=by))


def snapshots(rows: list[tuple[int, int, int]]) -> pl.DataFrame:
    """Rows of (seconds after OPEN, session, volume so far); the price is the row's place."""
    return pl.DataFrame(
        {
            "symbol": ["A"] * len(rows),
            "session_date": [session for _, session, _ in rows],
            "ts": [OPEN + timedelta(seconds=seconds) for seconds, _, _ in rows],
            "price": [float(place) for place in range(len(rows))],
            "cumulative": [float(volume) for _, _, volume in rows],
        },
        schema_overrides={"ts": pl.Datetime("us", "UTC"), "price": pl.Float64, "cumulative": pl.Float64},
    )


def test_a_late_snapshot_and_the_first_of_a_session_add_no_volume() -> None:
    trades = trades_of_cumulative(
        snapshots([(1, 1, 100), (2, 1, 130), (3, 1, 120), (4, 1, 130), (5, 1, 131), (9, 2, 7), (10, 2, 9)])
    )
    assert trades.select("price", "volume").rows() == [(1.0, 30.0), (4.0, 1.0), (6.0, 2.0)]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 2), st.integers(0, 1_000)), min_size=1, max_size=40), st.randoms())
def test_traded_volume_is_last_less_first_whatever_the_order_of_arrival(rows: list[tuple[int, int, int]], shuffled: Random) -> None:
    # A session's snapshots come after those of the session before.
    rows = [(seconds + 100 * session, session, volume) for seconds, session, volume in rows]
    traded = trades_of_cumulative(snapshots(rows))
    shuffled.shuffle(again := list(rows))
    assert trades_of_cumulative(snapshots(again)).select("ts", "volume").equals(traded.select("ts", "volume"))
    for session in {session for _, session, _ in rows}:
        of = [(seconds, volume) for seconds, number, volume in rows if number == session]
        total = traded.filter(pl.col("session_date") == session)["volume"].sum()
        assert total == max(volume for _, volume in of) - min(of)[1]
