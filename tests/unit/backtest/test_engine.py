"""Order types, exits, limits and the order of events of the step kernel: every figure worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.backtest.engine.compiled import cache_dir
from pipelines.backtest.engine.step import advance, finish, step
from pipelines.backtest.layout import BUY, CLOSE, LIMIT, MARKET, SELL, STOP_ORDER
from pipelines.backtest.rules import Rules
from pipelines.backtest.state import Attributes, State, new_log
from tests.support.step_market import NAN, Market, all_in, buy, flat, random_market, reason, sell


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


EVERYTHING = {
    "initial_cash": 50_000,
    "fraction": 0.3,
    "max_positions": 3,
    "stop_fraction": 0.04,
    "trail_fraction": 0.06,
    "target_fraction": 0.08,
    "slippage_bps": 3,
    "slippage_ticks": 1,
    "sector_share": 0.5,
    "max_entries": 2,
    "order_sessions": 2,
    "kill_drawdown": 0.5,
    "allow_short": True,
}
RULES = st.fixed_dictionaries(
    {
        "square_off": st.sampled_from(["never", "shorts", "all"]),
        "fill_at": st.sampled_from(["next_open", "close"]),
        "overdraw": st.booleans(),
        "leverage": st.sampled_from([1.0, 1.5]),
        "max_sessions": st.sampled_from([None, 2]),
        "exit_on_signal": st.booleans(),
    }
)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), steps=st.integers(4, 50), cut=st.integers(1, 3), chosen=RULES)
def test_a_run_equals_its_steps_and_a_saved_and_resumed_one_bit_for_bit_and_equity_is_cash_and_positions(
    tmp_path_factory, seed, steps, cut, chosen
):
    market, rules = random_market(seed, steps, 4, priced=True), Rules(**(EVERYTHING | chosen))
    history, (orders, offsets), compiled = market.history(), market.signals(), rules.compiled()
    account, fills, trades, curve = market.play(rules)

    live, log = market.start(rules), new_log(fills.size, trades.size)
    for t in range(steps):
        step(live, market.bars_at(history, t), orders[offsets[t] : offsets[t + 1]], compiled, log)
        a, held = live.account[0], live.book[live.book["quantity"] != 0]
        assert a["equity"] == pytest.approx(a["cash"] + (held["quantity"] * held["last"]).sum())
        assert (a["equity"], a["cash"]) == tuple(curve[t, ::2]) or t == steps - 1
        assert a["open"] == held.size
    finish(live, steps - 1, history.costs[-1], log)
    assert log.fills.tobytes() == fills.tobytes()
    assert log.trades.tobytes() == trades.tobytes()
    assert live.account[0] == account
    assert account["cash"] == pytest.approx(rules.initial_cash + trades["pnl"].sum(), abs=1e-6)

    path, half = tmp_path_factory.mktemp("state") / "state.npz", steps * cut // 4
    begun, log, resumed_curve = market.start(rules), new_log(fills.size, trades.size), np.zeros((steps, 3))
    advance(begun, history, orders, offsets, compiled, log, resumed_curve, 0, half)
    begun.save(path)
    resumed = State.load(path)
    advance(resumed, history, orders, offsets, compiled, log, resumed_curve, half, steps)
    finish(resumed, steps - 1, history.costs[-1], log)
    assert resumed.account.tobytes() == live.account.tobytes()
    assert resumed.book.tobytes() == live.book.tobytes()
    assert (log.fills.tobytes(), log.trades.tobytes()) == (fills.tobytes(), trades.tobytes())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(3, 20), chosen=RULES)
def test_no_order_of_any_kind_uses_a_bar_before_it_was_known(seed, cut, chosen):
    market, rules = random_market(seed, 25, 4, priced=True), Rules(**(EVERYTHING | chosen))
    shaken = random_market(seed, 25, 4, priced=True)
    shaken.bars = [[bar if t <= cut else flat(7.0) for t, bar in enumerate(row)] for row in market.bars]
    shaken.blocked = {at: flags for at, flags in market.blocked.items() if at[0] <= cut}
    _, fills, _, curve = market.play(rules)
    _, other_fills, _, other_curve = shaken.play(rules)
    assert (curve[: cut + 1] == other_curve[: cut + 1]).all()
    assert fills[fills["step"] <= cut].tobytes() == other_fills[other_fills["step"] <= cut].tobytes()


def test_a_state_of_another_layout_is_refused(tmp_path):
    path = tmp_path / "state.npz"
    np.savez(path, account=np.zeros(1), book=np.zeros(3))
    with pytest.raises(ValueError, match="another version of the step kernel"):
        State.load(path)


def test_a_changed_module_of_the_kernel_is_compiled_anew(tmp_path):
    (engine := tmp_path / "engine").mkdir()
    for path in (engine / "fills.py", *(tmp_path / name for name in ("layout.py", "rules.py", "state.py"))):
        path.write_text("a")
    before = cache_dir(engine)
    (engine / "fills.py").write_text("b")
    assert cache_dir(engine) != before
    assert cache_dir() == cache_dir()
