"""Stages `indicators` to `marts`: the dbt models, run once per exchange and run, and their windows committed to the lake.

Lives here: the dbt assets of an exchange and running them.
Does not live here: how dbt's nodes are called and described (`model_specs.py`), the models (`dbt_project/`), what is committed
(`build/commit.py`).
"""

import sys
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets
from pydantic import Field

from pipelines.build.commit import Committed, commit_build, join_committed, stored_parts
from pipelines.build.database import build_path
from pipelines.build.derived_tables import derived_schemas
from pipelines.build.prepare import open_build
from pipelines.dbt.process import options
from pipelines.indicators.tables import INDICATOR_TABLE_NAMES
from pipelines.ingest.freshness import count_by_session
from pipelines.orchestration.assets.model_specs import ExchangeTranslator, column_lineage, group_intermediate
from pipelines.orchestration.compat.dbt_resource import InstalledDbt
from pipelines.orchestration.keys import table_key
from pipelines.orchestration.metadata import row_count, session_row_count
from pipelines.orchestration.partitions import run_sessions
from pipelines.orchestration.resources import MarketlakeResource, WriterLock
from pipelines.orchestration.session_metadata import describe_sessions
from pipelines.scanners.project import HomeProject
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: Tables with rows of each session that has bars, daily ones or minutes: without any there is nothing of the session in them.
OF_BARS = frozenset({*INDICATOR_TABLE_NAMES, "intraday_curves", "intraday_profiles", "minute_reconciliation"})
#: Unit tests of models belong to the test suite; a nightly run would only repeat them. Of exposures there is nothing to build.
_BUILD = ["build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "exposure"]


class BuildScope(dg.Config):
    """What to build: everything new or restated, and besides the run's own sessions, these sessions (dates), or all of history.

    Who picks a session and presses Materialize wants it built; the schedule, whose run bears the session it is for, does not.
    """

    full: bool = Field(default=False, description="Build all of history anew from the lake.")
    rebuild_sessions: bool = Field(
        default=True, description="Build the run's own sessions though nothing of them changed; else only what is new or restated."
    )
    sessions: list[str] = Field(default_factory=list, description="Dates of sessions to build in place of the run's own.")

    def asked(self) -> list[date]:
        """`sessions` as dates."""
        return [date.fromisoformat(day) for day in self.sessions]


def build_target(state_dir: Path, mic: str) -> Path:
    """dbt's own folder for an exchange's builds: the parsed project, which the next build takes up, and what it logs."""
    return state_dir / "dbt" / f"{mic}_build"


def model_assets(mic: str, home_project: HomeProject, calendars: Path | None = None) -> dg.AssetsDefinition:
    """The dbt assets of one exchange. All exchanges of a home share the manifest of its project.

    calendars: the home's folder of calendars; None: those that ship.
    """
    directory = home_project.directory()
    project = DbtProject(project_dir=directory, profiles_dir=directory, target_path=home_project.manifest_dir)
    translator = ExchangeTranslator(mic, home_project, calendars, column_lineage(home_project))

    @dbt_assets(
        manifest=home_project.manifest(),
        name=f"{mic}__models",
        dagster_dbt_translator=translator,
        project=project,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def models(
        context: dg.AssetExecutionContext, config: BuildScope, marketlake: MarketlakeResource, lock: WriterLock
    ) -> Iterator[Any]:
        state = marketlake.state_dir
        asked = config.asked()
        sessions = asked or (run_sessions(context) if config.rebuild_sessions else [])
        build = open_build(
            marketlake.lake,
            mic,
            state,
            marketlake.build_configuration,
            full=config.full,
            sessions=sessions,
            bars_of=asked or run_sessions(context),
        )
        plan = build.plan
        context.log.info("build of %s: %s", mic, plan.describe())
        if plan.is_empty and not config.full:
            for name in _model_outputs(context):
                yield from _unchanged(context, marketlake.lake, mic, name, plan.describe())
            # The checks of dbt are left without a result: none of them ran.
            return
        dbt = InstalledDbt(
            project_dir=str(project.project_dir),
            profiles_dir=str(project.profiles_dir),
            global_config_flags=options(build_path(state, mic), Path(marketlake.home), marketlake.project.indicators),
            dbt_executable=str(Path(sys.executable).with_name("marketlake-dbt")),
        )
        outputs: list[Any] = []
        failed: set[tuple[Any, str | None]] = set()
        count, finished = len(build.parts), build.finished()
        done = [stored_parts(marketlake.lake, build.parts[:finished])]
        for number, part in enumerate(build.parts[finished:], start=finished + 1):
            is_last = number == count
            if count > 1:
                context.log.info("part %d of %d, up to %s", number, count, part.until or "the newest session")
            build.prepare(part)
            outputs.clear()
            for event in _stream(dbt, context, translator, home_project.manifest(), build_target(state, mic)):
                if isinstance(event, dg.Output | dg.AssetMaterialization):
                    outputs.append(event)
                elif not isinstance(event, dg.AssetCheckResult | dg.AssetCheckEvaluation):
                    yield event
                # A check has one result, which is that of the first part in which it failed.
                elif (check := (event.asset_key, event.check_name)) not in failed and (is_last or not event.passed):
                    failed.update([] if event.passed else [check])
                    yield event
            done.append(commit_build(marketlake.lake, part, state))
            build.finish(part)
        committed = join_committed(done)
        for event in outputs:
            yield from _with_commit(context, marketlake.lake, mic, event, committed)

    return group_intermediate(models)


def _stream(
    dbt: DbtCliResource, context: dg.AssetExecutionContext, translator: ExchangeTranslator, manifest: Path, target: Path
) -> Iterator[Any]:
    """What dbt reports of a build. Where a run selects some models all are built: they live in one database, made for the run."""
    if not context.is_subset:
        yield from dbt.cli(_BUILD, context=context, target_path=target).stream()
        return
    outputs = {context.asset_key_for_output(name): name for name in _model_outputs(context)}
    everything = dbt.cli(_BUILD, manifest=manifest, dagster_dbt_translator=translator, target_path=target)
    for event in everything.stream():
        if isinstance(event, dg.AssetMaterialization) and event.asset_key in outputs:
            yield dg.Output(None, outputs[event.asset_key], metadata=event.metadata)
        elif isinstance(event, dg.AssetCheckEvaluation) and event.asset_check_key in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(
                passed=event.passed,
                asset_key=event.asset_key,
                check_name=event.check_name,
                severity=event.severity,
                metadata=event.metadata,
                description=event.description,
            )


def _model_outputs(context: dg.AssetExecutionContext) -> list[str]:
    """Names of the run's selected model outputs, what is read before what reads it (checks have outputs of their own)."""
    keys = context.assets_def.node_keys_by_output_name
    position = {key: i for i, key in enumerate(context.job_def.asset_layer.asset_graph.toposorted_asset_keys)}
    models = [name for name in context.op_execution_context.selected_output_names if name in keys]
    return sorted(models, key=lambda name: position[keys[name]])


def _unchanged(context: dg.AssetExecutionContext, lake: Lake, mic: str, output_name: str, note: str) -> Iterator[dg.Output[None]]:
    """The output of a run that had nothing to build, with the rows that its table has; none where it has none of a session."""
    key = context.asset_key_for_output(output_name)
    if len(key.path) > 2:
        # Helpers between the tables have no sessions.
        yield dg.Output(None, output_name, metadata={"note": note})
        return
    sessions = run_sessions(context)
    table = LakeTable(lake.table_uri(mic, key.path[-1]), derived_schemas(lake.indicators)[key.path[-1]])
    counts = count_by_session(table, sessions)
    if _has_rows(key.path[-1], sessions, counts):
        rows = {day: session_row_count(counts.get(day, 0)) for day in sessions}
        describe_sessions(context, mic, key, rows, sessions, calendars=lake.calendars)
        yield dg.Output(None, output_name, metadata={"note": note, **row_count(table)})


def _has_rows(name: str, sessions: Collection[date], counts: Mapping[date, int]) -> bool:
    """Whether a table has rows of every session of the run. Findings and scans are made of a session even without any."""
    return name not in OF_BARS or counts.keys() >= set(sessions)


def _with_commit(
    context: dg.AssetExecutionContext, lake: Lake, mic: str, event: Any, committed: Mapping[str, Committed]
) -> Iterator[Any]:
    """dbt's output with the figures of the commit behind it, and a materialisation for each other session of the window.

    An output without rows for a session of the run is left out: Dagster would record it for all of them.
    """
    if not isinstance(event, dg.Output):
        yield event
        return
    key = context.asset_key_for_output(event.output_name)
    done = committed.get(key.path[-1]) if len(key.path) == 2 else None
    if done is None:
        yield event
        return
    table = LakeTable(lake.table_uri(mic, done.table), derived_schemas(lake.indicators)[done.table])
    sessions = run_sessions(context)
    counts = count_by_session(table, {*done.sessions, *sessions})
    is_whole = _has_rows(done.table, sessions, counts)
    own = sessions if is_whole else []
    described = {
        day: {"rows": done.sessions.get(day, 0), **session_row_count(counts.get(day, 0))} for day in (*done.sessions, *own)
    }
    describe_sessions(context, mic, table_key(mic, done.table), described, own, calendars=lake.calendars)
    figures: dict[str, Any] = {
        "whole_run": f"{done.rows:,} rows of {len(done.sessions):,} sessions built",
        "delta_version": -1 if done.version is None else done.version,
        **row_count(table),
    }
    if is_whole:
        yield event.with_metadata({**event.metadata, **figures})
