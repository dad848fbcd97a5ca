"""Which signals of events still hold, and which bars a moment asks for, on a handful of rows."""

import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.live.required_bars import missing_bars
from pipelines.market.calendar import calendar
from pipelines.scanners.engine.inputs import ScanInputs
from pipelines.scanners.engine.standing_signals import minutes_since_open, still_holding

OPENS = datetime(2024, 3, 4, 3, 45, tzinfo=UTC)


def signals(*rows: tuple[str, str, int, float | None]) -> pl.DataFrame:
    """instrument, side, minute, level."""
    return pl.DataFrame(
        [
            ("opening", name, side, OPENS + timedelta(minutes=minute), 90.0, json.dumps({} if level is None else {"level": level}))
            for name, side, minute, level in rows
        ],
        schema=["scanner_name", "instrument_id", "signal_type", "ts", "stop_loss", "details"],
        orient="row",
    )


PRICES = pl.DataFrame({"instrument_id": ["above", "at", "below"], "last_price": [100.05, 100.0, 99.95]})


def test_a_break_holds_while_the_price_is_strictly_beyond_its_level() -> None:
    found = signals(*[(name, side, 20, 100.0) for name in ("above", "at", "below", "unknown") for side in ("BUY", "SELL")])

    held = still_holding(found, PRICES, {"opening": "level"})
    assert sorted(held.select("instrument_id", "signal_type").rows()) == [("above", "BUY"), ("below", "SELL")]
    assert held.columns == found.columns


def test_a_tie_of_decimals_does_not_turn_on_a_float() -> None:
    third = pl.DataFrame({"instrument_id": ["a"], "last_price": [0.1 + 0.2]})
    assert still_holding(signals(("a", "BUY", 20, 0.3)), third, {"opening": "level"}).is_empty()


def test_of_a_side_that_was_given_twice_the_first_is_shown() -> None:
    found = signals(("above", "BUY", 40, 99.0), ("above", "BUY", 20, 100.0))

    assert still_holding(found, PRICES, {"opening": "level"})["ts"].to_list() == [OPENS + timedelta(minutes=20)]


def test_the_price_to_stay_beyond_may_be_one_of_the_signal_itself_and_must_be_there() -> None:
    found = signals(("below", "BUY", 20, None))

    assert still_holding(found, PRICES, {"opening": "stop_loss"}).height == 1
    with pytest.raises(ValueError, match="scanner opening: its signals have no price 'level'; correct holds_beyond"):
        still_holding(found, PRICES, {"opening": "level"})


def test_the_minutes_since_the_open_are_those_that_have_ended() -> None:
    ends = minutes_since_open(OPENS, OPENS + timedelta(minutes=2, seconds=59))

    assert ends == [OPENS + timedelta(minutes=1), OPENS + timedelta(minutes=2)]
    assert minutes_since_open(OPENS, OPENS + timedelta(seconds=59)) == []


@pytest.mark.parametrize(
    ("days", "minutes", "expected"),
    [
        ([date(2024, 3, 2)], 35, []),
        ([date(2024, 3, 2)], 20, ["one-minute bars of 2024-03-04 from 09:35 to 09:50"]),
        ([date(2024, 3, 2)], 0, ["one-minute bars of 2024-03-04 from 09:15 to 09:50"]),
        ([date(2024, 3, 1)], 35, ["daily bars of 2024-03-02"]),
    ],
)
def test_bars_that_a_moment_within_a_session_lacks_are_named(days: list[date], minutes: int, expected: list[str]) -> None:
    opened, closed = calendar("XNSE").session(date(2024, 3, 4)), calendar("XNSE").session(date(2024, 3, 2))
    ts = [opened.opens_at + timedelta(minutes=number) for number in range(minutes)]
    inputs = ScanInputs(
        pl.DataFrame(),
        pl.DataFrame(),
        pl.DataFrame({"session_date": days}),
        pl.DataFrame({"ts": ts}, schema={"ts": pl.Datetime("us", "UTC")}),
    )

    assert missing_bars("XNSE", opened.opens_at + timedelta(minutes=35, seconds=30), opened, closed, inputs) == expected


def test_after_a_close_only_its_day_is_asked_for() -> None:
    closed = calendar("XNSE").session(date(2024, 3, 4))
    inputs = ScanInputs(pl.DataFrame(), pl.DataFrame(), pl.DataFrame({"session_date": [date(2024, 3, 2)]}))

    assert missing_bars("XNSE", closed.closes_at, closed, closed, inputs) == ["daily bars of 2024-03-04"]
