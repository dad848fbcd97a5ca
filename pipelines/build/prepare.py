"""Preparing a build: what the last release leaves to compute, and the database in which dbt computes it.

Lives here: `BuildConfiguration`, `open_build`, `OpenBuild`, `fill_database` and `current_plan`.
Does not live here: the plan itself (`plan.py`) and its parts (`parts.py`), the database's tables (`database.py`), a database for
work on the models (`release_build.py`), committing what dbt made (`commit.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.build import replacement_windows
from pipelines.build.database import RECORDS, build_path, prepare_build
from pipelines.build.derived_tables import derived_schemas, partition_values, versions_of
from pipelines.build.parts import divide_plan
from pipelines.build.plan import INPUTS, BuildPlan, plan_build
from pipelines.build.progress import BuildProgress
from pipelines.build.verification import require_intact_inputs, require_tables
from pipelines.ingest.freshness import require_bars
from pipelines.ingest.restated_sessions import are_restated, released_sessions, require_no_contradiction
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.closing_auction import closing_auctions
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release, latest_release
from pipelines.storage.step_records import hash_parts
from pipelines.whole_files import write_whole


@dataclass(frozen=True)
class BuildConfiguration:
    """What an installation states about its builds.

    fingerprint: of the code, indicators, scanners, universes and effects that derived tables are made with. universe_members,
    universe_rules, finding_effects: frames of schema `lake` (columns in `lake_schema.py`). check_universes: raises UniverseError
    where a universe that a scanner looks at names an instrument that the exchange does not have.
    """

    fingerprint: str
    universe_members: pl.DataFrame
    universe_rules: pl.DataFrame
    finding_effects: pl.DataFrame
    check_universes: Callable[[Lake, str], None]


@dataclass(frozen=True)
class OpenBuild:
    """A build that was found possible. `parts` of the `plan` are built and committed in their order, one for a night as a rule.

    built: versions of the derived tables that it goes on from, by table. records: those of what was issued (`RECORDS`).
    """

    lake: Lake
    plan: BuildPlan
    parts: list[BuildPlan]
    state_dir: Path
    configuration: BuildConfiguration
    built: Mapping[str, int]
    records: Mapping[str, int]

    def finished(self) -> int:
        """How many parts a run that did not come to its end has committed already."""
        return self._progress.finished(self.parts, self._derived()) if len(self.parts) > 1 else 0

    def prepare(self, part: BuildPlan) -> None:
        """Prepare the database of a part; of a later one from what the parts before it committed."""
        lake, exchange = self.lake, self.plan.exchange
        built = self.built if part is self.parts[0] else versions_of(lake, exchange, derived_schemas(lake.indicators))
        path = build_path(self.state_dir, exchange)
        fill_database(lake, part, path, self.configuration, derived_versions=built, records=self.records)

    def finish(self, part: BuildPlan) -> None:
        """Record that a part is committed."""
        if len(self.parts) > 1:
            self._progress.write(part, self._derived())

    @property
    def _progress(self) -> BuildProgress:
        plan = self.plan
        same = (plan.inputs, plan.full, self.built, self.configuration.fingerprint, [part.until for part in self.parts])
        asked = [frame.write_csv() for frame in (plan.daily, plan.minute, plan.listings)]
        return BuildProgress.of(self.state_dir, plan.exchange, hash_parts(*same, *asked))

    def _derived(self) -> str:
        lake, exchange = self.lake, self.plan.exchange
        schemas = derived_schemas(lake.indicators)
        tables = {name: LakeTable(lake.table_uri(exchange, name), schema) for name, schema in schemas.items()}
        return hash_parts(
            {name: table.files(version) for name, table in tables.items() if (version := table.version()) is not None}
        )


def open_build(
    lake: Lake,
    exchange: str,
    state_dir: Path,
    configuration: BuildConfiguration,
    *,
    full: bool = False,
    sessions: Collection[date] = (),
    bars_of: Collection[date] = (),
) -> OpenBuild:
    """Plan a build, and verify what it reads unless there is nothing to build.

    Everything is rebuilt when asked, when nothing was released yet, when a table was repaired since, when the code or the set of
    indicators or scanners changed since this exchange was built: rows of two code versions never stand side by side; and when a
    calendar says something else than it did of a session up to the newest one built. Raises UniverseError where a universe that a
    scanner looks at names an instrument that there is not, BarsOnHolidaysError where bars contradict the calendar, and NoBarsError
    where there are none, or none of a session of `bars_of`, DamagedTableError where a table or a file that the build reads is not
    as it was written, ForeignCommitError where another program committed to a table. Nothing is written then.
    """
    last, is_repaired = require_tables(lake, exchange, latest_release(lake))
    days, counted = traded_calendar(lake, exchange), released_sessions(lake, exchange, last)
    # First: the newest session with bars may be one that the calendar has taken back.
    require_no_contradiction(lake, exchange, counted["session_date"])
    require_bars(lake, exchange, bars_of)
    same = (
        last is not None
        and not is_repaired
        and last.built_with(exchange) == configuration.fingerprint
        and not _sessions_changed(last, exchange, counted, days)
    )
    versions = last.versions(exchange) if last and same else None
    named = configuration.universe_members.get_column("symbol").unique().to_list()
    plan = plan_build(lake, exchange, versions or None, full=full, sessions=sessions, named=named, days=days)
    if not plan.is_empty:
        configuration.check_universes(lake, exchange)
    records = last.versions(exchange) if last else {}
    if full or not plan.is_empty:
        require_intact_inputs(lake, plan, versions or {}, records)
    _remember(plan, state_dir)
    return OpenBuild(lake, plan, divide_plan(lake, plan), state_dir, configuration, versions or {}, records)


def fill_database(
    lake: Lake,
    plan: BuildPlan,
    path: Path,
    configuration: BuildConfiguration,
    *,
    derived_versions: Mapping[str, int],
    records: Mapping[str, int],
    replaced: Mapping[str, int] | None = None,
) -> None:
    """Start the database of a plan anew, with everything that the models read in schema `lake` (`database.prepare_build`)."""
    prepare_build(
        lake,
        plan,
        path,
        inputs={name: TABLES[name] for name in INPUTS},
        derived=derived_schemas(lake.indicators),
        derived_versions=derived_versions,
        records=records,
        reach=_reach(plan),
        frames={
            "sessions": plan.calendar.frame(),
            "closing_auctions": closing_auctions(plan.exchange),
            "universe_members": configuration.universe_members,
            "universe_rules": configuration.universe_rules,
            "finding_effects": configuration.finding_effects,
        },
        replaced=replaced,
    )


def _sessions_changed(last: Release, exchange: str, counted: pl.DataFrame, days: ExchangeCalendar) -> bool:
    built = last.sessions.get(exchange) or []
    return bool(built) and are_restated(counted, days, date.fromisoformat(str(built[1])))


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
    years = partition_values(TABLES["scanner_signals"], replacement_windows.touched_sessions(plan))
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
    write_whole(_plan_path(state_dir, plan.exchange), json.dumps(content))


def _plan_path(state_dir: Path, exchange: str) -> Path:
    return state_dir / "build" / f"{exchange}.plan.json"
