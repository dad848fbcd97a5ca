"""A nightly backtest that is run only where it would give anything else than what is stored.

Lives here: `NightlyBacktest`: everything that a run follows from, as one hash, and the stored run where the hash is the same.
Does not live here: the run and its tables (`update.py`), the record of the last one (`storage/step_records.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import polars as pl

from pipelines.backtest.exchange_costs import CostSettings, tables_fingerprint
from pipelines.backtest.rules import FillRules
from pipelines.backtest.run_setup import RunSetup
from pipelines.backtest.signal_performance.performance import ScannerId
from pipelines.backtest.strategies.reading import strategy_of_scanner
from pipelines.backtest.strategies.tried import parameters_of
from pipelines.backtest.trials import LEDGER, Ledger, family_of, trial_id_of
from pipelines.backtest.update import (
    BacktestInputs,
    count_trials,
    current_run,
    nightly_setup,
    read_inputs,
    run_nightly,
    store_result,
)
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.package_data import code_version
from pipelines.storage.location import Lake
from pipelines.storage.step_records import StepRecord, hash_heads, hash_parts, hash_tables

#: Tables that a run is made of (bars of minutes tell only which provisional sessions there were), and those that it stores.
INPUTS = ("bars_daily", "corporate_actions", "instruments", "price_flags", "scanner_signals")
READ = (*INPUTS, *LEDGER)
STORED = ("backtest_runs", "backtest_trades", "backtest_equity")


@dataclass(frozen=True)
class NightlyBacktest:
    """The backtest of a scanner at pinned versions. declared: the home's scanners. cash, costs, fills: as of `run_nightly`."""

    lake: Lake
    exchange: str
    versions: Mapping[str, int]
    scanner: str
    declared: Mapping[str, ScannerId]
    cash: float
    costs: CostSettings
    fills: FillRules

    @cached_property
    def made_of(self) -> str:
        """A hash of all that the run follows from: content of tables, calendar, scanners, settings, code."""
        return hash_parts(
            hash_market(self.lake, self.exchange, self.versions, READ, self.costs, self.fills),
            self.scanner,
            {name: asdict(identity) for name, identity in self.declared.items()},
            self.cash,
        )

    def run(self, record: StepRecord, *, anew: bool = False) -> tuple[dict[str, Any], pl.DataFrame] | None:
        """The row of the run and its trades, stored; None when there is no bar to trade on.

        record: of the last run of this exchange. Where that was made of the same, and its tables are as it left them, they are read
        and nothing is computed, unless `anew`.
        """
        if not anew and record.holds(self.made_of, hash_heads(self.lake, self.exchange, STORED)):
            stored = current_run(self.lake, self.exchange, self.scanner)
            if stored is not None:
                return stored[0], stored[1].sort("trade_number")
        inputs = read_inputs(self.lake, self.exchange, self.versions, self.scanner)
        ledger = self._ledger(count_trials(self.declared, inputs.recorded))
        result = run_nightly(
            self.exchange, inputs, self.scanner, cash=self.cash, costs=self.costs, fills=self.fills, trials=ledger.trials
        )
        if result is None:
            return None
        result = result.judged(ledger.judge(result.returns()))
        store_result(self.lake, self.exchange, result)
        record.write(self.made_of, hash_heads(self.lake, self.exchange, STORED))
        return result.run, result.trades

    def setup(self, inputs: BacktestInputs) -> RunSetup | None:
        """What the run is made of; None when there is no bar. inputs: of `read_inputs` with the scanner."""
        return nightly_setup(self.exchange, inputs, self.scanner, cash=self.cash, costs=self.costs, fills=self.fills)

    def _ledger(self, scanners: int) -> Ledger:
        """The scanner's family beside the scanners that nightly runs evaluate, one of which by the very rules of this run."""
        family = family_of([self.scanner])
        same = strategy_of_scanner(self.scanner, self.cash, self.fills.volume_share)
        own = trial_id_of(self.exchange, family, parameters_of(same))
        return Ledger.read(self.lake, self.exchange, family, self.versions).with_besides(scanners, own)


def hash_market(
    lake: Lake, exchange: str, versions: Mapping[str, int], tables: Iterable[str], costs: CostSettings, fills: FillRules
) -> str:
    """A hash of what any run at these versions follows from: code, content of `tables`, calendar, costs and fills."""
    return hash_parts(
        code_version(),
        exchange,
        hash_tables(lake, exchange, {name: versions.get(name) for name in tables}),
        traded_calendar(lake, exchange, versions).frame().write_csv(),
        asdict(costs),
        asdict(fills),
        tables_fingerprint(exchange),
    )
