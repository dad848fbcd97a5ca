"""What may stand in a strategy file, and what stands where nothing is said.

Lives here: the typed sections of a file, and the same as rules of the kernel.
Does not live here: reading a file and naming its mistakes (`reading`), what the rules do (`backtest/engine/`).
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.backtest.rules import FillRules, Rules
from pipelines.backtest.strategies.order_plan import OrderPlan

Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AtLeastOne = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Dates(_Section):
    """First and last session, both included."""

    first: Annotated[date | None, Field(alias="from", strict=False)] = None
    last: Annotated[date | None, Field(alias="to", strict=False)] = None


class Sizing(_Section):
    """How much of equity an entry costs.

    fixed_fraction: `fraction`. equal_weight: one part of as many as there may be positions. volatility_target: as much as makes the
    position's own volatility that of `volatility` (annual), by the `window` sessions before, at most `fraction`. price: whether
    units follow from the decision's close or, looking ahead, from the price of the fill.
    """

    method: Literal["fixed_fraction", "equal_weight", "volatility_target"] = "fixed_fraction"
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.1
    volatility: Positive | None = None
    window: Annotated[int, Field(ge=2)] = 60
    price: Literal["decision", "fill"] = "decision"

    @model_validator(mode="after")
    def _target_is_given(self) -> Sizing:
        if (self.method == "volatility_target") != (self.volatility is not None):
            raise ValueError("volatility belongs to the method volatility_target, and that needs it")
        return self


class Orders(_Section):
    """For `sessions` sessions: market, limit (`offset_bps` better than the decision's close), stop (as much worse)."""

    type: Literal["market", "limit", "stop"] = "market"
    offset_bps: NotNegative = 0.0
    sessions: AtLeastOne = 1


class Exits(_Section):
    """When a position is left. Distances are parts of the price; signal_levels: whether a signal's own stop and target count.

    at_end: what is open at the end leaves at the last close, or at the last bar's open.
    """

    stop_loss: Share | None = None
    take_profit: Positive | None = None
    trailing_stop: Share | None = None
    max_sessions: AtLeastOne | None = None
    session_end: Literal["never", "shorts", "all"] = "never"
    opposing_signal: bool = True
    signal_levels: bool = True
    at_end: Literal["close", "open"] = "close"


class Fills(_Section):
    """What an order gets: the next open or, looking ahead, the decision's close; slippage; at most a part of the bar's volume."""

    price: Literal["next_open", "close"] = "next_open"
    slippage_bps: NotNegative = 0.0
    slippage_ticks: NotNegative = 0.0
    volume_share: Annotated[float, Field(gt=0, le=1)] | None = 0.05


class Limits(_Section):
    """What a portfolio may hold: positions, parts of equity in all and in a sector, entries a session; when it stops; margin.

    margin: what positions may cost together, in equities; without it cash never falls below zero by a purchase, unless `overdraft`
    lets the gap between decision and fill do that.
    """

    positions: AtLeastOne = 10
    exposure: Positive | None = None
    sector: Positive | None = None
    entries_per_session: AtLeastOne | None = None
    drawdown: Share | None = None
    margin: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    overdraft: bool = False
    short: bool = False


class CostsSection(_Section):
    """exchange: the home's nightly costs. flat: `bps` a side, at least `minimum` an order. none: nothing."""

    schedule: Literal["exchange", "flat", "none"] = "exchange"
    bps: NotNegative = 0.0
    minimum: NotNegative = 0.0

    @model_validator(mode="after")
    def _figures_are_used(self) -> CostsSection:
        if self.schedule != "flat" and (self.bps or self.minimum):
            raise ValueError("bps and minimum belong to the schedule flat")
        return self


class StrategyFile(_Section):
    """One strategy: whose signals it trades, on what, and how."""

    strategy: Annotated[str, Field(pattern=re.compile(r"^[a-z][a-z0-9_]{2,59}$"))]
    scanners: Annotated[list[str], Field(min_length=1)]
    exchange: str | None = None
    universe: str | Annotated[list[str], Field(min_length=1)] = "all"
    cash: Positive = 1_000_000.0
    signal_sessions: Annotated[int, Field(ge=0)] = 1
    dates: Dates = Dates()
    sizing: Sizing = Sizing()
    orders: Orders = Orders()
    exits: Exits = Exits()
    fills: Fills = Fills()
    limits: Limits = Limits()
    costs: CostsSection = CostsSection()

    def rules(self, home: FillRules) -> Rules:
        """The strategy as rules. home: what the settings say of locked sessions and delistings."""
        equal = self.sizing.method == "equal_weight"
        return Rules(
            initial_cash=self.cash,
            fraction=1.0 / self.limits.positions if equal else self.sizing.fraction,
            max_positions=self.limits.positions,
            max_sessions=self.exits.max_sessions,
            stop_fraction=self.exits.stop_loss,
            target_fraction=self.exits.take_profit,
            trail_fraction=self.exits.trailing_stop,
            kill_drawdown=self.limits.drawdown,
            allow_short=self.limits.short,
            signal_sessions=self.signal_sessions,
            volume_share=self.fills.volume_share,
            locked_move=home.locked_move,
            delisting_haircut=home.delisting_haircut,
            fill_at=self.fills.price,
            slippage_bps=self.fills.slippage_bps,
            slippage_ticks=self.fills.slippage_ticks,
            order_sessions=self.orders.sessions,
            square_off=self.exits.session_end,
            exit_on_signal=self.exits.opposing_signal,
            leverage=self.limits.margin or 1.0,
            max_exposure=self.limits.exposure,
            sector_share=self.limits.sector,
            max_entries=self.limits.entries_per_session,
            overdraw=self.limits.overdraft,
        )

    def order_plan(self) -> OrderPlan:
        """How the strategy's orders are made of signals."""
        return OrderPlan(
            kind=self.orders.type,
            offset=self.orders.offset_bps / 1e4,
            signal_levels=self.exits.signal_levels,
            size_at_fill=self.sizing.price == "fill",
            volatility=self.sizing.volatility,
            window=self.sizing.window,
            most=self.sizing.fraction,
            close_at_last_open=self.exits.at_end == "open",
        )

    def as_parameters(self) -> dict[str, Any]:
        """The whole file with its defaults as plain values, for `config_snapshot` and `run_id`."""
        return self.model_dump(mode="json", by_alias=True)
