"""From a build to the lake: what dbt made of a window becomes the new rows of the derived tables.

Lives here: planning a build against the last release, preparing its database, committing its windows.
Does not live here: what of a table a build replaces (`replacement_windows.py`), the models (`dbt_project/`), running dbt (`dbt/project.py`,
orchestration), releases (`storage/releases.py`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.indicators.registry import additions_fingerprint
from pipelines.indicators.tables import INDICATOR_TABLES
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.closing_auction import closing_auctions
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.ingest.freshness import require_bars
from pipelines.ingest.restated_sessions import are_restated, released_sessions, require_no_contradiction
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.package_data import code_version
from pipelines.build import replacement_windows
from pipelines.scanners.finding_effects import configured_effects
from pipelines.dbt.project import additions
from pipelines.scanners.universe_names import check_names
from pipelines.scanners.universes import configured_universes
from pipelines.build.replacement_windows import Replaced, ReplacedBy
from pipelines.settings import Settings
from pipelines.build.database import RECORDS, build_path, newest_known, prepare_build, read_built
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.build.plan import INPUTS, BuildPlan, plan_build
from pipelines.storage.upsert import append_new, replace_rows
from pipelines.storage.releases import Release, latest_release


@dataclass(frozen=True)
class Derived:
    """A table that dbt builds and the lake keeps: the relation it comes from, and what a build replaces of it."""

    schema: TableSchema
    relation: str
    replaced: ReplacedBy


#: Every derived table by name, in the order in which they are committed.
DERIVED: dict[str, Derived] = {
    name: Derived({**TABLES, **INDICATOR_TABLES}[name], f"{folder}.{name}", replaced)
    for folder, name, replaced in (
        *(("indicators", name, replacement_windows.walked) for name in INDICATOR_TABLES),
        ("indicators", "intraday_curves", replacement_windows.changed_minutes),
        ("indicators", "intraday_profiles", replacement_windows.profiled),
        ("marts", "scanner_signals", replacement_windows.scanned),
        ("marts", "scanner_runs", replacement_windows.scanned_nightly),
        ("marts", "market_regime", replacement_windows.scanned),
        ("marts", "confluence", replacement_windows.scanned),
        ("marts", "data_quality_metrics", replacement_windows.measured),
        ("marts", "price_flags", replacement_windows.daily),
        ("marts", "minute_reconciliation", replacement_windows.daily_or_minute),
    )
}


@dataclass(frozen=True)
class Committed:
    """A derived table after its window was committed. `sessions` are those built, with their rows."""

    table: str
    version: int | None
    rows: int
    sessions: dict[date, int]


def open_build(
    lake: Lake,
    exchange: str,
    state_dir: Path,
    *,
    full: bool = False,
    sessions: Collection[date] = (),
    bars_of: Collection[date] = (),
) -> BuildPlan:
    """Plan a build and prepare its database.

    Everything is rebuilt when asked, when nothing was released yet, and when the code or the set of indicators or scanners changed
    since this exchange was built: rows of two code versions never stand side by side; and when a calendar says
    something else than it did of a session up to the newest one built. Raises UniverseError where a universe that a scanner looks
    at names an instrument that there is not, BarsOnHolidaysError where bars contradict the calendar, and NoBarsError
    where there are none, or none of a session of `bars_of`. Nothing is written then.
    """
    last = latest_release(lake)
    days, counted = traded_calendar(lake, exchange), released_sessions(lake, exchange, last)
    # First: the newest session with bars may be one that the calendar has taken back.
    require_no_contradiction(lake, exchange, counted["session_date"])
    require_bars(lake, exchange, bars_of)
    same = last is not None and last.built_with(exchange) == built_with() and not _sessions_changed(last, exchange, counted, days)
    versions = last.versions(exchange) if last and same else None
    universes = configured_universes()
    listed = universes.members.get_column("symbol").unique().to_list()
    plan = plan_build(lake, exchange, versions or None, full=full, sessions=sessions, named=listed, days=days)
    if not plan.is_empty:
        check_names(lake, Settings().exchanges, exchange, universes, additions().universes())
    prepare_build(
        lake,
        plan,
        build_path(state_dir, exchange),
        inputs={name: TABLES[name] for name in INPUTS},
        derived={name: derived.schema for name, derived in DERIVED.items()},
        derived_versions=versions or {},
        records=last.versions(exchange) if last else {},
        reach=_reach(plan),
        frames={
            "sessions": days.frame(),
            "closing_auctions": closing_auctions(exchange),
            "universe_members": universes.members,
            "universe_rules": universes.rules,
            "finding_effects": configured_effects(),
        },
    )
    _remember(plan, state_dir)
    return plan


def _sessions_changed(last: Release, exchange: str, counted: pl.DataFrame, days: ExchangeCalendar) -> bool:
    built = last.sessions.get(exchange) or []
    return bool(built) and are_restated(counted, days, date.fromisoformat(str(built[1])))


def built_with() -> str:
    """What derived tables made now are made with: the code, and indicators, scanners and universes besides the built-in ones."""
    added = additions()
    looked_at = added.universes_fingerprint(configured_universes())
    effects = ",".join(f"{finding}={effect}" for finding, effect in configured_effects().iter_rows()) or "default"
    return (
        f"{code_version()} indicators:{additions_fingerprint()} scanners:{added.fingerprint()} universes:{looked_at} "
        f"findings:{effects}"
    )


def commit_build(lake: Lake, plan: BuildPlan, state_dir: Path) -> dict[str, Committed]:
    """Replace each derived table's window by what dbt built: one commit a table, none where nothing differs."""
    path = build_path(state_dir, plan.exchange)
    crash_point("build.finished")
    touched = replacement_windows.touched_sessions(plan)
    committed = {}
    for name, derived in DERIVED.items():
        schema = derived.schema
        rows = read_built(path, derived.relation)
        replaced = derived.replaced(plan, schema, rows)
        if name == "scanner_signals":
            _keep_replaced_signals(lake, plan, schema, rows, replaced, path)
        partitions = _partition_values(schema, replaced.sessions)
        metadata = {"build": plan.fingerprint()[:16]}
        version = replace_rows(lake, plan.exchange, schema, rows, replaced.outdated, partitions, metadata)
        crash_point("derived.committed")
        # A session on which no scanner fired was scanned all the same.
        scanned = dict.fromkeys(touched, 0) if name == "scanner_signals" else {}
        committed[name] = Committed(name, version, rows.height, scanned | _by_session(rows))
    return committed


def current_plan(state_dir: Path, exchange: str) -> dict[str, Any]:
    """What the last opened build stands on: `inputs`, `full`, `description`. FileNotFoundError when none was opened."""
    path = _plan_path(state_dir, exchange)
    if not path.is_file():
        raise FileNotFoundError(f"no build of {exchange} was opened: run `marketlake nightly --exchange {exchange}` first")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _reach(plan: BuildPlan) -> dict[str, list[PartitionValue]]:
    """Of which partitions a build may read derived tables and records, where not of all."""
    around: list[PartitionValue] = list(replacement_windows.looked_at(plan))
    years = _partition_values(TABLES["scanner_signals"], replacement_windows.touched_sessions(plan))
    records = {name: years for table in RECORDS for name in (table, f"{table}_superseded")}
    return {"intraday_curves": around, "intraday_profiles": around, **records}


def _remember(plan: BuildPlan, state_dir: Path) -> None:
    touched = replacement_windows.touched_sessions(plan)
    content = {
        "inputs": plan.inputs,
        "full": plan.full,
        "description": plan.describe(),
        "sessions": [str(touched[0]), str(touched[-1]), len(touched)] if touched else [],
    }
    path = _plan_path(state_dir, plan.exchange)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    os.replace(temporary, path)


def _plan_path(state_dir: Path, exchange: str) -> Path:
    return state_dir / "build" / f"{exchange}.plan.json"


def _partition_values(schema: TableSchema, days: Collection[date]) -> list[PartitionValue]:
    return sorted({d.year for d in days}) if schema.partition_by == "session_year" else sorted(days)


def _by_session(rows: pl.DataFrame) -> dict[date, int]:
    column = "session_date" if "session_date" in rows.columns else "date"
    return dict(rows.group_by(column).len().sort(column).iter_rows())


def _keep_replaced_signals(
    lake: Lake, plan: BuildPlan, schema: TableSchema, rows: pl.DataFrame, replaced: Replaced, path: Path
) -> None:
    """Signals that this build withdraws, or whose code has changed, stay readable in `scanner_signals_superseded`.

    They were believed until the newest input of the build was known. `superseded_by` names what its scanner now says of the same
    instrument and moment, where that is a signal.
    """
    table = LakeTable(lake.table_uri(plan.exchange, schema.name), schema)
    stored = table.read(partitions=_partition_values(schema, replaced.sessions))
    if stored.is_empty():
        return
    old = stored.filter(replaced.outdated(stored))
    gone = old.join(rows.select(schema.names), on=schema.names, how="anti", nulls_equal=True)
    if gone.is_empty():
        return
    newest = pl.concat([newest_known(path), rows["known_at"], gone["known_at"]]).max()
    asked = ["scanner_name", "instrument_id", "ts"]
    instead = rows.select(*asked, other="signal_id").unique(asked, keep="first", maintain_order=True)
    gone = gone.join(instead, on=asked, how="left", maintain_order="left").with_columns(
        superseded_by=pl.when(pl.col("other") != pl.col("signal_id")).then("other")
    )
    kept = gone.with_columns(superseded_at=pl.lit(newest), superseded_by_batch=pl.lit(f"build:{plan.fingerprint()[:16]}"))
    append_new(lake, plan.exchange, TABLES["scanner_signals_superseded"], kept, {"build": plan.fingerprint()[:16]})


def versions_of(lake: Lake, exchange: str, schemas: Mapping[str, TableSchema]) -> dict[str, int]:
    """Latest version of each of an exchange's tables that exists."""
    found = {name: LakeTable(lake.table_uri(exchange, name), schema).version() for name, schema in schemas.items()}
    return {name: version for name, version in found.items() if version is not None}
