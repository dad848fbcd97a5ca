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


def test_actions_of_one_day_apply_in_their_order_whatever_that_of_the_rows():
    """Units first, then what is left of the price, then cash on the units there are, then the end."""
    rows = [action("delisting"), action("dividend", amount=0.5), action("rights", 0.9), action("split", 5.0), action("bonus", 2.0)]
    grid = build_grid(pl.DataFrame([bar(0), bar(1), bar(2), bar(3)]))
    for order in (rows, rows[::-1]):
        events, _ = place_actions(grid, pl.concat(order), 0.5)
        assert [tuple(event)[1:4] for event in events] == [
            (2.0, 0.0, 1.0),
            (5.0, 0.0, 1.0),
            (1.0, 0.0, 0.9),
            (1.0, 0.5, 1.0),
            (1.0, 0.0, 1.0),
        ]
        # Half of what the last price is in the basis that the day's actions make.
        assert events[-1]["cash_out"] == pytest.approx(0.5 * 10 * 0.9 / 10)


@pytest.mark.parametrize("kind", ["split", "bonus", "capital_reduction", "demerger", "rights", "merger"])
def test_an_action_without_its_ratio_is_an_event_of_unknown_effect(kind):
    events, _ = place_actions(build_grid(pl.DataFrame([bar(0), bar(1), bar(2)])), action(kind))
    assert events["unknown"].tolist() == [1]


def test_a_merger_names_its_successor_and_its_last_price():
    grid = build_grid(pl.DataFrame([bar(0), bar(1), bar(0, "XNYS:B", 7.0), bar(1, "XNYS:B", 8.0), bar(2, "XNYS:B", 9.0)]))
    merger = action("merger", 1.5, 2.0)
    events, _ = place_actions(grid, merger.with_columns(successor_id=pl.lit("XNYS:B")))
    event = events[0]
    assert (event["ratio"], event["dividend"], event["successor"], event["successor_price"]) == (1.5, 2.0, 1, 8.0)
    assert place_actions(grid, merger.with_columns(successor_id=pl.lit("XNYS:C")))[0]["unknown"].tolist() == [1]
    assert place_actions(grid, action("merger", amount=12.0))[0]["cash_out"].tolist() == [12.0]


def test_who_has_no_bar_for_twenty_sessions_is_paid_out_at_the_last_price():
    others = [bar(n, "XNYS:B") for n in range(30)]
    grid = build_grid(pl.DataFrame([bar(0), bar(1), *others]))
    events, offsets = place_actions(grid, None, 0.3)
    assert (events["instrument"].tolist(), events["cash_out"].tolist()) == ([0], [10.0])
    assert np.flatnonzero(np.diff(offsets)).tolist() == [22]


def test_a_day_without_any_bar_is_a_session_of_the_exchange():
    days = [date(2024, 1, day) for day in range(1, 7)]
    grid = build_grid(pl.DataFrame([bar(0), bar(1), bar(4)]), days)
    assert (grid.session.tolist(), grid.number.tolist()) == ([0, 1, 2], [0, 1, 4])
    signal = pl.DataFrame(
        {
            "signal_id": ["s"],
            "instrument_id": ["XNYS:A"],
            "session_date": [days[1]],
            "known_at": [START + timedelta(days=1, hours=7)],
            "signal_type": ["BUY"],
            "target_price": [None],
            "stop_loss": [None],
        }
    )
    assert place_signals(grid, signal, 1).late == 1
    assert place_signals(build_grid(pl.DataFrame([bar(0), bar(1), bar(4)])), signal, 1).late == 0


def test_an_action_on_a_day_without_session_acts_on_the_next_one_and_one_before_the_first_bar_never():
    grid = build_grid(pl.DataFrame([bar(0), bar(1), bar(4)]))
    assert place_actions(grid, action("split", 2.0, number=2))[1].tolist() == [0, 0, 0, 1]
    assert place_actions(grid, action("split", 2.0, number=0))[0].size == 0
    assert place_actions(grid, action("split", 2.0, number=9))[0].size == 0
    assert place_actions(grid, action("rename"))[0].size == 0
    with pytest.raises(InputError, match="must be above 0"):
        place_actions(grid, action("split", 0.0))
