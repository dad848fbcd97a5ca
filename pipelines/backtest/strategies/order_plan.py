"""How orders are made of signals: their kind and price, their size, and what closes the last positions.

Lives here: `OrderPlan`. All of it follows from bars up to the decision, but for what says itself that it looks ahead.
Does not live here: at which step a signal acts (`grid`), what then happens (`backtest/engine/`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from pipelines.backtest.actions import effects_of
from pipelines.backtest.grid import Grid, Orders, number_of, offsets_of
from pipelines.backtest.layout import CLOSE, LIMIT, MARKET, ORDER, ORDER_KINDS
from pipelines.backtest.statistics import SESSIONS_PER_YEAR


@dataclass(frozen=True)
class OrderPlan:
    """How a strategy places its orders.

    kind: of `ORDER_KINDS`. offset: part of the decision's close that a limit is better than it, or a stop order worse.
    signal_levels: whether signals' own stops and targets count. size_at_fill: units follow from the next open instead of the
    decision's close. volatility: annual volatility that each position is sized to, by the returns of `window` sessions, at most
    `most` of equity; None for the size that the rules say. close_at_last_open: what is open leaves at the last bar's open.
    """

    kind: str = "market"
    offset: float = 0.0
    signal_levels: bool = True
    size_at_fill: bool = False
    volatility: float | None = None
    window: int = 60
    most: float = 1.0
    close_at_last_open: bool = False

    def place(self, grid: Grid, orders: Orders, actions: pl.DataFrame | None) -> tuple[Grid, Orders]:
        """Grid and orders as the plan has them. actions: as for `actions.effects_of`; a split is no return."""
        return self.placing(grid, actions)(orders)

    def placing(self, grid: Grid, actions: pl.DataFrame | None) -> Callable[[Orders], tuple[Grid, Orders]]:
        """`place` for several lots of orders on one grid: what follows from the bars alone is worked out once."""
        known = None if self.volatility is None else _volatility(grid, actions, self.window)
        seen = grid
        if self.size_at_fill:
            following = np.vstack([grid.bars.open[1:], grid.bars.close[-1:]])
            seen = replace(grid, bars=grid.bars._replace(sizing=following))

        def place(orders: Orders) -> tuple[Grid, Orders]:
            placed = self._placed(grid, orders, known)
            return seen, (_with_closing_orders(seen, placed) if self.close_at_last_open and grid.steps > 1 else placed)

        return place

    def _placed(self, grid: Grid, orders: Orders, known: np.ndarray | None) -> Orders:
        """Orders with their kind, price, levels and size. known: volatilities of `_volatility`."""
        rows = orders.orders.copy()
        steps = np.repeat(np.arange(grid.steps), np.diff(orders.offsets))
        decided = grid.bars.sizing[steps, rows["instrument"]]
        kind = ORDER_KINDS.index(self.kind)
        rows["kind"] = kind
        if kind != MARKET:
            better = 1.0 if kind == LIMIT else -1.0
            rows["price"] = decided * (1.0 - better * rows["side"] * self.offset)
        if not self.signal_levels:
            rows["stop"] = rows["target"] = np.nan
        if self.volatility is not None and known is not None:
            # Within a session its own close is not known yet.
            is_last = np.append(np.diff(grid.session) != 0, True)[steps]
            of_orders = known[grid.session[steps] + is_last, rows["instrument"]]
            # Without enough of a past there is no size, and an order of nothing is refused.
            rows["fraction"] = np.nan_to_num(np.minimum(self.volatility / of_orders, self.most), nan=0.0)
        return replace(orders, orders=rows)

    def as_parameters(self) -> dict[str, Any]:
        """The plan by name, for `config_snapshot` and `run_id`."""
        return asdict(self)


def _with_closing_orders(grid: Grid, orders: Orders) -> Orders:
    """The orders, and one for every instrument that closes it at the last bar; what else was decided then is left out."""
    last = grid.steps - 2
    kept = orders.orders[: orders.offsets[last]]
    closing = np.zeros(len(grid.instruments), dtype=ORDER)
    closing["instrument"], closing["side"] = np.arange(closing.size), CLOSE
    for name in ("stop", "target", "price", "fraction"):
        closing[name] = np.nan
    steps = np.concatenate([np.repeat(np.arange(last), np.diff(orders.offsets[: last + 1])), np.full(closing.size, last)])
    return replace(orders, orders=np.concatenate([kept, closing]), offsets=offsets_of(steps, grid.steps))


def _volatility(grid: Grid, actions: pl.DataFrame | None, window: int) -> np.ndarray:
    """Annual volatility by instrument, of the simple returns before each session and after the last: float64[S + 1, N].

    NaN where fewer than `window` returns are known. A split or demerger is no return; where its ratio is unknown, neither is the
    session.
    """
    last = np.append(np.nonzero(np.diff(grid.session))[0], grid.steps - 1)
    close = grid.bars.sizing[last]
    factor = np.ones_like(close)
    column = {name: i for i, name in enumerate(grid.instruments)}
    effects = effects_of(actions).filter(pl.col("instrument_id").is_in(list(column)))
    days = number_of(np.array(grid.session_dates, dtype="datetime64[D]"), effects["ex_date"])
    for day, name, left in zip(days, effects["instrument_id"], effects["price_factor"], strict=True):
        if day < factor.shape[0]:
            factor[day, column[name]] *= math.nan if left is None else left
    returns = np.full_like(close, np.nan)
    returns[1:] = close[1:] / (close[:-1] * factor[1:]) - 1.0
    deviation = np.full((close.shape[0] + 1, close.shape[1]), np.nan)
    for t in range(window + 1, deviation.shape[0]):
        deviation[t] = returns[t - window : t].std(axis=0, ddof=1)
    return deviation * math.sqrt(SESSIONS_PER_YEAR)
