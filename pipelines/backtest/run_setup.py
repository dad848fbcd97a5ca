"""Everything that a run is made of, so that it can be made again with one thing changed.

Lives here: `RunSetup`, and who of a run's instruments is still there at its end.
Does not live here: the run itself (`portfolio`), which bars and signals a strategy sees (`update`, `strategies/run`), what is
changed and why (`verdict/`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pipelines.backtest.costs import Costs
from pipelines.backtest.fills import GONE_AFTER
from pipelines.backtest.portfolio import BacktestResult, Placing, Strategy, run_backtest
from pipelines.backtest.rules import Rules
from pipelines.backtest.state import Attributes

NOBODY_LEFT = (
    "every instrument of this run still trades at its end: the lake knows nobody who left, so the run may itself be on survivors"
)


@dataclass(frozen=True)
class Survivors:
    """Bars and signals of those who are members at a run's end; `missing` says why they are not known, and then there are none."""

    bars: pl.DataFrame | None = None
    signals: pl.DataFrame | None = None
    missing: str = ""


@dataclass(frozen=True)
class RunSetup:
    """The arguments of `portfolio.run_backtest`, and who survived: see there."""

    bars: pl.DataFrame
    signals: pl.DataFrame
    strategy: Strategy
    rules: Rules
    costs: Costs
    actions: pl.DataFrame | None
    sessions: Sequence[date] = ()
    plan: Placing | None = None
    attributes: Mapping[str, Attributes] = field(default_factory=dict)
    survivors: Survivors = field(default_factory=lambda: Survivors(missing="not asked for"))

    def run(self) -> BacktestResult:
        """The run. Raises as `run_backtest`."""
        return run_backtest(
            self.bars,
            self.signals,
            self.strategy,
            self.rules,
            self.costs,
            self.actions,
            self.sessions,
            self.plan,
            self.attributes,
        )


def still_trading(bars: pl.DataFrame, signals: pl.DataFrame) -> Survivors:
    """Those who have a bar in the last sessions: `fills.GONE_AFTER` without one, and an instrument counts as gone."""
    sessions = bars.get_column("session_date").unique().sort()
    if sessions.is_empty():
        return Survivors(missing="no bar")
    recent = sessions[-min(GONE_AFTER + 1, sessions.len())]
    last = bars.group_by("instrument_id").agg(pl.col("session_date").max())
    alive = last.filter(pl.col("session_date") >= recent).get_column("instrument_id")
    if alive.len() == last.height:
        return Survivors(missing=NOBODY_LEFT)
    kept = pl.col("instrument_id").is_in(alive.implode())
    return Survivors(bars.filter(kept), signals.filter(kept))
