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
    generator, shuffler = np.random.Generator(np.random.PCG64(seed)), Shuffler(grid, orders)
    cash, found = setup.rules.initial_cash, np.zeros((4, draws))
    for k in range(draws):
        seen, moved = place(shuffler.draw(generator))
        _, trades, curve = simulate(seen, moved, setup.rules, sheet, placed, setup.attributes)
        returns = statistics.session_returns(session_equity(grid, curve), cash)
        won = statistics.win_rate(trades["pnl"])
        found[:3, k] = statistics.sharpe_per_session(returns) or 0.0, statistics.total_return(returns) or 0.0, trades.size
        found[3, k] = np.nan if won is None else won
    return ShuffledRuns(*found)


class Shuffler:
    """Draws other steps for a run's orders, as often as it is asked."""

    def __init__(self, grid: Grid, orders: Orders) -> None:
        self._grid, self._orders = grid, orders
        self._steps = np.repeat(np.arange(grid.steps), np.diff(orders.offsets))
        first, last = int(self._steps[0]), int(self._steps[-1])
        # Cells with a bar, instrument by instrument: those of an instrument lie together, from its start on.
        columns, steps = np.nonzero(np.isfinite(grid.bars.sizing[first : last + 1]).T)
        starts = np.searchsorted(columns, np.arange(len(grid.instruments) + 1))
        self._open_steps = first + steps
        of_orders = orders.orders["instrument"]
        self._start, self._room = starts[of_orders], np.diff(starts)[of_orders]
        self._priority = -orders.signals.get_column("score").to_numpy()
        self._crowded = self._find_crowded()
        crowded = np.concatenate([*self._crowded, np.zeros(0, dtype=np.int64)])
        self._sparse = np.setdiff1d(np.arange(of_orders.size), crowded)

    def draw(self, generator: np.random.Generator) -> Orders:
        """The orders at other steps, each instrument's at different ones. Those of a step stay in the order of their score."""
        cells = self._start.copy()
        for own in self._crowded:
            # Of more orders than there are bars, some share one.
            cells[own] += np.resize(generator.permutation(self._room[own[0]]), own.size)
        again = self._sparse
        while again.size:
            cells[again] = self._start[again] + (generator.random(again.size) * self._room[again]).astype(np.int64)
            again = self._sparse[_repeated(cells[self._sparse])]
        moved, rows = self._open_steps[cells], self._orders.orders.copy()
        sizing = self._grid.bars.sizing
        change = sizing[moved, rows["instrument"]] / sizing[self._steps, rows["instrument"]]
        rows["stop"] *= change
        rows["target"] *= change
        order = np.lexsort((np.arange(moved.size), self._priority, moved))
        return replace(self._orders, orders=rows[order], offsets=offsets_of(moved[order], self._grid.steps))

    def _find_crowded(self) -> list[np.ndarray]:
        """Orders of each instrument that has them at more than a third of its bars: drawing until they differ would take long."""
        instruments = self._orders.orders["instrument"]
        counts = np.bincount(instruments, minlength=len(self._grid.instruments))
        crowded = np.unique(instruments[3 * counts[instruments] > self._room])
        return [np.flatnonzero(instruments == column) for column in crowded]


def _repeated(cells: np.ndarray) -> np.ndarray:
    """Positions of cells that stand before in the array already."""
    _, first = np.unique(cells, return_index=True)
    again = np.ones(cells.size, dtype=bool)
    again[first] = False
    return np.flatnonzero(again)
