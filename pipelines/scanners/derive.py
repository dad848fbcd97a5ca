"""From a build to the lake: what dbt made of a window becomes the new rows of the derived tables.

Lives here: planning a build against the last release, preparing its database, committing its windows.
Does not live here: the models (`dbt_project/`), running dbt (`project.py`, orchestration), releases (`storage/releases.py`).
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.indicators.profiles import SESSIONS
from pipelines.indicators.registry import additions_fingerprint
from pipelines.indicators.tables import INDICATOR_TABLES
from pipelines.market.calendar import calendar
from pipelines.market.closing_auction import closing_auctions
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.resources import code_version
from pipelines.scanners.project import additions
from pipelines.scanners.universes import configured_universes
from pipelines.storage.build import build_path, prepare_build, read_built
from pipelines.storage.crashpoints import crash_point
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.plan import INPUTS, BuildPlan, plan_build
from pipelines.storage.publish import append_new, replace_rows
from pipelines.storage.releases import latest_release

#: Tables that dbt builds and the lake keeps, with the relation of the build database each comes from.
DERIVED: dict[str, tuple[TableSchema, str]] = {
    **{name: (schema, f"indicators.{name}") for name, schema in INDICATOR_TABLES.items()},
    **{name: (TABLES[name], f"indicators.{name}") for name in ("intraday_curves", "intraday_profiles")},
    **{name: (TABLES[name], f"marts.{name}") for name in ("scanner_signals", "scanner_runs", "market_regime", "confluence")},
    **{name: (TABLES[name], f"marts.{name}") for name in ("data_quality_metrics", "price_flags", "minute_reconciliation")},
}


_date_of = attrgetter("session_date")


@dataclass(frozen=True)
class Committed:
    """A derived table after its window was committed. `sessions` are those built, with their rows."""

    table: str
    version: int | None
    rows: int
    sessions: dict[date, int]


def open_build(lake: Lake, exchange: str, state_dir: Path, *, full: bool = False, sessions: Collection[date] = ()) -> BuildPlan:
    """Plan a build and prepare its database.

    Everything is rebuilt when asked, when nothing was released yet, and when the code or the set of indicators or scanners changed
    since this exchange was built: rows of two code versions never stand side by side.
    """
    last = latest_release(lake)
    versions = last.versions(exchange) if last and last.built_with(exchange) == built_with() else None
    plan = plan_build(lake, exchange, versions or None, full=full, sessions=sessions)
    universes = configured_universes()
    prepare_build(
        lake,
        plan,
        build_path(state_dir, exchange),
        inputs={name: TABLES[name] for name in INPUTS},
        derived={name: schema for name, (schema, _) in DERIVED.items()},
        derived_versions=versions or {},
        reach={name: _looked_at(plan) for name in ("intraday_curves", "intraday_profiles")},
        frames={
            "sessions": calendar(exchange).frame(),
            "closing_auctions": closing_auctions(exchange),
            "universe_members": universes.members,
            "universe_rules": universes.rules,
        },
    )
    _remember(plan, state_dir)
    return plan


def _looked_at(plan: BuildPlan) -> list[date]:
    """Sessions whose curves and profiles a build may read: its window's, and two months, for 20 regular ones, to either side."""
    touched, around = _touched_sessions(plan), timedelta(days=62)
    return [s.session_date for s in calendar(plan.exchange).between(touched[0] - around, touched[-1] + around)] if touched else []


def _profiled(plan: BuildPlan) -> list[date]:
    """Sessions whose profiles a build makes anew: those of changed minutes and the 20 regular ones after each."""
    sessions = calendar(plan.exchange).sessions
    due: set[date] = set()
    for first, last in plan.minute.select("from_session", "changed_to").unique().iter_rows():
        begin = bisect_left(sessions, first, key=_date_of)
        end = bisect_right(sessions, last, key=_date_of)
        regular = 0
        while end < len(sessions) and regular < SESSIONS:
            regular += sessions[end].kind == "regular"
            end += 1
        due.update(s.session_date for s in sessions[begin:end])
    return sorted(due)


def built_with() -> str:
    """What derived tables made now are made with: the code, and indicators, scanners and universes besides the built-in ones."""
    added = additions()
    looked_at = added.universes_fingerprint(configured_universes())
    return f"{code_version()} indicators:{additions_fingerprint()} scanners:{added.fingerprint()} universes:{looked_at}"


def commit_build(lake: Lake, plan: BuildPlan, state_dir: Path) -> dict[str, Committed]:
    """Replace each derived table's window by what dbt built: one commit a table, none where nothing differs."""
    path = build_path(state_dir, plan.exchange)
    crash_point("build.finished")
    touched = _touched_sessions(plan)
    committed = {}
    for name, (schema, relation) in DERIVED.items():
        rows = read_built(path, relation)
        window = plan.minute if name.endswith("_1m") else plan.daily
        if name in INDICATOR_TABLES:
            window = _built(window, rows)
            outdated, days = _in_window(window), _sessions(plan.exchange, window)
        elif name == "intraday_curves":
            # A curve follows from its own session's minutes alone.
            changed = plan.minute.with_columns(to_session="changed_to")
            outdated, days = _in_window(changed), _sessions(plan.exchange, changed)
        elif name == "intraday_profiles":
            days = _profiled(plan)
            outdated = _of_sessions(days)
        elif name == "price_flags":
            outdated, days = _in_window(window), _sessions(plan.exchange, window)
        elif name == "minute_reconciliation":
            either = [_in_window(plan.daily), _in_window(plan.minute)]
            outdated, days = _any_of(either), sorted({d for w in (plan.daily, plan.minute) for d in _sessions(plan.exchange, w)})
        elif name == "data_quality_metrics":
            outdated, days = _same_keys(schema, rows), rows.get_column("date").unique().to_list()
        else:
            outdated, days = _of_sessions(touched), touched
        if name == "scanner_runs":
            outdated = _nightly_of(outdated)
        if name == "scanner_signals":
            _keep_replaced_signals(lake, plan, rows, days, outdated)
        version = replace_rows(
            lake, plan.exchange, schema, rows, outdated, _partition_values(schema, days), {"build": plan.fingerprint()[:16]}
        )
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


def _remember(plan: BuildPlan, state_dir: Path) -> None:
    touched = _touched_sessions(plan)
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


def _sessions(exchange: str, window: pl.DataFrame) -> list[date]:
    """Sessions between the window's first and last."""
    if window.is_empty():
        return []
    first, last = window.select(pl.col("from_session").min(), pl.col("to_session").max()).row(0)
    return [s.session_date for s in calendar(exchange).between(first, last)]


def _touched_sessions(plan: BuildPlan) -> list[date]:
    """Sessions that lie in any instrument's window: scanners look at all instruments of these."""
    windows = pl.concat([plan.daily, plan.minute])
    ranges = windows.select("from_session", "to_session").unique().rows()
    return [d for d in _sessions(plan.exchange, windows) if any(first <= d <= last for first, last in ranges)]


def _built(window: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The window as far as it was built: the walk leaves an instrument once nothing can differ from the last build any more.

    It never leaves before the last change, so up to there a session without a row has lost its bar.
    """
    ends = rows.group_by("instrument_id").agg(pl.col("session_date").max().alias("built_to"))
    joined = window.join(ends, on="instrument_id", how="left", maintain_order="left")
    return joined.with_columns(to_session=pl.coalesce(pl.max_horizontal("built_to", "changed_to"), "to_session"))


def _in_window(window: pl.DataFrame) -> Callable[[pl.DataFrame], pl.Series]:
    def outdated(stored: pl.DataFrame) -> pl.Series:
        spans = stored.select("instrument_id", "session_date").join(window, on="instrument_id", how="left", maintain_order="left")
        inside = pl.col("session_date").is_between(pl.col("from_session"), pl.col("to_session"))
        return spans.select(inside.fill_null(value=False)).to_series()

    return outdated


def _any_of(conditions: Collection[Callable[[pl.DataFrame], pl.Series]]) -> Callable[[pl.DataFrame], pl.Series]:
    return lambda stored: (
        pl.DataFrame([hit(stored).alias(str(n)) for n, hit in enumerate(conditions)])
        .select(pl.any_horizontal(pl.all()))
        .to_series()
    )


def _of_sessions(sessions: Collection[date]) -> Callable[[pl.DataFrame], pl.Series]:
    return lambda stored: stored.get_column("session_date").is_in(list(sessions))


def _nightly_of(outdated: Callable[[pl.DataFrame], pl.Series]) -> Callable[[pl.DataFrame], pl.Series]:
    """Live scans stay on record whatever the nightly run finds."""
    return lambda stored: outdated(stored) & (stored.get_column("mode") == "nightly")


def _same_keys(schema: TableSchema, rows: pl.DataFrame) -> Callable[[pl.DataFrame], pl.Series]:
    key = list(schema.key)
    made = rows.select(key).unique().with_columns(__made=pl.lit(value=True))
    return lambda stored: (
        stored.select(key).join(made, on=key, how="left", maintain_order="left").get_column("__made").fill_null(value=False)
    )


def _partition_values(schema: TableSchema, days: Collection[date]) -> list[PartitionValue]:
    return sorted({d.year for d in days}) if schema.partition_by == "session_year" else sorted(days)


def _by_session(rows: pl.DataFrame) -> dict[date, int]:
    column = "session_date" if "session_date" in rows.columns else "date"
    return dict(rows.group_by(column).len().sort(column).iter_rows())


def _keep_replaced_signals(
    lake: Lake, plan: BuildPlan, rows: pl.DataFrame, days: Collection[date], outdated: Callable[[pl.DataFrame], pl.Series]
) -> None:
    """Signals that this build withdraws or changes stay readable in `scanner_signals_superseded`."""
    schema, _ = DERIVED["scanner_signals"]
    stored = LakeTable(lake.table_uri(plan.exchange, schema.name), schema).read(partitions=_partition_values(schema, days))
    if stored.is_empty():
        return
    old = stored.filter(outdated(stored))
    same = old.join(rows.select(schema.names), on=schema.names, how="anti", nulls_equal=True)
    newest = rows.select(pl.col("known_at").max()).item() if rows.height else old.select(pl.col("known_at").max()).item()
    replaced = same.with_columns(superseded_at=pl.lit(newest), superseded_by_batch=pl.lit(f"build:{plan.fingerprint()[:16]}"))
    append_new(lake, plan.exchange, TABLES["scanner_signals_superseded"], replaced, {"build": plan.fingerprint()[:16]})


def versions_of(lake: Lake, exchange: str, schemas: Mapping[str, TableSchema]) -> dict[str, int]:
    """Latest version of each of an exchange's tables that exists."""
    found = {name: LakeTable(lake.table_uri(exchange, name), schema).version() for name, schema in schemas.items()}
    return {name: version for name, version in found.items() if version is not None}
