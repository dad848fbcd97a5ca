"""Strategy files of the home as assets: each is backtested with the night's sessions.

Lives here: which assets there are, and what their pages show.
Does not live here: what a file may hold (`backtest/strategies/file.py`), the run, and when one is needed
(`backtest/strategies/stored.py`).

A file that cannot be used stops nothing: its asset says so by a failed check that warns, and the night goes on.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipelines.backtest.actions import InputError
from pipelines.backtest.charge_table import CostsError
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.strategies.reading import StrategyFileError, read_strategy
from pipelines.backtest.strategies.stored import NightlyStrategy
from pipelines.build.prepare import current_plan
from pipelines.market.tables import TABLES
from pipelines.orchestration.keys import RESEARCH, STRATEGY_PREFIX, table_key
from pipelines.orchestration.metadata import link, picture, rounded, schema_metadata
from pipelines.orchestration.resources import MarketlakeResource, WriterLock
from pipelines.scanners.universes import UniverseError
from pipelines.storage.step_records import StepRecord

if TYPE_CHECKING:
    from pipelines.reports.run_reports import StrategyReport

#: The versions of tables that a run of an exchange works on.
Pinned = Callable[[MarketlakeResource, str], dict[str, int]]
_CHECK = "can_be_run"
_FIGURES = ("trades", "total_return", "cagr", "max_drawdown", "sharpe_ratio", "deflated_sharpe", "trials", "costs")


def strategy_files(folder: Path) -> dict[str, Path]:
    """Strategy files of a folder by the name of their asset; none where there is no folder."""
    named: dict[str, Path] = {}
    for path in sorted(folder.glob("*.y*ml")):
        if path.suffix not in (".yaml", ".yml"):
            continue
        plain, whole = (f"{STRATEGY_PREFIX}{re.sub('[^a-z0-9_]', '_', text.lower())}" for text in (path.stem, path.name))
        named[plain if plain not in named else whole] = path
    return named


def strategy_assets(mic: str, folder: Path, pinned: Pinned) -> list[dg.AssetsDefinition]:
    """An asset for every strategy file that is for this exchange, or cannot be read."""
    return [_strategy(mic, name, path, pinned) for name, path in strategy_files(folder).items() if _is_for(mic, path)]


def _is_for(mic: str, path: Path) -> bool:
    try:
        return read_strategy(path).exchange in (None, mic)
    except StrategyFileError:
        # Its asset tells what is wrong with it.
        return True


def _strategy(mic: str, name: str, path: Path, pinned: Pinned) -> dg.AssetsDefinition:
    key = table_key(mic, name)

    @dg.asset(
        key=key,
        # After the nightly backtest: both write its tables.
        deps=[table_key(mic, t) for t in ("scanner_signals", "bars_daily", "corporate_actions", "price_flags", "backtest_runs")],
        group_name=RESEARCH,
        kinds={"delta", "numba"},
        description=f"Backtest of the strategy file {path.name}, judged among all parameter sets ever tried of its family. A run "
        "in backtest_runs, backtest_trades and backtest_equity, in place of the one before.",
        metadata={"dagster/column_schema": schema_metadata(TABLES["backtest_runs"]), "file": dg.MetadataValue.path(str(path))},
        check_specs=[dg.AssetCheckSpec(_CHECK, asset=key, description="The file is a strategy that the released data can hold.")],
    )
    # Where an asset has a check, Dagster knows the bare class only.
    def strategy(context: dg.AssetExecutionContext, marketlake: MarketlakeResource, lock: WriterLock) -> dg.MaterializeResult:
        try:
            done = _run(marketlake, mic, name, read_strategy(path), pinned(marketlake, mic))
        except (StrategyFileError, InputError, UniverseError, CostsError) as error:
            context.log.warning(str(error))
            return dg.MaterializeResult(metadata={"note": "not run"}, check_results=[_check_result(key, str(error))])
        if done is None:
            return dg.MaterializeResult(
                metadata={"trades": 0}, check_results=[_check_result(key, "no bar of its universe between its dates")]
            )
        from pipelines.reports.picture import equity_picture

        row, report = done
        figures = {figure: row[figure] for figure in _FIGURES if row[figure] is not None}
        image = equity_picture(report.equity, report.initial_cash, f"{mic} {row['algorithm_name']}")
        return dg.MaterializeResult(
            metadata={
                "run_id": row["run_id"],
                "report": link(report.path),
                "equity": picture(image, "equity and drawdown"),
                **rounded(figures),
            },
            check_results=[_check_result(key, None)],
        )

    return strategy


def _run(
    marketlake: MarketlakeResource, mic: str, name: str, strategy: StrategyFile, versions: dict[str, int]
) -> "tuple[dict[str, Any], StrategyReport] | None":
    """The row of the run and its report; None where there is no bar to trade on."""
    from pipelines.reports.run_reports import write_strategy_report

    project = marketlake.project
    declared = frozenset(project.declared_scanners())
    nightly = NightlyStrategy(
        marketlake.lake, mic, versions, strategy, declared, project.universes(), marketlake.costs, marketlake.fill_rules
    )
    records = [StepRecord.of(marketlake.state_dir, mic, step) for step in (name, f"{name}_report")]
    is_full = bool(current_plan(marketlake.state_dir, mic)["full"])
    row = nightly.run(records[0], anew=is_full)
    if row is None:
        return None
    return row, write_strategy_report(nightly, name, row, marketlake.reports_dir, records[1], anew=is_full)


def _check_result(key: dg.AssetKey, problem: str | None) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=_CHECK, asset_key=key, passed=problem is None, severity=dg.AssetCheckSeverity.WARN, description=problem
    )
