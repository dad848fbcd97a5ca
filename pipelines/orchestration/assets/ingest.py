"""Stages `sources` and `lake`: raw files → staged tables → gated lake tables.

Lives here: the assets of both stages for one exchange.
Does not live here: parsing, rules and merging (`quality/`, `storage/`); the gate's check (`orchestration/checks.py`).
"""

from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from pipelines.market.tables import TABLES
from pipelines.orchestration.describe import preview, schema_metadata
from pipelines.orchestration.event_log import record_sessions
from pipelines.orchestration.keys import INGESTED, LAKE, SOURCES, staged_key, table_key
from pipelines.orchestration.partitions import partition_sessions, run_sessions, session_partitions
from pipelines.orchestration.resources import MarketlakeResource, WriterLock
from pipelines.quality.batches import current_folder, outcome, read_batch, stage_order, staged_folder
from pipelines.quality.ingest import publish_staged
from pipelines.quality.orders import load_order, replay_order
from pipelines.quality.release import stage_release
from pipelines.quality.staged import SESSION_COLUMN
from pipelines.quality.withheld import BARS
from pipelines.sources.registry import load_sources


class Delivery(dg.Config):
    """What to stage: an order of deliveries, or nothing, which replays the run's sessions from the raw files on record."""

    order_id: str | None = None
    already_staged: bool = False


def ingest_assets(mic: str) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Assets of one exchange from its vendor files to its lake tables."""
    files = dg.AssetSpec(
        table_key(mic, "vendor_files"),
        group_name=SOURCES,
        description=f"Files as vendors deliver them for {mic}: `marketlake ingest`.",
        kinds={"file"},
    )
    return [files, _raw_files(mic), *(_staged(mic, t) for t in INGESTED), *(_lake_table(mic, t) for t in INGESTED)]


def _raw_files(mic: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=table_key(mic, "raw_files"),
        deps=[table_key(mic, "vendor_files")],
        group_name=SOURCES,
        partitions_def=session_partitions(mic),
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"delta", "python"},
        description="Deliveries kept as received, parsed and judged row by row; bad rows go to quarantine. "
        "Without an order, the run's sessions are staged again from the raw files on record.",
        metadata={"dagster/column_schema": schema_metadata(TABLES["raw_files"])},
    )
    def raw_files(
        context: dg.AssetExecutionContext, config: Delivery, marketlake: MarketlakeResource, lock: WriterLock
    ) -> dg.MaterializeResult[None]:
        state = marketlake.state_dir
        order = load_order(config.order_id, state) if config.order_id else replay_order(marketlake.lake, mic, run_sessions(context))
        if config.already_staged:
            folder = staged_folder(order, state)
        elif order.decision is not None:
            folder = stage_release(marketlake.lake, order, load_sources(), state)
        else:
            folder = stage_order(marketlake.lake, order, load_sources(), state)
        figures = outcome(folder)
        refused = [f for f in figures["files"] if f["status"] == "refused"]
        return dg.MaterializeResult(
            metadata={
                "files": len(figures["files"]),
                "refused_files": len(refused),
                "rows_read": sum(t["read"] for t in figures["tables"].values()),
                "rows_quarantined": sum(t["quarantined"] for t in figures["tables"].values()),
                "deliveries": preview(pl.DataFrame(figures["files"], infer_schema_length=None)),
            }
        )

    return raw_files


def _staged(mic: str, table: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=staged_key(mic, table),
        deps=[table_key(mic, "raw_files")],
        group_name=SOURCES,
        partitions_def=session_partitions(mic),
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"parquet", "python"},
        description=f"Rows that passed the row rules and want to enter {table}; its suite judges them before any is published.",
        metadata={"dagster/column_schema": schema_metadata(TABLES[table])},
    )
    def staged(context: dg.AssetExecutionContext, marketlake: MarketlakeResource, lock: WriterLock) -> dg.MaterializeResult[None]:
        rows = read_batch(current_folder(marketlake.state_dir, mic), table)
        by_session = _count(rows, SESSION_COLUMN[table])
        _record(context, mic, staged_key(mic, table), by_session)
        return dg.MaterializeResult(
            metadata={"rows": rows.height, "sessions": len(by_session), "preview": preview(rows.drop("received_at"))}
        )

    return staged


def _lake_table(mic: str, table: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=table_key(mic, table),
        deps=[staged_key(mic, table), *(table_key(mic, name) for name in _committed_before(table))],
        group_name=LAKE,
        partitions_def=session_partitions(mic),
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"delta"},
        description=TABLES[table].description,
        metadata={"dagster/column_schema": schema_metadata(TABLES[table])},
    )
    def lake_table(
        context: dg.AssetExecutionContext, marketlake: MarketlakeResource, lock: WriterLock
    ) -> dg.MaterializeResult[None]:
        priorities = {name: source.priority for name, source in load_sources().items()}
        folder = current_folder(marketlake.state_dir, mic)
        done = publish_staged(marketlake.lake, mic, table, folder, marketlake.state_dir, priorities)
        _record(context, mic, table_key(mic, table), done.sessions)
        return dg.MaterializeResult(
            metadata={
                "delta_version": -1 if done.version is None else done.version,
                "rows_accepted": done.accepted,
                "rows_unchanged": done.unchanged,
                "rows_restated": done.restated,
                "rows_moved": done.moved,
                "rows_refused": done.refused,
                "sessions_changed": len(done.sessions),
            }
        )

    return lake_table


def _committed_before(table: str) -> tuple[str, ...]:
    """Bars never stand without their instruments; names come last, since a late link is found again until its bars have moved."""
    if table in BARS:
        return ("instruments",)
    return BARS if table == "instrument_aliases" else ()


def _count(rows: pl.DataFrame, column: str) -> dict[date, int]:
    return dict(rows.group_by(column).len().sort(column).iter_rows())


def _record(context: dg.AssetExecutionContext, mic: str, key: dg.AssetKey, counts: dict[date, int]) -> None:
    """A materialisation for each touched session that the run's own partitions do not cover."""
    others = partition_sessions(mic).difference(run_sessions(context))
    touched: dict[date, dict[str, Any]] = {day: {"rows": rows} for day, rows in counts.items() if day in others}
    record_sessions(context, key, touched)
