"""Stages `research` and `release`: backtest and risk report of a scanner, track record of all, the release that publishes it.

Lives here: the last assets of an exchange's nightly run.
Does not live here: the backtest, the report, the release (`backtest/`, `reports/`, `storage/`).
"""

from collections.abc import Callable
from datetime import date

import dagster as dg
import polars as pl

from pipelines.backtest.signal_performance.performance import scanner_ids
from pipelines.backtest.update import count_trials, read_inputs, run_nightly, store_result
from pipelines.build.derived_tables import DERIVED, versions_of
from pipelines.build.prepare import current_plan
from pipelines.ingest.freshness import require_bars
from pipelines.market.tables import TABLES
from pipelines.orchestration.assets.models import OF_BARS
from pipelines.orchestration.keys import RELEASE, RESEARCH, table_key
from pipelines.orchestration.metadata import link, picture, preview, row_count, schema_metadata
from pipelines.orchestration.release import publish_release, release_tables
from pipelines.orchestration.resources import MarketlakeResource, WriterLock
from pipelines.storage.delta import LakeTable

#: Ingested tables that a release holds and no model reads.
_ALONGSIDE = ("instruments", "instrument_aliases", "bars_1m_extended", "bars_other_series")

#: Derived tables that a build makes for every session. The others come from the same step, so a release waits for them as well;
#: as dependencies they would skip it whenever one of them has no rows of the run's session.
_ALWAYS_MADE = tuple(name for name in DERIVED if name not in OF_BARS)

#: The scanner whose signals are backtested every night.
SCANNER = "breakout_20d"

#: The versions of tables that a run of an exchange works on.
Pinned = Callable[[MarketlakeResource, str], dict[str, int]]

#: Figures of a scanner shown beside the materialisation.
_SHOWN = [
    "scanner_name",
    "horizon",
    "total_signals",
    "win_rate",
    "win_rate_low",
    "win_rate_high",
    "base_rate",
    "avg_return",
    "profit_factor",
]


def pinned_versions(marketlake: MarketlakeResource, mic: str) -> dict[str, int]:
    """Versions that this run works on: the inputs its build pinned, and the derived tables as they were committed.

    Raises NoBarsError for an exchange without bars, of which there is nothing to publish.
    """
    require_bars(marketlake.lake, mic)
    heads = versions_of(marketlake.lake, mic, release_tables(marketlake.lake))
    return {**heads, **current_plan(marketlake.state_dir, mic)["inputs"]}


def research_assets(mic: str, pinned: Pinned = pinned_versions) -> list[dg.AssetsDefinition]:
    """Backtest, risk report, track record and release of one exchange, all on the versions that `pinned` gives."""
    return [_backtest(mic, pinned), _risk(mic, pinned), _track_record(mic, pinned), _release(mic, pinned)]


def _rows(marketlake: MarketlakeResource, mic: str, table: str) -> dict[str, int]:
    return row_count(LakeTable(marketlake.lake.table_uri(mic, table), TABLES[table]))


def _backtest(mic: str, pinned: Pinned) -> dg.AssetsDefinition:
    @dg.asset(
        key=table_key(mic, "backtest_runs"),
        deps=[table_key(mic, t) for t in ("scanner_signals", "bars_daily", "corporate_actions", "price_flags")],
        group_name=RESEARCH,
        kinds={"delta", "numba"},
        description=f"Backtest of {SCANNER}: decide at the close, fill at the next open, dated costs on both sides. "
        "Writes backtest_runs, backtest_trades and backtest_equity.",
        metadata={"dagster/column_schema": schema_metadata(TABLES["backtest_runs"])},
    )
    def backtest_runs(
        context: dg.AssetExecutionContext, marketlake: MarketlakeResource, lock: WriterLock
    ) -> dg.MaterializeResult[None]:
        inputs = read_inputs(marketlake.lake, mic, pinned(marketlake, mic), SCANNER)
        trials = count_trials(scanner_ids(marketlake.project.declared_scanners().values()), inputs.recorded)
        result = run_nightly(
            mic,
            inputs,
            SCANNER,
            cash=marketlake.backtest_cash,
            costs=marketlake.costs,
            fills=marketlake.fill_rules,
            trials=trials,
        )
        if result is None:
            return dg.MaterializeResult(metadata={"trades": 0, "note": "no bars to trade on"})
        versions = store_result(marketlake.lake, mic, result)
        figures = (
            "scanner_used",
            "total_signals",
            "trades",
            "total_return",
            "cagr",
            "max_drawdown",
            "sharpe_ratio",
            "deflated_sharpe",
            "trials",
        )
        paid = ("costs", "costs_assumed", "costs_unsure")
        return dg.MaterializeResult(
            metadata={
                "run_id": result.run_id,
                **{name: result.run[name] for name in (*figures, *paid) if result.run[name] is not None},
                "delta_version": -1 if versions["backtest_runs"] is None else versions["backtest_runs"],
                **_rows(marketlake, mic, "backtest_runs"),
                "last_trades": preview(result.trades.drop("run_id", "signal_id")),
            }
        )

    return backtest_runs


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
        from pipelines.reports.nightly_reports import write_risk_report
        from pipelines.reports.picture import equity_picture

        versions = pinned(marketlake, mic)
        inputs = read_inputs(marketlake.lake, mic, versions, SCANNER)
        report = write_risk_report(marketlake.lake, mic, SCANNER, inputs, versions, marketlake.reports_dir)
        if report is None:
            return dg.MaterializeResult(metadata={"note": "no backtest to report on"})
        return dg.MaterializeResult(
            metadata={
                "report": link(report.path),
                "equity": picture(
                    equity_picture(report.equity, initial_cash(report.run), f"{mic} {SCANNER}"), "equity and drawdown"
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


def _release(mic: str, pinned: Pinned) -> dg.AssetsDefinition:
    @dg.asset(
        key=table_key(mic, "release"),
        deps=[table_key(mic, t) for t in (*_ALWAYS_MADE, "risk_report", "scanner_performance", *_ALONGSIDE)],
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
            }
        )

    return release
