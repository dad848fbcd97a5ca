"""Strategies as entries of the ledger of parameter sets.

Lives here: which keys of a strategy make a parameter set.
Does not live here: the ledger (`backtest/trials.py`), what may stand in a strategy (`file`).
"""

from __future__ import annotations

from typing import Any

import polars as pl

from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.trials import Trial, family_of

#: Keys that choose nothing: the name, what the family says, and the window, since another one is no other rule.
_NO_CHOICE = ("strategy", "scanners", "exchange", "dates")


def parameters_of(strategy: StrategyFile) -> dict[str, Any]:
    """The parameter set of a strategy, defaults included."""
    return {key: value for key, value in strategy.as_parameters().items() if key not in _NO_CHOICE}


def trial_of(exchange: str, strategy: StrategyFile, returns: pl.DataFrame) -> Trial:
    """A run of a strategy for the ledger. returns: of `BacktestResult.returns`."""
    return Trial(exchange, family_of(strategy.scanners), strategy.strategy, parameters_of(strategy), returns)
