"""Hand-made markets for tests of the step kernel.

Lives here: `Market`, bars and orders written as tuples, played whole or handed in bar by bar; a random one.
Does not live here: any expectation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from pipelines.backtest.engine.step import run
from pipelines.backtest.layout import BUY, EVENT, MARKET, ORDER, REASONS, SELL
from pipelines.backtest.rules import Rules
from pipelines.backtest.state import Attributes, Bar, Bars, Clock, History, Limits, State, new_log, new_state

NAN = math.nan
UNKNOWN_RATIO = (0, 1.0, 0.0, 1.0, NAN, -1, NAN, 1)
FREE = np.array([0.0, 0.0, 0.0, 0.0, 0.0, np.inf, 0.0, 0.0])


@dataclass
class Market:
    """Bars of one or more instruments as (open, high, low, close) rows, and what happens at each step."""

    bars: list[list[tuple[float, float, float, float]]]  # [instrument][step]
    orders: dict[int, list[tuple]] = field(default_factory=dict)
    events: dict[int, list[tuple]] = field(default_factory=dict)
    costs: np.ndarray = field(default_factory=lambda: FREE)
    sessions: list[int] | None = None
    blocked: dict[tuple[int, int], int] = field(default_factory=dict)  # by (step, instrument)
    must_deliver: tuple[int, ...] = ()
    volume: float = np.inf
    attributes: Attributes = field(default_factory=Attributes)

    def limits(self, steps: int) -> Limits:
        shape = (steps, len(self.bars))
        blocked, deliver = np.zeros(shape, np.uint8), np.zeros(shape, np.bool_)
        for at, flags in self.blocked.items():
            blocked[at] = flags
        deliver[:, list(self.must_deliver)] = True
        return Limits(blocked, deliver, np.full(shape, self.volume))

    def history(self) -> History:
        cube = np.array(self.bars, dtype=float)
        o, h, low, c = (np.ascontiguousarray(cube[:, :, k].T) for k in range(4))
        steps = o.shape[0]
        # Most events are the first five fields: no successor, a known effect.
        plain = (-1, NAN, 0)
        events = np.array([(*row, *plain[len(row) - 5 :]) for t in range(steps) for row in self.events.get(t, [])], dtype=EVENT)
        event_offsets = np.cumsum([0] + [len(self.events.get(t, [])) for t in range(steps)])
        sessions = np.array(self.sessions if self.sessions is not None else range(steps))
        costs = np.tile(self.costs, (steps, 1, 2, 1))
        return History(sessions, Bar(o, h, low, c, c), self.limits(steps), costs, events, event_offsets)

    def signals(self) -> tuple[np.ndarray, np.ndarray]:
        steps = range(len(self.bars[0]))
        # Most orders are the first five fields: a market order of the size that the rules say.
        plain = (MARKET, NAN, NAN)
        rows = [(*row, *plain[len(row) - 5 :]) for t in steps for row in self.orders.get(t, [])]
        return np.array(rows, dtype=ORDER), np.cumsum([0] + [len(self.orders.get(t, [])) for t in steps])

    def start(self, rules: Rules) -> State:
        return new_state(rules.initial_cash, len(self.bars), self.attributes)

    def play(self, rules: Rules):
        history, (orders, offsets), state = self.history(), self.signals(), self.start(rules)
        log = new_log(4 * len(orders), 2 * len(orders))
        curve = np.zeros((len(history.sessions), 3))
        run(state, history, orders, offsets, rules.compiled(), log, curve)
        account = state.account[0]
        return account, log.fills[: account["fills"]], log.trades[: account["trades"]], curve

    def bars_at(self, history: History, t: int) -> Bars:
        """The bars of one step, as a live session would hand them in."""
        session = history.sessions
        return Bars(
            Clock(t, session[t], t + 1 == len(session) or session[t + 1] != session[t]),
            Bar(*(matrix[t].copy() for matrix in history.prices)),
            Limits(*(matrix[t].copy() for matrix in history.limits)),
            history.costs[t],
            history.events[history.event_offsets[t] : history.event_offsets[t + 1]],
        )


def buy(signal: int = 0, stop: float = NAN, target: float = NAN, instrument: int = 0) -> tuple:
    return (instrument, BUY, stop, target, signal)


def sell(signal: int = 0, stop: float = NAN, target: float = NAN, instrument: int = 0) -> tuple:
    return (instrument, SELL, stop, target, signal)


def flat(price: float) -> tuple[float, float, float, float]:
    return (price, price, price, price)


def all_in(**changes) -> Rules:
    return Rules(**{"initial_cash": 1000.0, "fraction": 1.0, "max_positions": 1} | changes)


def reason(trade) -> str:
    return REASONS[trade["reason"]]


def random_market(seed: int, steps: int, instruments: int, *, priced: bool = False) -> Market:
    """Halts, locked sessions, actions and signals by chance. priced: every kind of order, sectors, lots, ticks, longer sessions."""
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
    more: dict = {}
    if priced:
        for t, rows in orders.items():
            kinds = rng.integers(0, 3, len(rows))
            near = [bars[row[0]][t][3] * float(rng.uniform(0.98, 1.02)) for row in rows]
            orders[t] = [(*row, int(kind), price, NAN) for row, kind, price in zip(rows, kinds, near, strict=True)]
        sectors, lots = rng.integers(0, 2, instruments), rng.integers(1, 4, instruments)
        more = {
            "attributes": Attributes(sector=sectors, lot=lots, tick=0.05),
            "sessions": [t // 3 for t in range(steps)],
        }
    return Market(
        bars, orders, events, costs, **more, blocked=blocked, must_deliver=(0,), volume=float(rng.choice([np.inf, 900.0]))
    )
