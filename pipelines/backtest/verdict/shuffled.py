"""The same rules on shuffled signals: what the strategy does where its signals know nothing.

Lives here: `shuffled_runs`. Does not live here: how a run is made (`portfolio`), what follows (`evidence`).

Each instrument keeps its signals, their sides, scores and the distances of their levels; only when they come is drawn anew, among
the instrument's bars from the first decision of the run to the last. So the shuffled portfolio trades the same instruments as
often, by the same rules, at the same costs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipelines.backtest import statistics
from pipelines.backtest.frames import session_equity
from pipelines.backtest.grid import Grid, Orders, build_grid, offsets_of, place_signals
from pipelines.backtest.limits import place_market
from pipelines.backtest.run_setup import RunSetup
from pipelines.backtest.simulation import cost_sheet_of, simulate

DRAWS = 100


@dataclass(frozen=True)
class ShuffledRuns:
    """Of each run its Sharpe ratio per session (0 where nothing varied), total return, trades, and their win rate (else NaN)."""

    ratios: np.ndarray
    returns: np.ndarray
    trades: np.ndarray
    win_rates: np.ndarray


def shuffled_runs(setup: RunSetup, seed: int, draws: int = DRAWS) -> ShuffledRuns | None:
    """The run again, `draws` times, each with its signals shuffled; the same seed, the same runs. None without an order."""
    grid = build_grid(setup.bars, setup.sessions)
    orders = place_signals(grid, setup.signals, setup.rules.signal_sessions)
    if not orders.orders.size:
        return None
    placed, sheet = place_market(grid, setup.bars, setup.actions, setup.rules), cost_sheet_of(grid, orders, setup.costs)
    place = setup.plan.placing(grid, setup.actions) if setup.plan is not None else (lambda moved: (grid, moved))
    generator = np.random.Generator(np.random.PCG64(seed))
    cash, found = setup.rules.initial_cash, np.zeros((4, draws))
    for k in range(draws):
        seen, moved = place(shuffle_orders(grid, orders, generator))
        _, trades, curve = simulate(seen, moved, setup.rules, sheet, placed, setup.attributes)
        returns = statistics.session_returns(session_equity(grid, curve), cash)
        won = statistics.win_rate(trades["pnl"])
        found[:3, k] = statistics.sharpe_per_session(returns) or 0.0, statistics.total_return(returns) or 0.0, trades.size
        found[3, k] = np.nan if won is None else won
    return ShuffledRuns(*found)


def shuffle_orders(grid: Grid, orders: Orders, generator: np.random.Generator) -> Orders:
    """The orders at other steps. Those of a step stay in the order of their score."""
    rows = orders.orders.copy()
    steps = np.repeat(np.arange(grid.steps), np.diff(orders.offsets))
    first, last = int(steps[0]), int(steps[-1])
    traded = np.isfinite(grid.bars.sizing[first : last + 1])
    moved = np.empty_like(steps)
    for column in np.unique(rows["instrument"]):
        own = np.flatnonzero(rows["instrument"] == column)
        open_steps = first + np.flatnonzero(traded[:, column])
        moved[own] = generator.choice(open_steps, size=own.size, replace=own.size > open_steps.size)
    change = grid.bars.sizing[moved, rows["instrument"]] / grid.bars.sizing[steps, rows["instrument"]]
    rows["stop"] *= change
    rows["target"] *= change
    order = np.lexsort((np.arange(moved.size), -orders.signals.get_column("score").to_numpy(), moved))
    return replace(orders, orders=rows[order], offsets=offsets_of(moved[order], grid.steps))
