"""Stages `sources` and `lake`: raw files → staged tables → gated lake tables.

Lives here: the assets of both stages for one exchange.
Does not live here: staging, rules and merging (`ingest/`, `quality/`, `storage/`), the check (`orchestration/checks/gate.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from pipelines.ingest.accounting import by_session
from pipelines.ingest.batches import account, batch_rows, counts_by_session, current_folder, outcome
from pipelines.ingest.freshness import count_by_session
from pipelines.ingest.judging import stage_judged
from pipelines.ingest.overridden_rows import stage_release
from pipelines.ingest.publish import TablePublication, publish_staged
from pipelines.ingest.staged import SESSION_COLUMN
from pipelines.market.tables import BAR_TABLES, TABLES
from pipelines.orchestration.ingest_config import DeliveryConfig, request_of
from pipelines.orchestration.jobs import ingest_job_name
from pipelines.orchestration.keys import INGESTED, LAKE, SOURCES, staged_key, table_key
from pipelines.orchestration.metadata import preview, row_count, schema_metadata, session_row_count
from pipelines.orchestration.partitions import partition_sessions, run_sessions, session_partitions
from pipelines.orchestration.resources import MarketlakeResource, WriterLock
from pipelines.orchestration.session_metadata import describe_sessions
from pipelines.sources.registry import load_sources
from pipelines.storage.delta import LakeTable
from pipelines.storage.row_parts import RowParts

#: What a run says of all of a table.
Figures = Mapping[str, Any]
#: Refused sessions that one run notes on a table, and letters of a text in metadata.
_MOST_OBSERVED, _LONGEST = 50, 2_000
#: Up to this many sessions of a delivery are recorded although nothing of them changed.
_MOST_UNCHANGED = 30


def ingest_assets(mic: str, deliveries: Sequence[Path], calendars: Path | None = None) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Assets of one exchange from its vendor files to its lake tables. `deliveries`: folders whose files a run may name.

    `calendars`: the home's folder of calendars; None: those that ship.
    """
    partitions = session_partitions(mic, calendars)
    files = dg.AssetSpec(
        table_key(mic, "vendor_files"),
        group_name=SOURCES,
        description=f"Files as vendors deliver them for {mic}: `marketlake ingest`.",
        kinds={"file"},
    )
    return [
        files,
        _raw_files(mic, deliveries, partitions),
        *(_staged(mic, t, partitions) for t in INGESTED),
        *(_lake_table(mic, t, partitions) for t in INGESTED),
    ]


def _raw_files(mic: str, deliveries: Sequence[Path], partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        key=table_key(mic, "raw_files"),
        deps=[table_key(mic, "vendor_files")],
        group_name=SOURCES,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"delta", "python"},
        description="Deliveries kept as received, parsed and judged row by row; bad rows go to quarantine. "
        "Without paths or an order, the run's sessions are staged again from the raw files on record.",
        metadata={"dagster/column_schema": schema_metadata(TABLES["raw_files"])},
    )
    def raw_files(
        context: dg.AssetExecutionContext, config: DeliveryConfig, marketlake: MarketlakeResource, lock: WriterLock
    ) -> dg.MaterializeResult[None]:
        state = marketlake.state_dir
        # Not from the resource: whoever launches a run can change its config there.
        order = request_of(config, mic, marketlake, run_sessions(context), deliveries)
        stage = stage_judged if order.decision is None else stage_release
        folder = stage(marketlake.lake, order, load_sources(), state, marketlake.limits)
        files = outcome(folder)["files"]
        refused = [f"{f['path']}: {f['reason']}" for f in files if f["status"] == "refused"]
        for reason in refused:
            context.log.error("refused: %s", reason)
        whole: Figures = {
            **row_count(LakeTable(marketlake.lake.table_uri(mic, "raw_files"), TABLES["raw_files"])),
            "whole_run": f"{len(files):,} file{'' if len(files) == 1 else 's'}, {len(refused):,} refused",
            **({"refused_files": "; ".join(refused)[:_LONGEST]} if refused else {}),
            "deliveries": preview(pl.DataFrame(files, infer_schema_length=None)),
        }
        figures = by_session(*counts_by_session(folder))
        key = table_key(mic, "raw_files")
        describe_sessions(context, mic, key, figures, calendars=marketlake.lake.calendars, whole_run=whole)
        return dg.MaterializeResult(metadata=whole)

    return raw_files


def _staged(mic: str, table: str, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        key=staged_key(mic, table),
        deps=[table_key(mic, "raw_files")],
        group_name=SOURCES,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"parquet", "python"},
        description=f"Rows that passed the row rules and want to enter {table}; its suite judges them before any is published.",
        metadata={"dagster/column_schema": schema_metadata(TABLES[table])},
    )
    def staged(context: dg.AssetExecutionContext, marketlake: MarketlakeResource, lock: WriterLock) -> dg.MaterializeResult[None]:
        folder = _staged_by_this_run(context, mic, marketlake)
        batch = batch_rows(folder, table)
        staged_rows = _count(batch, SESSION_COLUMN[table])
        rows = sum(staged_rows.values())
        read = by_session(*counts_by_session(folder, table))
        figures = {
            day: {**session_row_count(staged_rows.get(day, 0)), "rows": staged_rows.get(day, 0), **read.get(day, {})}
            for day in sorted({*staged_rows, *read})
        }
        whole: Figures = {
            "whole_run": f"{rows:,} rows of {len(staged_rows):,} sessions",
            "dagster/row_count": rows,
            "preview": preview(batch.last().drop("received_at")),
        }
        key = staged_key(mic, table)
        describe_sessions(context, mic, key, figures, calendars=marketlake.lake.calendars, whole_run=whole)
        return dg.MaterializeResult(metadata=whole)

    return staged


def _lake_table(mic: str, table: str, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        key=table_key(mic, table),
        deps=[staged_key(mic, table), *(table_key(mic, name) for name in _committed_before(table))],
        group_name=LAKE,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        kinds={"delta"},
        description=TABLES[table].description,
        metadata={"dagster/column_schema": schema_metadata(TABLES[table])},
    )
    def lake_table(
        context: dg.AssetExecutionContext, marketlake: MarketlakeResource, lock: WriterLock
    ) -> dg.MaterializeResult[None]:
        priorities = {name: source.priority for name, source in load_sources().items()}
        folder = _staged_by_this_run(context, mic, marketlake)
        done = publish_staged(marketlake.lake, mic, table, folder, marketlake.state_dir, priorities)
        day = SESSION_COLUMN[table]
        staged_rows = _count(batch_rows(folder, table, [day]), day)
        published = _published(done, staged_rows, [*run_sessions(context), *_delivered(staged_rows)])
        stored = LakeTable(marketlake.lake.table_uri(mic, table), TABLES[table])
        counts = count_by_session(stored, published, column=day)
        figures = {session: {**each, **session_row_count(counts.get(session, 0))} for session, each in published.items()}
        whole: Figures = {
            "delta_version": -1 if done.version is None else done.version,
            **row_count(stored),
            "whole_run": f"{done.accepted:,} rows accepted, {done.restated:,} restated, {done.unchanged:,} unchanged, "
            f"{done.moved:,} moved, {done.refused:,} refused; {len(done.sessions):,} sessions changed",
        }
        key = table_key(mic, table)
        describe_sessions(context, mic, key, figures, calendars=marketlake.lake.calendars, whole_run=whole)
        _observe_refusals(context, mic, table, folder, marketlake.lake.calendars)
        return dg.MaterializeResult(metadata=whole)

    return lake_table


def _staged_by_this_run(context: dg.AssetExecutionContext, mic: str, marketlake: MarketlakeResource) -> Path:
    """The folder that the run's raw_files staged. Without them it would be what another run staged, of other sessions."""
    if table_key(mic, "raw_files") not in context.job_def.asset_layer.executable_asset_keys:
        raise dg.Failure(
            f"this asset alone has no session to read: select {mic}/raw_files and staged_* with it, or run the job "
            f"{ingest_job_name(mic)} for the session",
            allow_retries=False,
        )
    return current_folder(marketlake.state_dir, mic)


def _committed_before(table: str) -> tuple[str, ...]:
    """Bars never stand without their instruments; names come last, since a late link is found again until its bars have moved."""
    if table in BAR_TABLES:
        return ("instruments",)
    return BAR_TABLES if table == "instrument_aliases" else ()


def _count(batch: RowParts, column: str) -> dict[date, int]:
    counted = [rows.group_by(column).len() for rows in batch.parts([column])]
    return dict(pl.concat(counted).group_by(column).agg(pl.col("len").sum()).sort(column).iter_rows())


def _delivered(staged: Mapping[date, int]) -> list[date]:
    """Sessions that are recorded although nothing of them changed: all of a delivery of some, the last one of a history."""
    days = sorted(staged)
    return days if len(days) <= _MOST_UNCHANGED else days[-1:]


def _published(done: TablePublication, staged: Mapping[date, int], own: Sequence[date]) -> dict[date, dict[str, int]]:
    """Figures of each session that changed, and of the run's own with rows of the delivery."""
    return {
        day: {
            "rows_delivered": staged.get(day, 0),
            "rows_accepted": done.sessions.get(day, 0) - done.restatements.get(day, 0),
            "rows_restated": done.restatements.get(day, 0),
        }
        for day in sorted({*done.sessions, *staged.keys() & set(own)})
    }


def _observe_refusals(context: dg.AssetExecutionContext, mic: str, table: str, folder: Path, calendars: Path | None) -> None:
    """Note on the table itself, at each session of which nothing was let in, why: no materialisation could bear the reason."""
    sessions = partition_sessions(mic, calendars)
    out = [entry for entry in account(folder, mic, calendars).sessions if entry["table"] == table]
    for entry in out[:_MOST_OBSERVED]:
        if date.fromisoformat(entry["session"]) in sessions:
            reason = f"{entry['path']}: all {entry['rows']:,} rows of the session stayed out: {' and '.join(entry['rules'])}"
            context.log.error("%s of %s: %s", table, entry["session"], reason)
            context.log_event(
                dg.AssetObservation(
                    table_key(mic, table), partition=entry["session"], description=reason, metadata={"refused": reason}
                )
            )
