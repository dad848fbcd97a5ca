"""The identity of batch and step by step in the kernel, on random markets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.backtest import kernel
from pipelines.backtest.layout import BUY, SELL, Bar, Limits, Rules, new_account, new_book, new_logs
from tests.support.kernel_market import NAN, UNKNOWN_RATIO, Market, flat


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
        _random_market(seed, steps, instruments),
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
    bars, sessions, costs, events, event_offsets, orders, order_offsets = market.arrays()
    live, book = new_account(rules.initial_cash), new_book(instruments)
    day_fills, day_trades = new_logs(4 * instruments, 2 * instruments)
    seen_fills, seen_trades, levels = [], [], []
    for t in range(steps):
        row = Bar(*(matrix[t].copy() for matrix in bars))
        due, decided = events[event_offsets[t] : event_offsets[t + 1]], orders[order_offsets[t] : order_offsets[t + 1]]
        free = Limits(*(matrix[t].copy() for matrix in market.limits(steps)))
        kernel.step(live, book, rules.compiled(), t, sessions[t], row, costs[t], due, decided, day_fills, day_trades, free)
        seen_fills.append(day_fills[: live[0]["fills"]].copy())
        seen_trades.append(day_trades[: live[0]["trades"]].copy())
        live["fills"] = live["trades"] = 0
        levels.append(live[0]["equity"])
    kernel.finish(live, book, steps - 1, costs[-1], day_fills, day_trades)
    seen_fills.append(day_fills[: live[0]["fills"]].copy())
    seen_trades.append(day_trades[: live[0]["trades"]].copy())
    levels[-1] = live[0]["equity"]
    assert np.concatenate(seen_fills).tobytes() == fills.tobytes()
    assert np.concatenate(seen_trades).tobytes() == trades.tobytes()
    assert np.array(levels).tobytes() == curve[:, 0].tobytes()
    assert live[0]["cash"] == account["cash"]
    assert account["cash"] == pytest.approx(rules.initial_cash + trades["pnl"].sum(), abs=1e-6)
    assert account["open"] == account["waiting"] == account["leaving"] == 0
    assert trades["fees"].sum() == pytest.approx(account["fees"])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(5, 30))
def test_what_happens_after_a_bar_changes_nothing_up_to_it(seed, cut):
    market = _random_market(seed, 40, 4)
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


def _random_market(seed: int, steps: int, instruments: int) -> Market:
    rng = np.random.default_rng(seed)
    bars, orders, events = [], {}, {}
    for _ in range(instruments):
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.03, steps)))
        start = close * np.exp(rng.normal(0, 0.01, steps))
        row = [(o, max(o, c) * 1.01, min(o, c) * 0.99, c) for o, c in zip(start, close, strict=True)]
        bars.append([flat(NAN) if rng.random() < 0.05 else bar for bar in row])
    for t in range(steps):
        orders[t] = [
            (i, int(rng.choice([BUY, SELL])), NAN, NAN, t * instruments + i) for i in range(instruments) if rng.random() < 0.3
        ]
        if t and rng.random() < 0.1:
            events[t] = [(int(rng.integers(instruments)), float(rng.choice([2.0, 1.5, 0.1])), 0.5, 0.97, NAN)]
        if t and rng.random() < 0.1:
            i, j = int(rng.integers(instruments)), int(rng.integers(instruments))
            price = float(rng.choice([NAN, 80.0]))
            endings = [(i, 1.0, 0.0, 1.0, 70.0, -1, NAN, 0), UNKNOWN_RATIO, (i, 0.7, 1.0, 1.0, NAN, j, price, 0)]
            events.setdefault(t, []).append(endings[int(rng.integers(3)) if i != j else 0])
    blocked = {(t, i): int(rng.integers(1, 4)) for t in range(steps) for i in range(instruments) if rng.random() < 0.1}
    costs = np.array([0.0005, 0.001, 0.0003, 0.0003, 1.0, 20.0, 0.0, 15.0])
    return Market(bars, orders, events, costs, blocked=blocked, must_deliver=(0,), volume=float(rng.choice([np.inf, 900.0])))
