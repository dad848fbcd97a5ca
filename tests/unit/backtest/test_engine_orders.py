"""Order types and exits of the step kernel: every figure worked out by hand."""

from __future__ import annotations

import pytest

from pipelines.backtest.layout import BUY, CLOSE, LIMIT, MARKET, SELL, STOP_ORDER
from pipelines.backtest.state import Attributes
from tests.support.step_market import NAN, Market, all_in, buy, flat, reason, sell


def priced(side: int, kind: int, price: float, stop: float = NAN, target: float = NAN, instrument: int = 0) -> tuple:
    return (instrument, side, stop, target, 0, kind, price, NAN)


@pytest.mark.parametrize(
    ("side", "kind", "price", "bar", "filled"),
    [
        (BUY, LIMIT, 95, (99, 101, 94, 100), 95),  # falls to the limit
        (BUY, LIMIT, 95, (93, 96, 92, 94), 93),  # opens below it: better than asked
        (BUY, LIMIT, 95, (99, 101, 96, 100), None),
        (SELL, LIMIT, 105, (101, 106, 100, 102), 105),
        (SELL, LIMIT, 105, (107, 108, 106, 107), 107),
        (SELL, LIMIT, 105, (101, 104, 100, 102), None),
        (BUY, STOP_ORDER, 105, (101, 106, 100, 102), 105),
        (BUY, STOP_ORDER, 105, (107, 108, 106, 107), 107),  # a gap: worse than asked
        (BUY, STOP_ORDER, 105, (101, 104, 100, 102), None),
        (SELL, STOP_ORDER, 95, (99, 101, 94, 100), 95),
        (SELL, STOP_ORDER, 95, (93, 96, 92, 94), 93),
        (SELL, STOP_ORDER, 95, (99, 101, 96, 100), None),
        (BUY, MARKET, NAN, (99, 101, 96, 100), 99),
    ],
)
def test_an_entry_fills_at_its_price_at_the_open_beyond_it_or_not_at_all(side, kind, price, bar, filled):
    market = Market([[flat(100), bar, flat(100)]], {0: [priced(side, kind, price)]})
    account, fills, _, _ = market.play(all_in(allow_short=True))
    if filled is None:
        assert (fills.size, account["expired"]) == (0, 1)
    else:
        assert (fills[0]["step"], fills[0]["price"], fills[0]["quantity"]) == (1, filled, side * 10)


def test_a_priced_order_waits_as_many_sessions_as_it_may():
    bars = [flat(100), flat(100), flat(100), (100, 100, 95, 100), flat(100)]
    order = {0: [priced(BUY, LIMIT, 96)]}
    assert Market([bars], order).play(all_in())[0]["expired"] == 1
    assert Market([bars], order).play(all_in(order_sessions=2))[0]["expired"] == 1
    account, fills, _, _ = Market([bars], order).play(all_in(order_sessions=3))
    assert (account["expired"], fills[0]["step"], fills[0]["price"]) == (0, 3, 96.0)


def test_of_a_limit_entrys_own_bar_the_stop_counts_and_the_target_does_not():
    """The price fell through the limit before it could reach the stop; the high may have come first."""
    wide = (100, 112, 90, 100)
    stopped = Market([[flat(100), wide, flat(100)]], {0: [priced(BUY, LIMIT, 95, stop=92)]}).play(all_in())[2][0]
    assert (reason(stopped), stopped["exit_price"], stopped["exit_step"]) == ("stop", 92.0, 1)
    kept = Market([[flat(100), wide, flat(100)]], {0: [priced(BUY, LIMIT, 95, target=110)]}).play(all_in())[2][0]
    assert (reason(kept), kept["exit_step"]) == ("end", 2)


def test_a_stop_entrys_own_bar_reaches_its_target_and_no_exit_fills_at_an_open_before_the_entry():
    up = (90, 112, 89, 111)
    reached = Market([[flat(100), up, flat(111)]], {0: [priced(BUY, STOP_ORDER, 105, target=110)]}).play(all_in())[2][0]
    assert (reason(reached), reached["entry_price"], reached["exit_price"]) == ("target", 105.0, 110.0)
    # Whether 92 came before or after 105 is not known: it counts as after. At 92, not at the open of 90.
    stopped = Market([[flat(100), up, flat(111)]], {0: [priced(BUY, STOP_ORDER, 105, stop=92)]}).play(all_in())[2][0]
    assert (reason(stopped), stopped["exit_price"], stopped["at_open"]) == ("stop", 92.0, 0)


def test_a_trailing_stop_follows_the_highs_of_the_bars_before():
    bars = [flat(100), flat(100), (100, 120, 99, 119), (118, 119, 110, 111), (112, 112, 107, 108)]
    trade = Market([bars], {0: [buy()]}).play(all_in(trail_fraction=0.1))[2][0]
    # 90 at the entry, 108 once the high of 120 is known: its own bar's low of 99 is no exit.
    assert (reason(trade), trade["exit_step"], trade["exit_price"]) == ("trailing_stop", 4, 108.0)
    nearer = Market([bars], {0: [buy(stop=110)]}).play(all_in(trail_fraction=0.1))[2][0]
    assert (reason(nearer), nearer["exit_step"], nearer["exit_price"]) == ("stop", 1, 100.0)


def test_a_short_positions_trailing_stop_follows_the_lows():
    bars = [flat(100), flat(100), (95, 96, 80, 82), (85, 90, 84, 86)]
    trade = Market([bars], {0: [sell()]}).play(all_in(trail_fraction=0.1, allow_short=True))[2][0]
    assert (reason(trade), trade["exit_price"]) == ("trailing_stop", pytest.approx(88.0))
    gap = [*bars[:3], (91, 92, 90, 91)]
    trade = Market([gap], {0: [sell()]}).play(all_in(trail_fraction=0.1, allow_short=True))[2][0]
    assert (reason(trade), trade["exit_price"], trade["at_open"]) == ("trailing_stop", 91.0, 1)


def test_a_trailing_stop_is_split_with_its_instrument():
    bars = [flat(100), flat(100), (100, 120, 100, 120), (60, 60, 53, 55)]
    trade = Market([bars], {0: [buy()]}, {3: [(0, 2.0, 0.0, 1.0, NAN)]}).play(all_in(trail_fraction=0.1))[2][0]
    assert (reason(trade), trade["exit_price"], trade["quantity"]) == ("trailing_stop", 54.0, 20)


def test_slippage_makes_market_and_stop_fills_worse_and_leaves_limits_and_targets_alone():
    attributes = Attributes(tick=0.05)
    bars = [flat(100), flat(100), (100, 101, 94, 95)]
    # 10 basis points and 2 ticks: 0.1 + 0.1 on a purchase at 100, 0.095 + 0.1 on a sale at 95.
    rules = all_in(fraction=0.5, slippage_bps=10, slippage_ticks=2)
    _, fills, trades, _ = Market([bars], {0: [buy(stop=95)]}, attributes=attributes).play(rules)
    assert fills["price"] == pytest.approx([100.2, 94.805])
    assert trades[0]["pnl"] == pytest.approx(5 * (94.805 - 100.2))
    target = Market([[*bars[:2], (100, 106, 99, 105)]], {0: [buy(target=105)]}, attributes=attributes).play(rules)[1]
    assert target[1]["price"] == 105.0
    limit = Market([bars], {1: [priced(BUY, LIMIT, 95)]}, attributes=attributes).play(rules)[1]
    assert limit[0]["price"] == 95.0
    short = {0: [sell(stop=101)]}
    _, fills, _, _ = Market([bars], short, attributes=attributes).play(
        all_in(fraction=0.5, slippage_bps=10, slippage_ticks=2, allow_short=True)
    )
    assert fills["price"] == pytest.approx([99.8, 101.201])


def test_positions_leave_at_a_sessions_last_close_where_they_must():
    sessions = [0, 0, 1, 1, 2]
    bars = [flat(100), flat(101), flat(102), flat(103), flat(90)]
    _, _, trades, _ = Market([bars], {0: [buy()]}, sessions=sessions).play(all_in(square_off="all"))
    assert (reason(trades[0]), trades[0]["exit_step"], trades[0]["exit_price"], trades[0]["at_open"]) == (
        "session_end",
        1,
        101.0,
        0,
    )
    long = Market([bars], {0: [buy()]}, sessions=sessions).play(all_in(square_off="shorts"))[2][0]
    assert (reason(long), long["exit_step"]) == ("end", 4)
    short = Market([bars], {0: [sell()]}, sessions=sessions).play(all_in(square_off="shorts", allow_short=True))[2][0]
    assert (reason(short), short["exit_step"], short["exit_price"]) == ("session_end", 1, 101.0)


def test_a_position_that_cannot_leave_at_the_sessions_end_leaves_at_the_next_open():
    bars = [flat(100), flat(101), (102, 103, 101, 103), flat(90)]
    market = Market([bars], {0: [buy()]}, sessions=[0, 0, 1, 1], blocked={(1, 0): 2})
    trade = market.play(all_in(square_off="all"))[2][0]
    assert (reason(trade), trade["exit_step"], trade["exit_price"], trade["at_open"]) == ("session_end", 2, 102.0, 1)


def test_a_signal_of_the_other_side_closes_only_where_the_rules_say_so():
    market = Market([[flat(100), flat(101), flat(102), flat(103)]], {0: [buy()], 1: [sell(1)]})
    assert reason(market.play(all_in())[2][0]) == "signal"
    _, fills, trades, _ = market.play(all_in(exit_on_signal=False, allow_short=True))
    assert (reason(trades[0]), trades[0]["exit_step"], fills.size) == ("end", 3, 2)


def test_filled_at_the_close_a_signal_trades_at_the_price_it_was_decided_at():
    bars = [flat(100), (90, 111, 89, 110), (120, 121, 119, 120)]
    _, fills, trades, curve = Market([bars], {0: [buy()], 1: [sell(1)]}).play(all_in(fill_at="close"))
    assert [(f["step"], f["price"], f["quantity"]) for f in fills] == [(0, 100.0, 10), (1, 110.0, -10)]
    assert curve[:, 0].tolist() == [1000.0, 1100.0, 1100.0]
    assert (trades[0]["pnl"], trades[0]["at_open"]) == (100.0, 0)


def test_an_order_to_close_opens_nothing():
    market = Market([[flat(100), flat(101), flat(102)]], {0: [buy()], 1: [(0, CLOSE, NAN, NAN, 0)]})
    _, fills, trades, _ = market.play(all_in(allow_short=True))
    assert (reason(trades[0]), trades[0]["exit_step"], trades[0]["exit_price"], fills.size) == ("end", 2, 102.0, 2)
