"""The nightly run of a strategy file: stored in place of the one before, and left alone where nothing would change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.backtest.actions import InputError
from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.rules import FillRules
from pipelines.backtest.strategies import stored
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.strategies.run import run_strategy
from pipelines.backtest.strategies.stored import NightlyStrategy, store_judged
from pipelines.backtest.trials import Ledger
from pipelines.market.tables import TABLES
from pipelines.scanners.universes import read_universes
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.step_records import StepRecord
from pipelines.storage.upsert import replace_rows
from tests.support.research_market import MIC, SESSIONS, bars, signals


class Nights:
    """A lake, and nights on it; `runs` counts how often a strategy was computed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lake, self.record = Lake(str(folder / "lake")), StepRecord.of(folder / "state", MIC, "strategy_a")
        self.runs, run = 0, stored.strategy_setup

        def counted(*given: Any, **named: Any) -> Any:
            self.runs += 1
            return run(*given, **named)

        monkeypatch.setattr(stored, "strategy_setup", counted)
        self.put("bars_daily", bars()[:-1])
        self.put("scanner_signals", signals())

    def put(self, table: str, rows: pl.DataFrame) -> None:
        replace_rows(self.lake, MIC, TABLES[table], rows, lambda old: pl.repeat(True, old.height, eager=True), [2024], {})

    def night(self, strategy: StrategyFile | None = None, **named: Any) -> NightlyStrategy:
        heads = {name: LakeTable(self.lake.table_uri(MIC, name), TABLES[name]).version() for name in TABLES}
        versions = {name: version for name, version in heads.items() if version is not None}
        universes = read_universes(None, 1e7)
        given = {"declared": frozenset("s"), "universes": universes, "costs": CostSettings(), "fills": FillRules()} | named
        return NightlyStrategy(self.lake, MIC, versions, strategy or strategy_of(), **given)

    def stored(self) -> pl.DataFrame:
        return LakeTable(self.lake.table_uri(MIC, "backtest_runs"), TABLES["backtest_runs"]).read()


def strategy_of(**keys: Any) -> StrategyFile:
    return StrategyFile.model_validate({"strategy": "abc", "scanners": ["s"], **keys})


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    return Nights(tmp_path, monkeypatch)


def test_the_same_night_again_reads_what_it_stored_and_a_full_one_computes(nights: Nights) -> None:
    first = nights.night().run(nights.record)
    assert first is not None
    assert first["trades"] > 0
    again = nights.night().run(nights.record)
    assert again is not None
    assert {name: again[name] for name in first} == first
    assert nights.runs == 1
    nights.night().run(nights.record, anew=True)
    assert nights.runs == 2


def test_a_new_session_replaces_the_run_and_is_no_further_trial(nights: Nights) -> None:
    first = nights.night().run(nights.record)
    nights.put("bars_daily", bars())
    second = nights.night().run(nights.record)
    assert first is not None
    assert second is not None
    assert (first["end_date"], second["end_date"]) == (SESSIONS[-2].session_date, SESSIONS[-1].session_date)
    assert nights.stored().get_column("run_id").to_list() == [second["run_id"]]
    assert (second["trials"], Ledger.read(nights.lake, MIC, "s").trials) == (1, 1)
    for table in ("backtest_trades", "backtest_equity"):
        rows = LakeTable(nights.lake.table_uri(MIC, table), TABLES[table]).read()
        assert rows.get_column("run_id").unique().to_list() == [second["run_id"]]


def test_another_file_or_a_changed_one_is_a_run_of_its_own_and_a_further_trial(nights: Nights) -> None:
    nights.night().run(nights.record)
    other = nights.night(strategy_of(limits={"positions": 3})).run(nights.record)
    assert other is not None
    assert other["trials"] == 2
    assert nights.stored().height == 2


@pytest.mark.parametrize("change", [{"costs": CostSettings(9.0)}, {"fills": FillRules(delisting_haircut=0.5)}])
def test_other_settings_of_the_home_compute_anew(nights: Nights, change: dict[str, Any]) -> None:
    nights.night().run(nights.record)
    nights.night(**change).run(nights.record)
    assert (nights.runs, nights.stored().height) == (2, 1)


def test_a_run_that_is_gone_is_made_again(nights: Nights) -> None:
    nights.night().run(nights.record)
    before, table = nights.stored(), TABLES["backtest_runs"]
    replace_rows(nights.lake, MIC, table, before[:0], lambda old: pl.repeat(True, old.height, eager=True), None, {})
    nights.night().run(nights.record)
    assert nights.stored().select(table.reproducible()).equals(before.select(table.reproducible()))


def test_no_bar_to_trade_on_stores_nothing_and_an_unknown_scanner_is_named(nights: Nights) -> None:
    assert nights.night(strategy_of(dates={"from": "2025-01-01"})).run(nights.record) is None
    with pytest.raises(InputError, match="abc: no scanner nope"):
        nights.night(strategy_of(scanners=["s", "nope"])).run(nights.record)
    assert nights.stored().is_empty()


def test_what_the_command_stores_stays_beside_the_nights_run(nights: Nights) -> None:
    nights.night().run(nights.record)
    asked = nights.night(strategy_of(cash=5e5))
    inputs = stored.read_inputs(nights.lake, MIC, asked.versions, "s")
    result = run_strategy(MIC, asked.strategy, inputs, asked.universes, costs=asked.costs, fills=asked.fills)
    assert result is not None
    assert store_judged(nights.lake, MIC, asked.strategy, result).run["trials"] == 2
    assert nights.stored().height == 2
