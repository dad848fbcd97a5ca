"""The identity of batch and step by step in the kernel, on random markets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.backtest.engine.step import finish, step
from pipelines.backtest.rules import Rules
from pipelines.backtest.state import new_log
from tests.support.step_market import Market, flat, random_market


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(2, 60),
    instruments=st.integers(1, 6),
    short=st.booleans(),
    kill=st.sampled_from([None, 0.05, 0.3]),
    holding=st.sampled_from([None, 1, 4]),
)
def test_batch_and_step_by_step_are_bit_identical_and_cash_balances(seed, steps, instruments, short, kill, holding):
    market, rules = (
        random_market(seed, steps, instruments),
        Rules(
            initial_cash=50_000,
            fraction=0.3,
            max_positions=3,
            allow_short=short,
            kill_drawdown=kill,
            max_sessions=holding,
            stop_fraction=0.04,
        ),
    )
    account, fills, trades, curve = market.play(rules)
    history, (orders, offsets), live = market.history(), market.signals(), market.start(rules)
    day = new_log(4 * instruments, 2 * instruments)
    seen_fills, seen_trades, levels = [], [], []
    for t in range(steps):
        step(live, market.bars_at(history, t), orders[offsets[t] : offsets[t + 1]], rules.compiled(), day)
        seen_fills.append(day.fills[: live.account[0]["fills"]].copy())
        seen_trades.append(day.trades[: live.account[0]["trades"]].copy())
        live.account["fills"] = live.account["trades"] = 0
        levels.append(live.account[0]["equity"])
    finish(live, steps - 1, history.costs[-1], day)
    seen_fills.append(day.fills[: live.account[0]["fills"]].copy())
    seen_trades.append(day.trades[: live.account[0]["trades"]].copy())
    levels[-1] = live.account[0]["equity"]
    assert np.concatenate(seen_fills).tobytes() == fills.tobytes()
    assert np.concatenate(seen_trades).tobytes() == trades.tobytes()
    assert np.array(levels).tobytes() == curve[:, 0].tobytes()
    assert live.account[0]["cash"] == account["cash"]
    assert account["cash"] == pytest.approx(rules.initial_cash + trades["pnl"].sum(), abs=1e-6)
    assert account["open"] == account["waiting"] == account["leaving"] == 0
    assert trades["fees"].sum() == pytest.approx(account["fees"])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(5, 30))
def test_what_happens_after_a_bar_changes_nothing_up_to_it(seed, cut):
    market = random_market(seed, 40, 4)
    rules = Rules(initial_cash=50_000, fraction=0.3, max_positions=3)
    _, fills, _, curve = market.play(rules)
    shaken = Market(
        [[bar if t <= cut else flat(7.0) for t, bar in enumerate(row)] for row in market.bars], market.orders, market.events
    )
    shaken.costs, shaken.must_deliver, shaken.volume = market.costs, market.must_deliver, market.volume
    shaken.blocked = {at: flags for at, flags in market.blocked.items() if at[0] <= cut}
    _, other_fills, _, other_curve = shaken.play(rules)
    assert (curve[: cut + 1] == other_curve[: cut + 1]).all()
    assert fills[fills["step"] <= cut].tobytes() == other_fills[other_fills["step"] <= cut].tobytes()
