"""What `marketlake backtest` does from end to end: the strategy that was asked for, on the published release.

Lives here: `Asked`, `run_and_store` and `try_all`.
Does not live here: the command's arguments and its printing (`backtest.py`), strategies and their runs (`backtest/`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from pipelines.backtest.configured import configured_costs, configured_fills
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.strategies.reading import read_strategy, strategy_of_scanner
from pipelines.backtest.strategies.run import strategy_setup
from pipelines.backtest.strategies.stored import store_judged
from pipelines.backtest.strategies.sweep import read_sweep, sweep_strategy
from pipelines.backtest.strategies.tried import trial_of
from pipelines.backtest.sweep import judge_cases
from pipelines.backtest.trials import Ledger, record_trials
from pipelines.backtest.update import BacktestInputs, read_inputs
from pipelines.backtest.verdict.scanners import try_scanners
from pipelines.backtest.verdict.sentence import conclude
from pipelines.backtest.verdict.stored import store_verdict
from pipelines.cli.console import USAGE, fail
from pipelines.cli.options import day
from pipelines.reports.index import write_index
from pipelines.reports.run_reports import report_run, write_run_report
from pipelines.scanners.project import HomeProject
from pipelines.scanners.universes import read_universes
from pipelines.storage.location import Lake
from pipelines.storage.locks import home_lock
from pipelines.storage.releases import Release, latest_release

if TYPE_CHECKING:
    from pipelines.backtest.portfolio import BacktestResult
    from pipelines.settings import Settings


@dataclass(frozen=True)
class Asked:
    """A strategy file, or a scanner alone, and values by dotted key that replace its own."""

    settings: Settings
    file: Path | None
    scanner: str | None
    changes: Mapping[str, Any]

    @classmethod
    def of(
        cls, settings: Settings, file: Path | None, scanner: str | None, params: list[str], first: str | None, last: str | None
    ) -> Asked:
        """What the command's arguments ask for; wrong ones end it."""
        if (file is None) == (scanner is None):
            fail("give a strategy file or --scanner NAME, one of them", USAGE)
        return cls(settings, None if file is None else _find_file(settings, file), scanner, _changes(params, first, last))

    def strategy(self, changes: Mapping[str, Any]) -> StrategyFile:
        """The strategy, with further changes. Raises StrategyFileError."""
        every = {**self.changes, **changes}
        if self.file is not None:
            return read_strategy(self.file, every)
        return strategy_of_scanner(str(self.scanner), self.settings.backtest_cash, self.settings.backtest_volume_share, every)


@dataclass(frozen=True)
class DoneRun:
    """A run as it was stored, the file of its report, and the sentence that this opens with."""

    result: BacktestResult
    report: Path
    verdict: str


def run_and_store(settings: Settings, mic: str, strategy: StrategyFile) -> DoneRun:
    """Run a strategy, store the run and put its parameter set on the ledger, which judges it; write its report.

    Ends the command where there is nothing to run it on; raises as `run_strategy`.
    """
    release = _release(settings, mic)
    setup = strategy_setup(
        mic,
        strategy,
        _inputs(settings, mic, release, strategy),
        read_universes(settings.universes, settings.liquid_value),
        costs=configured_costs(settings),
        fills=configured_fills(settings),
    )
    if setup is None:
        _fail_without_bars(strategy)
    started = time.perf_counter()
    result = setup.run().timed(time.perf_counter() - started)
    lake, folder = Lake.from_settings(settings), settings.reports_dir
    with home_lock(settings.state_dir, "backtest", settings.lock_wait):
        judged = store_judged(lake, mic, strategy, result)
    provenance = {"release": release.release_id}
    tried = try_scanners(lake, mic, release.versions(mic), HomeProject.from_settings(settings), setup)
    reported = report_run(lake, mic, setup, judged.run, judged.trades, judged.equity, release.versions(mic), provenance, tried)
    with home_lock(settings.state_dir, "backtest", settings.lock_wait):
        store_verdict(lake, mic, judged.run_id, reported.evidence)
    path = write_run_report(reported, folder)
    write_index(folder)
    return DoneRun(judged, path, conclude(reported.evidence).sentence)


def try_all(settings: Settings, mic: str, asked: Asked, sweep: Path) -> list[dict[str, Any]]:
    """A row for every combination of a sweep file; all of them go on the ledger.

    Ends the command as `run_and_store`; raises StrategyFileError.
    """
    cases = [(changes, asked.strategy(changes)) for changes in read_sweep(sweep)]
    first = cases[0][1]
    tried = sweep_strategy(
        mic,
        cases,
        _inputs(settings, mic, _release(settings, mic), first),
        read_universes(settings.universes, settings.liquid_value),
        costs=configured_costs(settings),
        fills=configured_fills(settings),
    )
    if tried is None:
        _fail_without_bars(first)
    with home_lock(settings.state_dir, "backtest", settings.lock_wait):
        lake = Lake.from_settings(settings)
        trials = [trial_of(mic, strategy, result.returns) for (_, strategy), result in zip(cases, tried, strict=True)]
        record_trials(lake, mic, trials)
        ledger = Ledger.read(lake, mic, trials[0].family)
    return judge_cases(tried, ledger).to_dicts()


def _fail_without_bars(strategy: StrategyFile) -> NoReturn:
    fail(f"{strategy.strategy}: no bar of its universe between its dates in the published release", USAGE)


def _release(settings: Settings, mic: str) -> Release:
    release = latest_release(Lake.from_settings(settings))
    if release is None or not release.versions(mic):
        fail(f"{mic} has no release; run `marketlake nightly --exchange {mic}` or `marketlake demo`")
    return release


def _inputs(settings: Settings, mic: str, release: Release, strategy: StrategyFile) -> BacktestInputs:
    inputs = read_inputs(Lake.from_settings(settings), mic, release.versions(mic), *strategy.scanners)
    _check_scanners(settings, strategy, {name for name, _ in inputs.recorded})
    return inputs


def _check_scanners(settings: Settings, strategy: StrategyFile, recorded: set[str]) -> None:
    """End the command where a scanner neither has signals on record nor is one of this home."""
    unknown = [name for name in strategy.scanners if name not in recorded]
    if not unknown:
        return
    declared = HomeProject.from_settings(settings).declared_scanners()
    for name in unknown:
        if name not in declared:
            near = get_close_matches(name, [*declared, *recorded], 1, 0.5)
            fail(f"no scanner {name!r}{f'; did you mean {near[0]}?' if near else ''} (`marketlake scanners` lists them)", USAGE)


def _find_file(settings: Settings, file: Path) -> Path:
    """The file, or the one of that name in the folder of strategies."""
    if file.exists():
        return file
    named = [settings.strategies_dir / f"{file}{ending}" for ending in ("", ".yaml", ".yml")]
    found = [path for path in named if path.is_file()]
    if not found:
        fail(f"no strategy file {file}, neither here nor in {settings.strategies_dir}", USAGE)
    return found[0]


def _changes(params: list[str], first: str | None, last: str | None) -> dict[str, Any]:
    """Values by dotted key; one that is none ends the command."""
    changes: dict[str, Any] = {}
    for param in params:
        key, sign, value = param.partition("=")
        if not sign or not key:
            fail(f"--param {param}: write SECTION.KEY=VALUE, for example exits.stop_loss=0.05", USAGE)
        try:
            changes[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            fail(f"--param {param}: {value!r} is no value", USAGE)
    for key, text, option in (("dates.from", first, "--from"), ("dates.to", last, "--to")):
        if text is not None:
            changes[key] = day(text, option)
    return changes
