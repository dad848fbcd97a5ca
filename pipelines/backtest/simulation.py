"""The kernel over a whole grid.

Lives here: `simulate`, and the costs of every step and instrument.
Does not live here: what happens at a bar (`engine/`), the frames and figures of a run (`portfolio`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np

from pipelines.backtest.charge_table import CostsError
from pipelines.backtest.costs import Costs, CostSheet
from pipelines.backtest.grid import Grid, Orders
from pipelines.backtest.limits import PlacedMarket
from pipelines.backtest.rules import Rules
from pipelines.backtest.state import Attributes, History, new_log, new_state


def simulate(
    grid: Grid,
    orders: Orders,
    rules: Rules,
    costs: CostSheet,
    placed: PlacedMarket,
    attributes: Mapping[str, Attributes] | None = None,
) -> tuple[np.void, np.ndarray, np.ndarray]:
    """The kernel over a whole grid: (account record, `TRADE` rows, float64[T, 3] of equity, gross value and cash per step)."""
    from pipelines.backtest.engine.step import run

    state = new_state(rules.initial_cash, len(grid.instruments), _attributes(grid, costs, attributes or {}))
    log = new_log(2 * orders.orders.size, orders.orders.size)
    curve = np.zeros((grid.steps, 3))
    history = History(grid.number, grid.bars, placed.limits, costs.rows, placed.events, placed.event_offsets)
    run(state, history, orders.orders, orders.offsets, rules.compiled(), log, curve)
    account = state.account[0]
    return account, log.trades[: int(account["trades"])], curve


def cost_sheet_of(grid: Grid, orders: Orders, costs: Costs) -> CostSheet:
    """The kernel's costs of every step and instrument.

    Raises CostsError, naming the date, where a signal would be traded at a date that the schedule does not cover.
    """
    dates = [grid.session_dates[k] for k in grid.session]
    sheet = costs.sheet(dates, grid.instruments)
    decided = np.repeat(np.arange(grid.steps), np.diff(orders.offsets))
    uncovered = decided[np.isnan(sheet.rows[decided]).any(axis=(1, 2, 3))]
    if uncovered.size:
        day: date = dates[int(uncovered[0])]
        raise CostsError(
            f"costs: no rates in force at {day}, where a signal would be traded ({costs.as_parameters()}). Start later, add dated "
            "lines for that time to the table, have its first rates assumed (before_table, for a nightly run "
            "MARKETLAKE_BACKTEST_BEFORE_COST_TABLE=assume), or use FlatCosts."
        )
    # Dates without rates hold no orders; zeros keep NaN out of the arithmetic there.
    return replace(sheet, rows=np.ascontiguousarray(np.nan_to_num(sheet.rows, nan=0.0, posinf=np.inf)))


def _attributes(grid: Grid, costs: CostSheet, known: Mapping[str, Attributes]) -> Attributes:
    """Attributes of the grid's instruments: those that are not known have one class, one sector, lots of one unit."""
    rows = [known.get(name, Attributes()) for name in grid.instruments]
    return Attributes(
        costs.classes,
        sector=np.array([row.sector for row in rows]),
        lot=np.array([row.lot for row in rows]),
        tick=np.array([row.tick for row in rows]),
    )
