"""A nightly backtest whose inputs and tables are those of the last one is read, and any other is run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.backtest import statistics, unchanged
from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.rules import FillRules
from pipelines.backtest.signal_performance.performance import ScannerId
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.strategies.reading import strategy_of_scanner
from pipelines.backtest.strategies.tried import trial_of
from pipelines.backtest.trials import record_trials
from pipelines.backtest.unchanged import STORED, NightlyBacktest
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.step_records import StepRecord
from pipelines.storage.upsert import replace_rows
from tests.support.research_market import MIC, SESSIONS, bars, filled, signals


class Night:
    """A lake and its record; `runs` counts how often the backtest was computed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lake, self.record = Lake(str(folder / "lake")), StepRecord.of(folder / "state", MIC, "backtest_runs")
        self.runs, run = 0, unchanged.run_nightly

        def counted(*given: Any, **named: Any) -> Any:
            self.runs += 1
            return run(*given, **named)

        monkeypatch.setattr(unchanged, "run_nightly", counted)
        self.put("bars_daily", bars())
        self.put("scanner_signals", signals())
        self.settings: dict[str, Any] = {
            "declared": {"s": ScannerId(1, "h")},
            "cash": 1e6,
            "costs": CostSettings(),
            "fills": FillRules(),
        }

    def put(self, table: str, rows: pl.DataFrame) -> None:
        parts = None if TABLES[table].partition_by is None else [2024]
        replace_rows(self.lake, MIC, TABLES[table], rows, lambda stored: pl.repeat(True, stored.height, eager=True), parts, {})

    def run(self, **named: Any) -> Any:
        names = (*unchanged.READ, *STORED)
        heads = {name: LakeTable(self.lake.table_uri(MIC, name), TABLES[name]).version() for name in names}
        versions = {name: version for name, version in heads.items() if version is not None}
        return NightlyBacktest(self.lake, MIC, versions, "s", **self.settings).run(self.record, **named)

    def stored(self) -> list[pl.DataFrame]:
        return [LakeTable(self.lake.table_uri(MIC, n), TABLES[n]).read().select(TABLES[n].reproducible()) for n in STORED]


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    return Night(tmp_path, monkeypatch)


def test_the_same_night_again_reads_what_it_stored(night: Night) -> None:
    run, trades = night.run()
    before = night.stored()
    again, same_trades = night.run()

    assert trades.height > 0
    assert night.runs == 1
    assert again.keys() - run.keys() == {"release_id"}
    assert {name: again[name] for name in run} == run
    assert same_trades.equals(trades)
    assert all(left.equals(right) for left, right in zip(before, night.stored(), strict=True))


def dearer(night: Night) -> None:
    night.put("bars_daily", bars().with_columns(close=pl.col("close") + (pl.int_range(pl.len()) == 9).cast(pl.Float64) * 0.01))


def one_signal_less(night: Night) -> None:
    night.put("scanner_signals", signals()[1:])


def another_action(night: Night) -> None:
    rows = {"instrument_id": [f"{MIC}:A"], "ex_date": [SESSIONS[20].session_date], "action": ["dividend"], "amount": [1.0]}
    night.put("corporate_actions", filled("corporate_actions", pl.DataFrame(rows).with_columns(session_date="ex_date")))


def other(**settings: Any) -> Callable[[Night], None]:
    return lambda night: night.settings.update(settings)


@pytest.mark.parametrize(
    "change",
    [
        dearer,
        one_signal_less,
        another_action,
        other(cash=2e6),
        other(costs=CostSettings(9.0)),
        other(fills=replace(FillRules(), volume_share=0.05)),
        other(declared={"s": ScannerId(1, "h"), "t": ScannerId(1, "h")}),
    ],
)
def test_a_changed_input_is_computed_and_gives_what_a_home_without_a_record_gives(
    night: Night, change: Callable[[Night], None]
) -> None:
    night.run()
    change(night)
    night.run()
    incremental = night.stored()
    assert night.runs == 2

    night.record.path.unlink()
    night.run()
    assert night.runs == 3
    assert all(left.equals(right) for left, right in zip(incremental, night.stored(), strict=True))


@pytest.mark.parametrize("content", ["", "{", '{"inputs": "', "[]", "{}", '{"inputs": "x", "outputs": "x"}'])
def test_a_record_that_is_half_written_or_of_something_else_is_not_trusted(night: Night, content: str) -> None:
    night.run()
    night.record.path.write_text(content)
    night.run()
    assert night.runs == 2


def test_a_full_night_computes_anew(night: Night) -> None:
    night.run()
    night.run(anew=True)
    assert night.runs == 2


def test_other_code_computes_anew(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    night.run()
    monkeypatch.setattr(unchanged, "code_version", lambda: "other")
    night.run()
    assert night.runs == 2


def test_tables_that_somebody_else_wrote_are_made_again(night: Night) -> None:
    night.run()
    expected = night.stored()
    night.put("backtest_trades", LakeTable(night.lake.table_uri(MIC, "backtest_trades"), TABLES["backtest_trades"]).read()[1:])
    night.run()
    assert night.runs == 2
    assert all(left.equals(right) for left, right in zip(expected, night.stored(), strict=True))


def test_a_lake_that_counts_the_same_versions_of_other_rows_is_another(night: Night) -> None:
    """As after a restore, with the state left behind."""
    night.run()
    shutil.rmtree(night.lake.table_uri(MIC, "bars_daily"))
    dearer(night)
    assert LakeTable(night.lake.table_uri(MIC, "bars_daily"), TABLES["bars_daily"]).version() == 1
    night.run()
    assert night.runs == 2


def tried(night: Night, *strategies: StrategyFile) -> None:
    days = [session.session_date for session in SESSIONS]
    noise = (np.random.default_rng(k).normal(0, 0.01, len(days)) for k in range(len(strategies)))
    runs = (pl.DataFrame({"session_date": days, "ret": values}) for values in noise)
    record_trials(night.lake, MIC, [trial_of(MIC, one, returns) for one, returns in zip(strategies, runs, strict=True)])


def test_parameter_sets_of_the_scanners_family_deflate_the_nightly_run_and_no_others_do(night: Night) -> None:
    night.settings["declared"] = {name: ScannerId(1, "h") for name in "stuv"}
    run, _ = night.run()
    assert run["trials"] == 4
    assert run["deflated_sharpe"] == statistics.deflated_sharpe(returns_of(night), 4)
    assert run["overfitting_probability"] is None

    nightly = strategy_of_scanner("s", night.settings["cash"], FillRules().volume_share)
    stops = [strategy_of_scanner("s", 1e6, 0.05, {"exits.stop_loss": part}) for part in (0.01, 0.02)]
    tried(night, nightly, strategy_of_scanner("t", 1e6, 0.05))
    same, _ = night.run()
    assert (same["trials"], same["deflated_sharpe"]) == (4, run["deflated_sharpe"])
    tried(night, *stops)
    more, _ = night.run()
    assert (night.runs, more["trials"]) == (3, 6)
    assert more["deflated_sharpe"] < run["deflated_sharpe"]


def returns_of(night: Night) -> np.ndarray:
    equity = LakeTable(night.lake.table_uri(MIC, "backtest_equity"), TABLES["backtest_equity"]).read().sort("session_date")
    return statistics.session_returns(equity.get_column("equity").to_numpy(), night.settings["cash"])
