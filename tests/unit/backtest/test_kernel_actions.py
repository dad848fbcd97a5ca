"""Splits, dividends, mergers and what else happens to a share, in the step kernel, on hand-made bars."""

from __future__ import annotations

import pytest

from pipelines.backtest.layout import BUY, SELL
from pipelines.backtest.rules import Rules
from tests.support.step_market import NAN, UNKNOWN_RATIO, Market, all_in, buy, flat, reason, sell


def test_a_split_keeps_the_value_and_moves_the_levels():
    market = Market([[flat(100), flat(100), flat(50), (50, 50, 47, 48)]], {0: [buy(stop=96)]}, {2: [(0, 2.0, 0.0, 1.0, NAN)]})
    _, _, trades, curve = market.play(all_in())
    assert curve[2, 0] == 1000.0
    assert (trades[0]["quantity"], trades[0]["exit_price"], reason(trades[0])) == (20, 48.0, "stop")


def test_fractions_of_a_split_are_paid_in_cash():
    market = Market([[flat(100), flat(100), flat(100 / 1.5)]], {0: [buy()]}, {2: [(0, 1.5, 0.0, 1.0, NAN)]})
    account, _, trades, curve = market.play(Rules(initial_cash=1000, fraction=0.5, max_positions=1))
    assert trades[0]["quantity"] == 7
    assert curve[2, 0] == pytest.approx(1000.0)
    assert account["cash"] == pytest.approx(1000.0)


def test_a_consolidation_below_one_unit_pays_the_holding_out():
    market = Market([[flat(100), flat(100), flat(2000)]], {0: [buy()]}, {2: [(0, 0.05, 0.0, 1.0, NAN)]})
    account, _, trades, _ = market.play(all_in())
    assert (reason(trades[0]), account["open"], account["cash"]) == ("cash_out", 0, pytest.approx(1000.0))


def test_a_waiting_order_is_split_with_its_instrument():
    market = Market([[flat(100), flat(50), flat(50)]], {0: [buy(stop=90)]}, {1: [(0, 2.0, 0.0, 1.0, NAN)]})
    account, fills, _, _ = market.play(all_in())
    assert fills[0]["quantity"] == 20
    assert account["lowest_cash"] == 0.0


def test_dividends_reach_cash_and_the_trade():
    market = Market([[flat(100), flat(100), flat(97)]], {0: [buy()]}, {2: [(0, 1.0, 3.0, 1.0, NAN)]})
    account, _, trades, _ = market.play(all_in())
    assert (trades[0]["pnl"], account["cash"]) == (0.0, 1000.0)


def test_a_demerger_credits_what_was_split_off():
    market = Market([[flat(100), flat(100), flat(80)]], {0: [buy(stop=90)]}, {2: [(0, 1.0, 0.0, 0.8, NAN)]})
    account, _, trades, _ = market.play(all_in())
    assert (reason(trades[0]), account["cash"]) == ("end", pytest.approx(1000.0))


def test_an_instrument_that_ceases_pays_its_last_price_and_loses_its_orders():
    gone = (NAN, NAN, NAN, NAN)
    market = Market([[flat(100), flat(100), gone, gone]], {0: [buy()]}, {2: [(0, 1.0, 0.0, 1.0, 98.0)]})
    account, _, trades, _ = market.play(all_in())
    assert (reason(trades[0]), account["cash"], account["open"]) == ("cash_out", 980.0, 0)


def test_an_event_for_an_instrument_never_held_leaves_the_account_alone():
    events = {1: [(0, 3.0, 0.0, 1.0, NAN), (0, 1.0, 2.0, 0.9, NAN)], 2: [(0, 1.0, 0.0, 1.0, 5.0)]}
    account, _, _, curve = Market([[flat(100)] * 3], {}, events).play(all_in())
    assert account["cash"] == 1000.0
    assert (curve[:, 0] == 1000.0).all()


def test_a_capital_reduction_takes_units_as_it_raises_the_price():
    """1 for 10 on 375 units at 2: 37 units at 20 and half a new one in cash."""
    market = Market([[flat(2), flat(2), flat(20)]], {0: [buy()]}, {2: [(0, 0.1, 0.0, 1.0, NAN)]})
    account, _, trades, curve = market.play(all_in(initial_cash=750))
    assert (trades[0]["quantity"], account["cash"], curve[2, 0]) == (37, 750.0, 750.0)


#: What each does to 100: the record, the price after, and the units for each held.
STEPS = {
    "split": ((0, 2.0, 0.0, 1.0, NAN), 50.0, 2),
    "capital reduction": ((0, 0.1, 0.0, 1.0, NAN), 1000.0, 0.1),
    "demerger": ((0, 1.0, 0.0, 0.8, NAN), 80.0, 1),
}


@pytest.mark.parametrize("level", ["stop", "target"])
@pytest.mark.parametrize("side", [BUY, SELL], ids=["long", "short"])
@pytest.mark.parametrize("when", ["ordered", "held"])
@pytest.mark.parametrize("kind", STEPS)
def test_stop_and_target_of_orders_and_holdings_of_either_side_follow_the_price(kind, when, side, level):
    """10 units at 100, their level 10 away: what becomes of them makes or loses a tenth of what is left in the share."""
    event, after, units = STEPS[kind]
    away = 10 if (side == BUY) == (level == "target") else -10
    asked = (0, side, 100 + away, NAN, 0) if level == "stop" else (0, side, NAN, 100 + away, 0)
    reached = (100 + away) * after / 100
    bars = [flat(100), flat(after), flat(after), (after, max(after, reached), min(after, reached), after)]
    if when == "held":
        bars.insert(1, flat(100))
    _, _, trades, curve = Market([bars], {0: [asked]}, {2 if when == "held" else 1: [event]}).play(all_in(allow_short=True))
    assert (trades[0]["quantity"], reason(trades[0])) == (side * 10 * units, level)
    assert trades[0]["exit_price"] == pytest.approx(reached)
    assert trades[0]["pnl"] == pytest.approx(side * away * 10 * units * after / 100)
    assert curve[:-1, 0] == pytest.approx(1000.0)


@pytest.mark.parametrize(("order", "stop"), [(buy(stop=90), 90), (sell(stop=110), 110)])
def test_an_action_of_unknown_ratio_closes_a_holding_at_its_last_price(order, stop):
    market = Market([[flat(100), flat(100), flat(60)]], {0: [order]}, {2: [UNKNOWN_RATIO]})
    account, _, trades, _ = market.play(all_in(allow_short=True))
    assert (reason(trades[0]), trades[0]["exit_price"], account["cash"]) == ("unadjusted", 100.0, 1000.0)


def test_an_order_across_an_action_of_unknown_ratio_is_cancelled():
    account, fills, _, _ = Market([[flat(100), flat(60), flat(60)]], {0: [buy()]}, {1: [UNKNOWN_RATIO]}).play(all_in())
    assert (fills.size, account["waiting"]) == (0, 0)


def merger(ratio: float, cash: float, price: float) -> tuple:
    return (0, ratio, cash, 1.0, NAN, 1, price, 0)


@pytest.mark.parametrize(
    ("side", "units", "pnl"), [(BUY, 16, 16 * 70 + 0.8 * 60 + 20 - 1000), (SELL, -16, 1000 - 16 * 70 - 0.8 * 60 - 20)]
)
def test_a_merger_gives_the_successors_units_and_cash(side, units, pnl):
    """10 units at 100 become 16.8 units at 60, the part of one in cash, and 2 a unit; levels follow: a stop at 2 + 1.68 × 50."""
    gone = flat(NAN)
    stop = 2 + 1.68 * (50 if side == BUY else 75)
    market = Market(
        [[flat(100), flat(100), gone, gone], [flat(60), flat(60), flat(62), flat(70)]],
        {0: [(0, side, stop, NAN, 0)]},
        {2: [merger(1.68, 2.0, 60.0)]},
    )
    account, _, trades, _ = market.play(all_in(allow_short=True))
    assert (trades[0]["instrument"], trades[0]["quantity"], trades[0]["exit_price"]) == (1, units, 70.0)
    assert trades[0]["pnl"] == pytest.approx(pnl)
    assert account["cash"] == pytest.approx(1000 + pnl)
    stopped = Market(
        [[flat(100), flat(100), gone, gone], [flat(60), flat(60), flat(62), (62, 80, 40, 60)]],
        {0: [(0, side, stop, NAN, 0)]},
        {2: [merger(1.68, 2.0, 60.0)]},
    )
    trade = stopped.play(all_in(allow_short=True))[2][0]
    assert (reason(trade), trade["exit_price"]) == ("stop", pytest.approx(50 if side == BUY else 75))


@pytest.mark.parametrize(("side", "target"), [(BUY, 75), (SELL, 50)])
def test_the_target_of_a_merged_holding_follows_into_the_successor(side, target):
    gone = flat(NAN)
    bars = [[flat(100), flat(100), gone, gone], [flat(60), flat(60), flat(62), (62, 80, 40, 60)]]
    trade = Market(bars, {0: [(0, side, NAN, 2 + 1.68 * target, 0)]}, {2: [merger(1.68, 2.0, 60.0)]}).play(
        all_in(allow_short=True)
    )[2][0]
    assert (reason(trade), trade["exit_price"]) == ("target", pytest.approx(target))


@pytest.mark.parametrize("event", [merger(1.68, 2.0, 60.0), (0, 1.0, 0.0, 1.0, 98.0)], ids=["merger", "delisting"])
def test_an_order_for_an_instrument_that_ends_is_cancelled(event):
    """Its last bar is of the ex-date: a file may still hold one."""
    bars = [[flat(100), flat(100), flat(100)], [flat(60)] * 3]
    account, fills, _, _ = Market(bars, {0: [buy()]}, {1: [event]}).play(all_in())
    assert (fills.size, account["waiting"]) == (0, 0)


def test_who_holds_the_successor_already_gets_the_value_of_a_merger():
    bars = [[flat(100), flat(100), flat(NAN)], [flat(60), flat(60), flat(61)]]
    market = Market(bars, {0: [buy(0), buy(1, instrument=1)]}, {2: [merger(1.5, 2.0, 60.0)]})
    account, _, trades, _ = market.play(Rules(initial_cash=1000, fraction=0.5, max_positions=2))
    assert (reason(trades[0]), trades[0]["exit_price"], trades[0]["instrument"]) == ("cash_out", 92.0, 0)
    assert account["cash"] == pytest.approx(1000 - 5 * 8 + 8 * 1)


def test_an_exit_ordered_before_a_merger_leaves_the_successor():
    bars = [[flat(100), flat(100), flat(NAN)], [flat(60), flat(60), flat(61)]]
    market = Market(bars, {0: [buy()], 1: [sell(1)]}, {2: [merger(1.0, 0.0, 60.0)]})
    account, _, trades, _ = market.play(all_in())
    assert (reason(trades[0]), trades[0]["instrument"], trades[0]["exit_price"]) == ("signal", 1, 61.0)
    assert (account["leaving"], account["open"]) == (0, 0)
