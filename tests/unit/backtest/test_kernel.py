"""Orders, fills, levels and sizes in the step kernel, on hand-made bars."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.backtest.rules import Rules
from tests.support.step_market import NAN, Market, all_in, buy, flat, reason, sell


def test_a_decision_at_the_close_fills_at_the_next_open_and_is_sized_at_the_decisions_close():
    market = Market([[flat(100), (104, 106, 103, 105), flat(105)]], {0: [buy()]})
    account, fills, trades, _ = market.play(all_in(fraction=0.5))
    assert (fills[0]["step"], fills[0]["price"], fills[0]["quantity"]) == (1, 104.0, 5)
    assert reason(trades[0]) == "end"
    assert trades[0]["pnl"] == pytest.approx(5 * (105 - 104))
    assert account["cash"] == 1005.0


def test_a_gap_never_changes_the_units_and_the_dip_of_cash_is_recorded():
    account, fills, _, _ = Market([[flat(100), flat(120), flat(120)]], {0: [buy()]}).play(all_in())
    assert fills[0]["quantity"] == 10
    assert account["lowest_cash"] == -200.0


def test_a_bar_that_touches_stop_and_target_counts_as_the_stop():
    market = Market([[flat(100), (100, 111, 94, 100)]], {0: [buy(stop=95, target=110)]})
    _, _, trades, _ = market.play(all_in())
    assert (reason(trades[0]), trades[0]["exit_price"]) == ("stop", 95.0)


@pytest.mark.parametrize(
    ("bar", "why", "price", "at_open"),
    [
        ((90, 92, 88, 91), "stop", 90.0, 1),
        ((99, 100, 95, 97), "stop", 95.0, 0),
        ((112, 113, 111, 112), "target", 112.0, 1),
        ((105, 110, 104, 108), "target", 110.0, 0),
    ],
)
def test_a_gap_through_a_level_fills_at_the_open_else_at_the_level(bar, why, price, at_open):
    market = Market([[flat(100), flat(100), bar]], {0: [buy(stop=95, target=110)]})
    _, _, trades, _ = market.play(all_in())
    assert (reason(trades[0]), trades[0]["exit_price"], trades[0]["at_open"]) == (why, price, at_open)


@pytest.mark.parametrize(("bar", "why", "price"), [((101, 106, 100, 103), "stop", 105.0), ((92, 93, 89, 90), "target", 90.0)])
def test_a_short_position_is_stopped_above_and_takes_profit_below(bar, why, price):
    market = Market([[flat(100), flat(100), bar]], {0: [sell(stop=105, target=90)]})
    _, _, trades, _ = market.play(all_in(allow_short=True))
    assert (reason(trades[0]), trades[0]["exit_price"], trades[0]["quantity"]) == (why, price, -10)
    assert trades[0]["pnl"] == pytest.approx(-10 * (price - 100))


def test_a_sell_without_a_position_does_nothing_in_the_cash_market():
    account, fills, _, _ = Market([[flat(100), flat(90), flat(80)]], {0: [sell()]}).play(all_in())
    assert fills.size == 0
    assert account["cash"] == 1000.0


def test_a_sell_signal_closes_at_the_next_open_before_that_bars_stop():
    market = Market([[flat(100), flat(100), (99, 99, 50, 60)]], {0: [buy(stop=95)], 1: [sell(1)]})
    _, _, trades, _ = market.play(all_in())
    assert (reason(trades[0]), trades[0]["exit_price"]) == ("signal", 99.0)


def test_a_reversal_closes_and_opens_at_one_open():
    market = Market([[flat(100), flat(100), flat(110), flat(100)]], {0: [buy()], 1: [sell(1)]})
    account, fills, _, _ = market.play(all_in(allow_short=True))
    assert [(f["step"], f["quantity"]) for f in fills] == [(1, 10), (2, -10), (2, -10), (3, 10)]
    assert account["cash"] == 1000 + 100 + 100


HALTED = (NAN, NAN, NAN, NAN)


def test_an_exit_waits_for_the_instruments_next_bar_which_is_marked_at_its_last_close_till_then():
    market = Market([[flat(100), flat(101), HALTED, HALTED, flat(95)]], {0: [buy()], 1: [sell(1)]})
    _, fills, trades, curve = market.play(all_in())
    assert [f["step"] for f in fills] == [1, 4]
    assert (curve[3, 0], trades[0]["exit_price"]) == (1000.0, 95.0)


def test_an_entry_expires_with_the_session_after_its_decision():
    market = Market([[flat(100), HALTED, flat(101), flat(95)], [flat(10)] * 4], {0: [buy()], 1: [buy(1, instrument=1)]})
    account, fills, _, _ = market.play(all_in())
    # The slot that the expired order held is free for what is decided at that session's close.
    assert [(f["step"], f["instrument"]) for f in fills] == [(2, 1), (3, 1)]
    assert (account["expired"], account["waiting"], account["refused_slots"]) == (1, 0, 0)


def test_an_entry_waits_within_its_session_and_is_no_order_for_a_session_that_no_bar_was_seen_of():
    minutes = Market([[flat(100), HALTED, flat(101), flat(95)]], {0: [buy()]}, sessions=[0, 1, 1, 2])
    assert [f["step"] for f in minutes.play(all_in())[1]] == [2, 3]
    after_a_gap = Market([[flat(100), flat(101), flat(95)]], {0: [buy()]}, sessions=[0, 2, 3])
    account, fills, _, _ = after_a_gap.play(all_in())
    assert (fills.size, account["expired"]) == (0, 1)


NO_BUYING, NO_SELLING = 1, 2


def test_a_holder_is_not_out_before_a_session_that_is_not_locked_at_the_lower_band():
    """PAYTM's bars of 31 January to 6 February 2024: three sessions at one price, then a real open."""
    bars = [flat(761.2), (758.15, 774.3, 753.1, 761.2), flat(609), flat(487.2), flat(438.5), (395, 473.55, 395, 451.15)]
    locked = {(t, 0): NO_SELLING for t in (2, 3, 4)}
    market = Market([bars], {0: [buy(stop=700)]}, blocked=locked)
    _, _, trades, curve = market.play(all_in())
    assert (reason(trades[0]), trades[0]["exit_step"], trades[0]["exit_price"], trades[0]["at_open"]) == ("stop", 5, 395.0, 1)
    assert curve[4, 0] == pytest.approx(1000 - 758.15 + 438.5)
    market = Market([bars], {0: [buy()], 1: [sell(1)]}, blocked=locked)
    assert market.play(all_in())[2][0]["exit_price"] == 395.0


def test_who_trades_with_a_locked_price_is_filled_and_a_buyer_at_the_upper_band_is_not():
    bars = [flat(100), flat(120), flat(144), flat(150)]
    market = Market([bars], {0: [buy()], 1: [sell(1)]}, blocked={(1, 0): NO_BUYING, (2, 0): NO_BUYING})
    account, fills, _, _ = market.play(all_in(allow_short=True))
    # The purchase expired; the sale at the second locked session is a new short position.
    assert [(f["step"], f["quantity"]) for f in fills] == [(2, -8), (3, 8)]
    assert account["expired"] == 1
    short = Market([[flat(100), flat(100), flat(120), flat(110)]], {0: [sell(stop=105)]}, blocked={(2, 0): NO_BUYING})
    _, _, trades, _ = short.play(all_in(allow_short=True))
    assert (reason(trades[0]), trades[0]["exit_price"]) == ("stop", 110.0)


def test_a_target_is_a_limit_and_is_not_filled_where_nobody_buys():
    bars = [flat(100), flat(130), (120, 121, 119, 120)]
    locked = Market([bars], {0: [buy(target=110)]}, blocked={(1, 0): NO_SELLING})
    _, _, trades, _ = locked.play(all_in())
    assert (reason(trades[0]), trades[0]["exit_step"], trades[0]["exit_price"]) == ("target", 2, 120.0)


def test_an_entry_takes_its_share_of_the_bars_volume_and_no_more():
    market = Market([[flat(10)] * 3], {0: [buy()]}, volume=250.0)
    account, fills, _, _ = market.play(all_in(volume_share=0.1))
    assert (fills[0]["quantity"], account["cut"]) == (25, 1)
    thin = Market([[flat(10)] * 3], {0: [buy()]}, volume=9.0)
    account, fills, _, _ = thin.play(all_in(volume_share=0.1))
    assert (fills.size, account["expired"], account["cash"]) == (0, 1, 1000.0)
    assert market.play(all_in(volume_share=None))[1][0]["quantity"] == 100


def test_what_must_be_delivered_is_neither_shorted_nor_left_in_the_session_of_its_entry():
    bars = [flat(100), (100, 111, 90, 100), (96, 97, 95, 96)]
    market = Market([bars], {0: [buy(stop=95, target=110)]}, must_deliver=(0,))
    _, _, trades, _ = market.play(all_in())
    assert (reason(trades[0]), trades[0]["exit_step"], trades[0]["exit_price"]) == ("stop", 2, 96.0)
    short = Market([bars], {0: [sell()]}, must_deliver=(0,))
    account, fills, _, _ = short.play(all_in(allow_short=True))
    assert (fills.size, account["expired"]) == (0, 1)


def test_a_position_leaves_after_its_last_allowed_session():
    market = Market([[flat(100)] * 6], {0: [buy()]})
    _, fills, trades, _ = market.play(all_in(max_sessions=2))
    # Held in sessions 1 and 2, decided at the close of 2, out at the open of 3.
    assert ([f["step"] for f in fills], reason(trades[0])) == ([1, 3], "time")


def test_sessions_not_bars_count_towards_the_holding_limit():
    market = Market([[flat(100)] * 8], {0: [buy()]}, sessions=[0, 0, 0, 0, 1, 1, 1, 1])
    _, fills, _, _ = market.play(all_in(max_sessions=2))
    assert [f["step"] for f in fills] == [1, 5]


def test_the_kill_switch_sells_everything_cancels_entries_and_ends_buying():
    falling = [flat(100), flat(100), flat(75), flat(70), flat(70)]
    other = [flat(10)] * 5
    market = Market([falling, other], {0: [buy()], 2: [buy(1, instrument=1)], 3: [buy(2, instrument=1)]})
    account, fills, trades, _ = market.play(all_in(fraction=0.5, max_positions=2, kill_drawdown=0.1))
    assert account["killed"] == 1
    assert (reason(trades[0]), trades[0]["exit_step"]) == ("kill_switch", 3)
    assert fills.size == 2


def test_slots_are_limited_and_refusals_counted():
    market = Market([[flat(10)] * 3] * 3, {0: [buy(k, instrument=k) for k in range(3)]})
    account, fills, _, _ = market.play(Rules(initial_cash=900, fraction=0.2, max_positions=2))
    assert (account["refused_slots"], sorted({f["instrument"] for f in fills})) == (1, [0, 1])


def test_orders_of_one_bar_share_the_cash_there_is():
    market = Market([[flat(10)] * 3] * 2, {0: [buy(0), buy(1, instrument=1)]})
    account, fills, _, _ = market.play(Rules(initial_cash=1000, fraction=0.7, max_positions=5))
    assert [f["quantity"] for f in fills[:2]] == [70, 30]
    assert account["lowest_cash"] == 0.0


def test_costs_count_in_sizing_on_both_sides_and_with_a_minimum():
    costs = np.array([0.001, 0.002, 0.0, 0.0, 5.0, np.inf, 0.0, 0.0])
    account, fills, trades, _ = Market([[flat(100)] * 3], {0: [buy()]}, costs=costs).play(all_in())
    # 10 units would cost 1000 + 1 + 5; 9 cost 905.9.
    assert fills[0]["quantity"] == 9
    assert fills["fee"] == pytest.approx([0.9 + 5, 1.8 + 5])
    assert trades[0]["pnl"] == pytest.approx(-12.7)
    assert account["cash"] == pytest.approx(1000 - 12.7)
