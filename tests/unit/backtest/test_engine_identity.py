"""A run of the step kernel equals its steps and a saved and resumed one, and uses no bar before it was known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.backtest.engine.compiled import cache_dir
from pipelines.backtest.engine.step import advance, finish, step
from pipelines.backtest.rules import Rules
from pipelines.backtest.state import State, new_log
from tests.support.step_market import flat, random_market

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


@pytest.mark.slow
@pytest.mark.measured
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
