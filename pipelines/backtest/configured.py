"""Costs and fills as a home has configured them.

Lives here: from settings to `CostSettings` and `FillRules`, for nightly runs and the command line alike.
Does not live here: the settings (`pipelines/settings.py`), what costs and rules do (`exchange_costs.py`, `rules.py`).
"""

from __future__ import annotations

from typing import Protocol

from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.rules import FillRules


class BacktestSettings(Protocol):
    """What of a home's settings costs and fills are made of."""

    @property
    def backtest_cost_bps(self) -> float:
        """Broker and slippage, basis points a side."""

    @property
    def backtest_depository_charge(self) -> float:
        """Rupees per instrument and day of a delivery sale."""

    @property
    def backtest_state_stamp_bps(self) -> float:
        """Stamp duty before 2020-07-01, basis points a side."""

    @property
    def backtest_before_cost_table(self) -> str:
        """Dates before a cost table: assume or refuse."""

    @property
    def backtest_volume_share(self) -> float:
        """Most of a bar's volume that an entry takes."""

    @property
    def locked_move(self) -> float:
        """Move from which a session at one price counts as locked."""

    @property
    def delisting_haircut(self) -> float:
        """Part of its last price that a delisted share loses."""


def configured_costs(settings: BacktestSettings) -> CostSettings:
    """What backtests and the track record charge."""
    return CostSettings(
        bps=settings.backtest_cost_bps,
        depository_charge=settings.backtest_depository_charge,
        state_stamp_bps=settings.backtest_state_stamp_bps,
        before_table=settings.backtest_before_cost_table,
    )


def configured_fills(settings: BacktestSettings) -> FillRules:
    """What limits fills in backtests and the track record."""
    return FillRules(settings.backtest_volume_share, settings.locked_move, settings.delisting_haircut)
