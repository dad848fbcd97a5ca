"""Checks of the inputs and where rows land on the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.grid import InputError, build_grid, place_actions, place_signals

START = datetime(2024, 1, 1, 9, 30, tzinfo=UTC)


def bar(number: int, instrument: str = "XNYS:A", close: float | None = 10.0, session: int | None = None) -> dict:
    offset = timedelta(days=number)
    return {
        "instrument_id": instrument,
        "session_date": date(2024, 1, 1) + (offset if session is None else timedelta(days=session)),
        "ts_open": START + offset,
        "ts_close": START + offset + timedelta(hours=6),
        "open": 10.0,
        "high": 11.0,
        "low": 9.0,
        "close": close,
    }


def action(kind: str, ratio: float | None = None, amount: float | None = None, number: int = 2) -> pl.DataFrame:
    row = {
        "instrument_id": "XNYS:A",
        "ex_date": date(2024, 1, 1) + timedelta(days=number),
        "action": kind,
        "ratio": ratio,
        "amount": amount,
    }
    return pl.DataFrame([row], schema_overrides={"ratio": pl.Float64, "amount": pl.Float64})


def test_a_bar_with_a_missing_price_counts_as_none():
    grid = build_grid(pl.DataFrame([bar(0), bar(1, close=None)]))
    assert np.isnan([matrix[1, 0] for matrix in grid.bars]).all()


def test_a_minute_without_a_bar_is_sized_at_the_last_close_of_its_session_only():
    rows = [bar(0, close=10.0, session=0), bar(0, "XNYS:B", session=0), bar(1, "XNYS:B", session=0), bar(2, "XNYS:B", session=1)]
    grid = build_grid(pl.DataFrame(rows))
    assert grid.bars.sizing[:, 0].tolist()[:2] == [10.0, 10.0]
    assert np.isnan(grid.bars.sizing[2, 0])
    assert np.isnan(grid.bars.close[1, 0])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([bar(0), bar(0)], "more than one bar"),
        ([{**bar(0), "high": 8.0}], "high 8.0 is below low 9.0"),
        ([bar(0), {**bar(1), "ts_open": START - timedelta(days=9)}], "opens earlier"),
    ],
)
def test_bars_that_cannot_be_are_refused_with_the_place(rows, message):
    with pytest.raises(InputError, match=message):
        build_grid(pl.DataFrame(rows))


def test_missing_columns_and_empty_frames_say_what_is_needed():
    with pytest.raises(InputError, match="column ts_open missing"):
        build_grid(pl.DataFrame([bar(0)]).drop("ts_open"))
    with pytest.raises(InputError, match="no rows"):
        build_grid(pl.DataFrame([bar(0)]).clear())


@pytest.mark.parametrize(("change", "message"), [({"signal_type": "buy"}, "unknown signal_type"), ({}, "signal_id repeats")])
def test_signals_that_cannot_be_are_refused(change, message):
    row = {
        "signal_id": "s",
        "instrument_id": "XNYS:A",
        "session_date": date(2024, 1, 1),
        "known_at": START,
        "signal_type": "BUY",
        "target_price": None,
        "stop_loss": None,
    }
    rows = [row, row] if not change else [row | change]
    with pytest.raises(InputError, match=message):
        place_signals(build_grid(pl.DataFrame([bar(0), bar(1)])), pl.DataFrame(rows), 1)


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (action("split", 7.0), (7.0, 0.0, 1.0)),
        (action("dividend", amount=0.5), (1.0, 0.5, 1.0)),
        (action("demerger", 0.9), (1.0, 0.0, 0.9)),
        (action("delisting"), (1.0, 0.0, 1.0)),
    ],
)
def test_actions_become_events_of_their_ex_date(actions, expected):
    events, offsets = place_actions(build_grid(pl.DataFrame([bar(0), bar(1), bar(2), bar(3)])), actions)
    assert offsets.tolist() == [0, 0, 0, 1, 1]
    assert tuple(events[0])[1:4] == expected
    assert (events[0]["cash_out"] == 10.0) == (actions["action"][0] == "delisting")


def test_an_action_on_a_day_without_session_acts_on_the_next_one_and_one_before_the_first_bar_never():
    grid = build_grid(pl.DataFrame([bar(0), bar(1), bar(4)]))
    assert place_actions(grid, action("split", 2.0, number=2))[1].tolist() == [0, 0, 0, 1]
    assert place_actions(grid, action("split", 2.0, number=0))[0].size == 0
    assert place_actions(grid, action("split", 2.0, number=9))[0].size == 0
    assert place_actions(grid, action("rename"))[0].size == 0
    with pytest.raises(InputError, match="must be above 0"):
        place_actions(grid, action("split", 0.0))
