"""From a build to the lake: what dbt made of a window becomes the new rows of the derived tables.

Lives here: `commit_build`, and keeping signals that a build withdraws.
Does not live here: what of a table a build replaces (`replacement_windows.py`), releases (`storage/releases.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from pipelines.build import replacement_windows
from pipelines.build.database import BuiltTable, build_path, newest_known, open_built
from pipelines.build.derived_tables import DERIVED, derived_schemas, partition_values
from pipelines.build.plan import BuildPlan
from pipelines.build.replacement_windows import Replaced
from pipelines.ingest.freshness import count_by_session
from pipelines.market.tables import TABLES
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.upsert import append_new, replace_in_parts


@dataclass(frozen=True)
class Committed:
    """A derived table after its window was committed. `sessions` are those built, with their rows."""

    table: str
    version: int | None
    rows: int
    sessions: dict[date, int]


def commit_build(lake: Lake, plan: BuildPlan, state_dir: Path) -> dict[str, Committed]:
    """Replace each derived table's window by what dbt built: one commit a table, none where nothing differs."""
    crash_point("build.finished")
    touched = replacement_windows.touched_sessions(plan)
    metadata = {"build": plan.fingerprint()[:16]}
    committed, schemas = {}, derived_schemas(lake.indicators)
    with open_built(build_path(state_dir, plan.exchange)) as connection:
        for name, derived in DERIVED.items():
            schema = schemas[name]
            built = BuiltTable(connection, derived.relation, schema)
            replaced = derived.replaced(plan, schema, built.keys())
            if name == "scanner_signals":
                _keep_replaced_signals(lake, plan, built, replaced)
            parts = built.parts(partition_values(schema, replaced.sessions))
            version = replace_in_parts(lake, plan.exchange, schema, built.rows, replaced.outdated, parts, metadata)
            crash_point("derived.committed")
            # A session on which no scanner fired was scanned all the same.
            scanned = dict.fromkeys(touched, 0) if name == "scanner_signals" else {}
            by_session = built.rows_by_session()
            committed[name] = Committed(name, version, sum(by_session.values()), scanned | by_session)
    return committed


def stored_parts(lake: Lake, parts: Sequence[BuildPlan]) -> dict[str, Committed]:
    """What parts of a build that an earlier run committed left in the derived tables; nothing without any."""
    sessions = sorted({day for part in parts for day in replacement_windows.touched_sessions(part)})
    found = {}
    for name, schema in derived_schemas(lake.indicators).items() if parts else ():
        table = LakeTable(lake.table_uri(parts[0].exchange, name), schema)
        found[name] = Committed(name, table.version(), 0, count_by_session(table, sessions))
    return found


def join_committed(parts: Iterable[Mapping[str, Committed]]) -> dict[str, Committed]:
    """What the parts of a build committed, together."""
    whole: dict[str, Committed] = {}
    for part in parts:
        for name, done in part.items():
            before = whole.get(name, Committed(name, None, 0, {}))
            # Figures of sessions around a part's window are made again by the next part.
            sessions = before.sessions | done.sessions
            whole[name] = Committed(name, done.version, before.rows + done.rows, sessions)
    return whole


def _keep_replaced_signals(lake: Lake, plan: BuildPlan, built: BuiltTable, replaced: Replaced) -> None:
    """Signals that this build withdraws, or whose code has changed, stay readable in `scanner_signals_superseded`.

    They were believed until the newest input of the build was known. `superseded_by` names what its scanner now says of the same
    instrument and moment, where that is a signal.
    """
    schema = built.schema
    table = LakeTable(lake.table_uri(plan.exchange, schema.name), schema)
    stored = table.read(partitions=partition_values(schema, replaced.sessions))
    if stored.is_empty():
        return
    old = stored.filter(replaced.outdated(stored))
    rows = built.rows()
    gone = old.join(rows.select(schema.names), on=schema.names, how="anti", nulls_equal=True)
    if gone.is_empty():
        return
    newest = pl.concat([newest_known(built.connection), rows["known_at"], gone["known_at"]]).max()
    asked = ["scanner_name", "instrument_id", "ts"]
    instead = rows.select(*asked, other="signal_id").unique(asked, keep="first", maintain_order=True)
    gone = gone.join(instead, on=asked, how="left", maintain_order="left").with_columns(
        superseded_by=pl.when(pl.col("other") != pl.col("signal_id")).then("other")
    )
    kept = gone.with_columns(superseded_at=pl.lit(newest), superseded_by_batch=pl.lit(f"build:{plan.fingerprint()[:16]}"))
    append_new(lake, plan.exchange, TABLES["scanner_signals_superseded"], kept, {"build": plan.fingerprint()[:16]})
