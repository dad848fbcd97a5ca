"""Lots, cash, margin, limits and the order of events of the step kernel: every figure worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.backtest.layout import BUY, MARKET
from pipelines.backtest.rules import Rules
from pipelines.backtest.state import Attributes
from tests.support.step_market import NAN, Market, all_in, buy, flat, reason


def test_units_come_in_whole_lots_at_the_decision_and_where_the_volume_cuts():
    market = Market([[flat(10)] * 3], {0: [buy()]}, attributes=Attributes(lot=15))
    assert market.play(all_in())[1][0]["quantity"] == 90
    market.volume = 500.0
    account, fills, _, _ = market.play(all_in(volume_share=0.1))
    assert (fills[0]["quantity"], account["cut"]) == (45, 1)


def test_an_order_says_its_own_part_of_equity():
    market = Market([[flat(10)] * 3], {0: [(0, BUY, NAN, NAN, 0, MARKET, NAN, 0.25)]})
    assert market.play(all_in())[1][0]["quantity"] == 25


def test_cash_never_falls_below_zero_where_the_rules_forbid_it():
    costs = np.array([0.01, 0.0, 0.0, 0.0, 0.0, np.inf, 0.0, 0.0])
    market = Market([[flat(100), flat(120), flat(120)]], {0: [buy()]}, costs=costs)
    account, fills, _, _ = market.play(all_in(overdraw=False))
    # 9 were ordered at 100; 8 at 120 cost 969.60 with their fee.
    assert (fills[0]["quantity"], account["cut"], account["lowest_cash"]) == (8, 1, pytest.approx(30.4))
    assert market.play(all_in())[0]["lowest_cash"] == pytest.approx(1000 - 9 * 120 * 1.01)


def test_margin_lends_and_no_more():
    market = Market([[flat(100), flat(100), flat(90)]], {0: [(0, BUY, NAN, NAN, 0, MARKET, NAN, 5.0)]})
    account, fills, _, _ = market.play(all_in(leverage=2.0, overdraw=False))
    assert (fills[0]["quantity"], account["lowest_cash"], account["cash"]) == (20, -1000.0, 800.0)


def test_exposure_stays_below_its_limit():
    market = Market([[flat(10)] * 4] * 3, {0: [buy(k, instrument=k) for k in range(3)]})
    account, fills, _, _ = market.play(Rules(initial_cash=1000, fraction=0.3, max_positions=5, max_exposure=0.5))
    assert ([f["quantity"] for f in fills[:2]], account["refused_cash"]) == ([30, 20], 1)


def test_a_sector_stays_below_its_limit_and_others_are_not_touched():
    attributes = Attributes(sector=np.array([1, 1, 2]))
    market = Market([[flat(10)] * 4] * 3, {0: [buy(k, instrument=k) for k in range(3)]}, attributes=attributes)
    _, fills, _, _ = market.play(Rules(initial_cash=1000, fraction=0.3, max_positions=5, sector_share=0.4))
    assert [(f["instrument"], f["quantity"]) for f in fills[:3]] == [(0, 30), (1, 10), (2, 30)]
    later = Market([[flat(10)] * 4] * 3, {0: [buy()], 1: [buy(1, instrument=1)]}, attributes=attributes)
    _, fills, _, _ = later.play(Rules(initial_cash=1000, fraction=0.3, max_positions=5, sector_share=0.3))
    assert [f["instrument"] for f in fills] == [0, 0]


def test_entries_of_a_session_are_limited_and_the_next_session_counts_anew():
    orders = {0: [buy(k, instrument=k) for k in range(3)], 1: [buy(3 + k, instrument=k) for k in (1, 2)]}
    account, fills, _, _ = Market([[flat(10)] * 3] * 3, orders).play(
        Rules(initial_cash=1000, fraction=0.2, max_positions=5, max_entries=1)
    )
    assert [(f["step"], f["instrument"]) for f in fills[:2]] == [(1, 0), (2, 1)]
    assert account["refused_entries"] == 3


def test_events_come_before_fills_fills_before_stops_stops_before_targets_marks_before_the_kill_switch_and_that_before_orders():
    """One bar at which all of it is due: a split of what is held, an entry, a stop and a target, the kill switch, a new signal."""
    held = [flat(100), flat(100), (50, 60, 40, 45), flat(45)]
    bought = [flat(10), flat(10), (10, 10, 5, 5), flat(5)]
    other = [flat(10)] * 4
    market = Market(
        [held, bought, other],
        {0: [buy(0, stop=90, target=110)], 1: [buy(1, instrument=1)], 2: [buy(2, instrument=2)]},
        {2: [(0, 2.0, 0.0, 1.0, NAN)]},
    )
    account, fills, trades, curve = market.play(Rules(initial_cash=1000, fraction=0.4, max_positions=3, kill_drawdown=0.1))
    # The split makes 8 of 4 units and moves the levels to 45 and 55. The entry of 40 fills at the open before the stop, which comes
    # before the target. At the mark 200 in cash, 360 of the sale and 40 × 5 are a fall of 24 %: everything goes, and the signal of
    # that bar with it.
    assert [(f["step"], f["instrument"], f["quantity"], f["price"]) for f in fills] == [
        (1, 0, 4, 100.0),
        (2, 1, 40, 10.0),
        (2, 0, -8, 45.0),
        (3, 1, -40, 5.0),
    ]
    assert [reason(trade) for trade in trades] == ["stop", "kill_switch"]
    assert (curve[2, 0], account["killed"], account["waiting"]) == (760.0, 1, 0)
