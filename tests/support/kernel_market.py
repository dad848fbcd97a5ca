"""Hand-made bars for the step kernel of the backtest, and playing them.

Lives here: `Market`, orders and rules in short.
Does not live here: what must come of them (`tests/unit/backtest/test_kernel*.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from pipelines.backtest import kernel
from pipelines.backtest.layout import BUY, EVENT, ORDER, REASONS, SELL, Bar, Limits, Rules, new_account, new_book, new_logs

NAN = math.nan
#: No costs.
FREE = np.array([0.0, 0.0, 0.0, 0.0, 0.0, np.inf, 0.0, 0.0])
#: An event that says no more than that something happened.
UNKNOWN_RATIO = (0, 1.0, 0.0, 1.0, NAN, -1, NAN, 1)


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

    def limits(self, steps: int) -> Limits:
        shape = (steps, len(self.bars))
        blocked, deliver = np.zeros(shape, np.uint8), np.zeros(shape, np.bool_)
        for at, flags in self.blocked.items():
            blocked[at] = flags
        deliver[:, list(self.must_deliver)] = True
        return Limits(blocked, deliver, np.full(shape, self.volume))

    def arrays(self):
        cube = np.array(self.bars, dtype=float)
        o, h, low, c = (np.ascontiguousarray(cube[:, :, k].T) for k in range(4))
        steps = o.shape[0]
        orders = np.array([row for t in range(steps) for row in self.orders.get(t, [])], dtype=ORDER)
        # Most events are the first five fields: no successor, a known effect.
        plain = (-1, NAN, 0)
        events = np.array([(*row, *plain[len(row) - 5 :]) for t in range(steps) for row in self.events.get(t, [])], dtype=EVENT)
        order_offsets = np.cumsum([0] + [len(self.orders.get(t, [])) for t in range(steps)])
        event_offsets = np.cumsum([0] + [len(self.events.get(t, [])) for t in range(steps)])
        sessions = np.array(self.sessions if self.sessions is not None else range(steps))
        return Bar(o, h, low, c, c), sessions, np.tile(self.costs, (steps, 1, 2, 1)), events, event_offsets, orders, order_offsets

    def play(self, rules: Rules):
        bars, sessions, costs, events, event_offsets, orders, order_offsets = self.arrays()
        account, book = new_account(rules.initial_cash), new_book(len(self.bars))
        fills, trades = new_logs(2 * len(orders), len(orders))
        curve = np.zeros((len(sessions), 3))
        kernel.run(
            account,
            book,
            rules.compiled(),
            sessions,
            bars,
            costs,
            events,
            event_offsets,
            orders,
            order_offsets,
            fills,
            trades,
            curve,
            self.limits(len(sessions)),
        )
        return account[0], fills[: account[0]["fills"]], trades[: account[0]["trades"]], curve


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
