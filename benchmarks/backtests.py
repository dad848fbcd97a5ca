"""What does a backtest of a whole market cost: the step kernel over ten years, a sweep, and one new session from saved state?

The floor is what no backtest can be faster than: adding up every open and close once. Kernel figures: bars and signals are in
memory. Not here: reading the lake and the figures of a run (`pipelines/backtest/portfolio.py`).
"""

from __future__ import annotations

import statistics
from dataclasses import replace

import numpy as np

from benchmarks.tables import SEED, Table, interleaved, ratio
from pipelines.backtest.engine import step
from pipelines.backtest.layout import BUY, EVENT, MARKET, ORDER, SELL
from pipelines.backtest.rules import CompiledRules, Rules
from pipelines.backtest.state import Attributes, Bar, History, Limits, Log, State, new_log, new_state

INSTRUMENTS, SESSIONS, ROUNDS = 500, 2_520, 15
FAST, SLOW, SECTORS = 20, 50, 10
CASES, NIGHTS = 20, 100
#: What all is bounded by: positions, their size, entries a session, sectors, volume, cash, a fall from the peak; stops and targets.
RULES = Rules(
    initial_cash=10_000_000.0,
    fraction=0.01,
    max_positions=100,
    stop_fraction=0.08,
    target_fraction=0.25,
    kill_drawdown=0.6,
    volume_share=0.05,
    max_entries=20,
    sector_share=0.3,
    overdraw=False,
)


def make_market() -> tuple[History, np.ndarray, np.ndarray]:
    """Seeded random walks, and the crossings of their averages of 20 and 50 closes as orders."""
    rng = np.random.default_rng(SEED)
    close = 200 * np.exp(np.cumsum(rng.normal(0.0002, 0.018, (SESSIONS, INSTRUMENTS)), axis=0))
    first = close * np.exp(rng.normal(0, 0.004, close.shape))
    high = np.maximum(first, close) * (1 + rng.random(close.shape) * 0.01)
    low = np.minimum(first, close) * (1 - rng.random(close.shape) * 0.01)
    shape = close.shape
    limits = Limits(np.zeros(shape, np.uint8), np.zeros(shape, np.bool_), np.full(shape, 2e5))
    costs = np.zeros((SESSIONS, 1, 2, 8))
    costs[..., 0] = costs[..., 1] = 0.001
    costs[..., 5] = np.inf
    nothing = np.zeros(SESSIONS + 1, np.int64)
    history = History(np.arange(SESSIONS), Bar(first, high, low, close, close), limits, costs, np.zeros(0, EVENT), nothing)
    return history, *_crossings(close)


def _crossings(close: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sums = np.vstack([np.zeros(close.shape[1]), np.cumsum(close, axis=0)])
    above = np.zeros(close.shape, np.int8)
    fast, slow = ((sums[k:] - sums[:-k]) / k for k in (FAST, SLOW))
    above[SLOW - 1 :] = np.sign(fast[SLOW - FAST :] - slow)
    turned = np.diff(above, axis=0, prepend=0)
    turned[:SLOW] = 0
    steps, columns = np.nonzero(turned)
    orders = np.zeros(steps.size, ORDER)
    orders["instrument"], orders["side"] = columns, np.where(turned[steps, columns] > 0, BUY, SELL)
    orders["signal"], orders["kind"] = np.arange(steps.size), MARKET
    for name in ("stop", "target", "price", "fraction"):
        orders[name] = np.nan
    return orders, np.searchsorted(steps, np.arange(close.shape[0] + 1))


class _Run:
    """A run over the market, made anew each time it is called."""

    def __init__(self, history: History, orders: np.ndarray, offsets: np.ndarray) -> None:
        self.history, self.orders, self.offsets = history, orders, offsets
        sectors = np.arange(INSTRUMENTS) % SECTORS
        self.begin = new_state(RULES.initial_cash, INSTRUMENTS, Attributes(sector=sectors, tick=0.05))
        self.log, self.curve = new_log(2 * orders.size, orders.size), np.zeros((SESSIONS, 3))

    def whole(self, rules: CompiledRules) -> State:
        """The state after the last session, everything sold."""
        state = _copy(self.begin)
        step.run(state, self.history, self.orders, self.offsets, rules, self.log, self.curve)
        return state

    def before_last(self, rules: CompiledRules) -> State:
        """The state that a nightly run would have saved before the last session."""
        state = _copy(self.begin)
        step.advance(state, self.history, self.orders, self.offsets, rules, self.log, self.curve, 0, SESSIONS - 1)
        return state

    def one_more(self, saved: State, rules: CompiledRules) -> None:
        """One session from saved state, with its bars alone."""
        state, last = _copy(saved), SESSIONS - 1
        state.account["fills"] = state.account["trades"] = 0
        log = Log(self.log.fills[: 4 * INSTRUMENTS], self.log.trades[: 2 * INSTRUMENTS])
        step.advance(state, self.history, self.orders, self.offsets, rules, log, self.curve, last, SESSIONS)


def _copy(state: State) -> State:
    """The same state, as bytes: numpy copies records field by field."""
    return State(*(part.view(np.uint8).copy().view(part.dtype) for part in state))


def run() -> Table:
    """The table."""
    history, orders, offsets = make_market()
    market, rules = _Run(history, orders, offsets), RULES.compiled()
    cases = [replace(RULES, stop_fraction=0.02 + 0.01 * k).compiled() for k in range(CASES)]
    saved, ended = market.before_last(rules), market.whole(rules).account[0]
    prices = history.prices
    seconds = interleaved(
        {
            "floor": lambda: float(prices.open.sum() + prices.close.sum()),
            "whole": lambda: market.whole(rules),
            "sweep": lambda: [market.whole(case) for case in cases],
            "session": lambda: [market.one_more(saved, rules) for _ in range(NIGHTS)],
        },
        ROUNDS,
    )
    bars = INSTRUMENTS * SESSIONS
    cost = {name: statistics.median(times) for name, times in seconds.items()}
    night = cost["session"] / NIGHTS
    rows = [
        ["sum of every open and close", f"{1e9 * cost['floor'] / bars:.1f} ns a symbol-bar", "1", ""],
        ["run", f"{1e9 * cost['whole'] / bars:.1f} ns a symbol-bar", ratio(seconds["whole"], seconds["floor"]), "≤ 8"],
        ["sweep", f"{1e9 * cost['sweep'] / bars / CASES:.1f} ns a symbol-bar and parameter set", "", "≤ 6 ns"],
        [
            "one new session",
            f"{1e6 * night:,.0f} µs; the run is {cost['whole'] / night:,.0f} × that",
            "",
            "≥ 100 ×",
        ],
    ]
    return Table(
        "A backtest of a whole market",
        ("what", "measured", "× the floor", "to beat"),
        rows,
        f"{INSTRUMENTS} instruments × {SESSIONS:,} sessions, crossings of averages of {FAST} and {SLOW} closes, {orders.size:,} "
        f"signals, {int(ended['fills']):,} fills, at most {RULES.max_positions} positions; stops, targets, and limits on volume, "
        f"sector, entries and drawdown. The kernel alone, one thread. Sweep: {CASES} stops on the same signals.",
    )
