"""Runs of strategies as they are stored: judged by the ledger, and the current one of a strategy file.

Lives here: `store_judged`, and `NightlyStrategy`, which runs a file's strategy only where it would give something else.
Does not live here: the run itself (`run`), the tables (`backtest/update.py`), the ledger (`backtest/trials.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from pipelines.backtest.actions import InputError
from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.portfolio import BacktestResult
from pipelines.backtest.rules import FillRules
from pipelines.backtest.run_setup import RunSetup
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.strategies.run import strategy_setup
from pipelines.backtest.strategies.tried import trial_of
from pipelines.backtest.trials import Ledger, record_trials
from pipelines.backtest.unchanged import INPUTS, hash_market
from pipelines.backtest.update import add_result, read_inputs
from pipelines.market.tables import TABLES
from pipelines.scanners.universes import Universes
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.step_records import StepRecord, hash_parts


def store_judged(
    lake: Lake, exchange: str, strategy: StrategyFile, result: BacktestResult, instead_of: Sequence[str] = ()
) -> BacktestResult:
    """Put a run's parameter set on the ledger and store the run, judged among its family. The writer's lock is the caller's.

    instead_of: runs that it stands in for.
    """
    trial = trial_of(exchange, strategy, result.returns())
    record_trials(lake, exchange, [trial])
    judged = result.judged(Ledger.read(lake, exchange, trial.family).judge(trial.returns))
    add_result(lake, exchange, judged, instead_of)
    return judged


@dataclass(frozen=True)
class NightlyStrategy:
    """The strategy of a file at pinned versions. declared: names of the home's scanners. universes, costs, fills: of the home."""

    lake: Lake
    exchange: str
    versions: Mapping[str, int]
    strategy: StrategyFile
    declared: frozenset[str]
    universes: Universes
    costs: CostSettings
    fills: FillRules

    @cached_property
    def made_of(self) -> str:
        """A hash of all that the run follows from, the ledger apart: a run says what that held when it was made."""
        return hash_parts(
            hash_market(self.lake, self.exchange, self.versions, INPUTS, self.costs, self.fills),
            self.strategy.as_parameters(),
            self.universes.members.write_csv(),
        )

    def run(self, record: StepRecord, *, anew: bool = False) -> dict[str, Any] | None:
        """The row of the run, stored in place of the earlier one of this file; None where there is no bar to trade on.

        record: of the file's last run. Where that was made of the same and is stored, nothing is computed, unless `anew`.
        Raises as `run_strategy`, and InputError for a scanner that neither the home has nor signals on record.
        """
        stored = self._stored()
        if not anew and len(stored) == 1 and record.holds(self.made_of, stored[0]["run_id"]):
            return stored[0]
        setup = self.setup
        if setup is None:
            return None
        started = time.perf_counter()
        result = setup.run().timed(time.perf_counter() - started)
        judged = store_judged(self.lake, self.exchange, self.strategy, result, [row["run_id"] for row in stored])
        record.write(self.made_of, judged.run_id)
        return judged.run

    @cached_property
    def setup(self) -> RunSetup | None:
        """What the run is made of, read from the lake once; None where there is no bar to trade on. Raises as `run`."""
        inputs = read_inputs(self.lake, self.exchange, self.versions, *self.strategy.scanners)
        unknown = set(self.strategy.scanners) - self.declared - {name for name, _ in inputs.recorded}
        if unknown:
            raise InputError(f"{self.strategy.strategy}: no scanner {', '.join(sorted(unknown))}; `marketlake scanners` lists them")
        return strategy_setup(self.exchange, self.strategy, inputs, self.universes, costs=self.costs, fills=self.fills)

    def _stored(self) -> list[dict[str, Any]]:
        """Rows of runs of this very strategy, whatever they were made of."""
        runs = LakeTable(self.lake.table_uri(self.exchange, "backtest_runs"), TABLES["backtest_runs"]).read()
        mine = self.strategy.as_parameters()
        named = runs.filter(pl.col("algorithm_name") == self.strategy.strategy).to_dicts()
        return [row for row in named if json.loads(row["config_snapshot"])["parameters"].get("file") == mine]
