"""Stages `research` and `release`: backtest and risk report of a scanner, track record of all, the release that publishes it.

Lives here: the last assets of an exchange's nightly run.
Does not live here: the backtest, the report, the release (`backtest/`, `reports/`, `storage/`).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl

from pipelines.backtest.signal_performance.performance import scanner_ids
from pipelines.backtest.unchanged import NightlyBacktest
from pipelines.backtest.update import read_inputs
from pipelines.build.derived_tables import DERIVED, versions_of
from pipelines.build.prepare import current_plan
from pipelines.ingest.freshness import require_bars
from pipelines.market.tables import TABLES
from pipelines.orchestration.assets.models import OF_BARS
from pipelines.orchestration.assets.scoreboard import scoreboard_asset
from pipelines.orchestration.assets.strategies import Pinned, strategy_assets
from pipelines.orchestration.keys import BACKTESTED_SCANNER, RELEASE, RESEARCH, table_key
from pipelines.orchestration.metadata import link, picture, preview, rounded, row_count, schema_metadata
from pipelines.orchestration.release import publish_release, release_tables
from pipelines.orchestration.resources import MarketlakeResource, WriterLock
from pipelines.storage.delta import LakeTable
from pipelines.storage.step_records import StepRecord

#: Ingested tables that a release holds and no model reads.
_ALONGSIDE = ("instruments", "instrument_aliases", "bars_1m_extended", "bars_other_series")

#: Derived tables that a build makes for every session. The others come from the same step, so a release waits for them as well;
#: as dependencies they would skip it whenever one of them has no rows of the run's session.
_ALWAYS_MADE = tuple(name for name in DERIVED if name not in OF_BARS)

#: Figures of a scanner shown beside the materialisation.
_SHOWN = [
    *("scanner_name", "horizon", "total_signals", "win_rate", "win_rate_low", "win_rate_high"),
    *("base_rate", "avg_return", "profit_factor"),
]


def pinned_versions(marketlake: MarketlakeResource, mic: str) -> dict[str, int]:
    """Versions that this run works on: the inputs its build pinned, and the derived tables as they were committed.

    Raises NoBarsError for an exchange without bars, of which there is nothing to publish.
    """
    require_bars(marketlake.lake, mic)
    heads = versions_of(marketlake.lake, mic, release_tables(marketlake.lake))
    return {**heads, **current_plan(marketlake.state_dir, mic)["inputs"]}


def research_assets(mic: str, pinned: Pinned = pinned_versions, strategies: Path | None = None) -> list[dg.AssetsDefinition]:
    """Backtest, risk report, track record and release of one exchange, all on the versions that `pinned` gives.

    strategies: the folder of strategy files, each of which is an asset too.
    """
    of_files = strategy_assets(mic, strategies, pinned) if strategies else []
    waited_for = [asset.key for asset in of_files]
    board = scoreboard_asset(mic, waited_for)
    return [
        _backtest(mic, pinned),
        _risk(mic, pinned),
        _track_record(mic, pinned),
        *of_files,
        board,
        _release(mic, pinned, waited_for),
    ]


def _rows(marketlake: MarketlakeResource, mic: str, table: str) -> dict[str, int]:
    return row_count(LakeTable(marketlake.lake.table_uri(mic, table), TABLES[table]))


def _backtest(mic: str, pinned: Pinned) -> dg.AssetsDefinition:
    @dg.asset(
        key=table_key(mic, "backtest_runs"),
        deps=[table_key(mic, t) for t in ("scanner_signals", "bars_daily", "corporate_actions", "price_flags")],
        group_name=RESEARCH,
        kinds={"delta", "numba"},
        description=f"Backtest of {BACKTESTED_SCANNER}: decide at the close, fill at the next open, dated costs on both sides. "
        "Writes backtest_runs, backtest_trades and backtest_equity.",
        metadata={"dagster/column_schema": schema_metadata(TABLES["backtest_runs"])},
    )
    def backtest_runs(
        context: dg.AssetExecutionContext, marketlake: MarketlakeResource, lock: WriterLock
    ) -> dg.MaterializeResult[None]:
        backtest = _research(marketlake, mic, pinned(marketlake, mic))
        record = StepRecord.of(marketlake.state_dir, mic, "backtest_runs")
        found = backtest.run(record, anew=_is_full(marketlake, mic))
        if found is None:
            return dg.MaterializeResult(metadata={"trades": 0, "note": "no bars to trade on"})
        run, trades = found
        version = LakeTable(marketlake.lake.table_uri(mic, "backtest_runs"), TABLES["backtest_runs"]).version()
        figures = (
            *("scanner_used", "total_signals", "trades", "total_return", "cagr", "max_drawdown"),
            *("sharpe_ratio", "deflated_sharpe", "trials"),
        )
        paid = ("costs", "costs_assumed", "costs_unsure")
        return dg.MaterializeResult(
            metadata={
                "run_id": run["run_id"],
                **rounded({name: run[name] for name in (*figures, *paid) if run[name] is not None}),
                "delta_version": -1 if version is None else version,
                **_rows(marketlake, mic, "backtest_runs"),
                "last_trades": preview(trades.drop("run_id", "signal_id")),
            }
        )

    return backtest_runs


def _research(marketlake: MarketlakeResource, mic: str, versions: Mapping[str, int]) -> NightlyBacktest:
    return NightlyBacktest(
        marketlake.lake,
        mic,
        versions,
        BACKTESTED_SCANNER,
        scanner_ids(marketlake.project.declared_scanners().values()),
        cash=marketlake.backtest_cash,
        costs=marketlake.costs,
        fills=marketlake.fill_rules,
    )


def _is_full(marketlake: MarketlakeResource, mic: str) -> bool:
    """Whether everything was asked to be made anew; then nothing stands because it was made before."""
    return bool(current_plan(marketlake.state_dir, mic)["full"])


def _risk(mic: str, pinned: Pinned) -> dg.AssetsDefinition:
    @dg.asset(
        key=table_key(mic, "risk_report"),
        deps=[table_key(mic, "backtest_runs")],
        group_name=RESEARCH,
        kinds={"html", "delta"},
        description="Value at risk of the backtest's returns (risk_var) and the report as one self-contained HTML file.",
        metadata={"dagster/column_schema": schema_metadata(TABLES["risk_var"])},
    )
    def risk_report(
        context: dg.AssetExecutionContext, marketlake: MarketlakeResource, lock: WriterLock
    ) -> dg.MaterializeResult[None]:
        from pipelines.backtest.update import initial_cash
        from pipelines.reports.nightly_reports import current_report, hash_report, hash_report_inputs, write_risk_report
        from pipelines.reports.picture import equity_picture

        lake, folder, versions = marketlake.lake, marketlake.reports_dir, pinned(marketlake, mic)
        record = StepRecord.of(marketlake.state_dir, mic, "risk_report")
        backtest = _research(marketlake, mic, versions)
        made_of = hash_report_inputs(lake, mic, versions, backtest.made_of)
        if not _is_full(marketlake, mic) and record.holds(made_of, hash_report(lake, mic, BACKTESTED_SCANNER, folder)):
            report = current_report(lake, mic, BACKTESTED_SCANNER, folder)
        else:
            inputs = read_inputs(lake, mic, versions, BACKTESTED_SCANNER)
            report = write_risk_report(backtest, inputs, folder)
            record.write(made_of, hash_report(lake, mic, BACKTESTED_SCANNER, folder))
        if report is None:
            return dg.MaterializeResult(metadata={"note": "no backtest to report on"})
        return dg.MaterializeResult(
            metadata={
                "report": link(report.path),
                "equity": picture(
                    equity_picture(report.equity, initial_cash(report.run), f"{mic} {BACKTESTED_SCANNER}"), "equity and drawdown"
                ),
                "var_rows": report.var.height,
                **_rows(marketlake, mic, "risk_var"),
                "newest": preview(report.var),
            }
        )

    return risk_report


def _track_record(mic: str, pinned: Pinned) -> dg.AssetsDefinition:
    @dg.asset(
        key=table_key(mic, "scanner_performance"),
        deps=[table_key(mic, t) for t in ("scanner_signals", "bars_daily", "bars_1m", "corporate_actions", "price_flags")],
        group_name=RESEARCH,
        kinds={"delta", "numba"},
        description="What became of every signal (signal_outcomes) and what that makes of each scanner: win rate with its "
        "intervals beside the base rate, by horizon, net of dated costs.",
        metadata={"dagster/column_schema": schema_metadata(TABLES["scanner_performance"])},
    )
    def scanner_performance(
        context: dg.AssetExecutionContext, marketlake: MarketlakeResource, lock: WriterLock
    ) -> dg.MaterializeResult[None]:
        from pipelines.backtest.signal_performance.update import update_track_record

        built = current_plan(marketlake.state_dir, mic)["sessions"]
        touched = (date.fromisoformat(built[0]), date.fromisoformat(built[1])) if built else None
        scanners = scanner_ids(marketlake.project.declared_scanners().values())
        record = update_track_record(
            marketlake.lake,
            mic,
            pinned(marketlake, mic),
            touched,
            scanners,
            record=StepRecord.of(marketlake.state_dir, mic, "scanner_performance"),
            costs=marketlake.costs,
            fills=marketlake.fill_rules,
        )
        shown = record.performance.filter((pl.col("side") == "ALL") & (pl.col("scope") == "all"))
        return dg.MaterializeResult(
            metadata={
                "outcomes_found": record.outcomes,
                "since": str(record.since or "the first signal"),
                "rows": record.performance.height,
                **_rows(marketlake, mic, "scanner_performance"),
                "delta_version": -1 if (version := record.versions["scanner_performance"]) is None else version,
                "track_record": preview(shown.select(_SHOWN), shown.height),
            }
        )

    return scanner_performance


def _release(mic: str, pinned: Pinned, strategies: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    tables = (*_ALWAYS_MADE, "risk_report", "scanner_performance", "scoreboard", *_ALONGSIDE)

    @dg.asset(
        key=table_key(mic, "release"),
        deps=[*(table_key(mic, t) for t in tables), *strategies],
        group_name=RELEASE,
        kinds={"duckdb"},
        description="One consistent set of table versions, published as the catalogue that analysts open.",
    )
    def release(context: dg.AssetExecutionContext, marketlake: MarketlakeResource, lock: WriterLock) -> dg.MaterializeResult[None]:
        done = publish_release(marketlake, mic, pinned(marketlake, mic), current_plan(marketlake.state_dir, mic)["sessions"])
        return dg.MaterializeResult(
            metadata={
                "release_id": done.release.release_id,
                "new": done.is_new,
                "catalogue": link(done.catalogue),
                "code_version": done.release.code_version,
                "table_versions": dg.MetadataValue.json(done.release.table_versions),
                **({"hold": done.hold.describe()} if done.hold else {}),
            }
        )

    return release
