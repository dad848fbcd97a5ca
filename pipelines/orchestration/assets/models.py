"""Stages `indicators` to `marts`: the dbt models, run once per exchange and run, and their windows committed to the lake.

Lives here: the dbt assets of an exchange and running them.
Does not live here: how dbt's nodes are called and described (`model_specs.py`), the models (`dbt_project/`), what is committed
(`build/commit.py`).
"""

import os
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets
from pydantic import Field

from pipelines.build.commit import Committed, commit_build
from pipelines.build.database import build_path
from pipelines.build.derived_tables import DERIVED
from pipelines.build.prepare import open_build
from pipelines.dbt.process import BUILD_DB, PARENT
from pipelines.indicators.tables import INDICATOR_TABLES
from pipelines.ingest.freshness import sessions_with_rows
from pipelines.orchestration.assets.model_specs import ExchangeTranslator, group_intermediate
from pipelines.orchestration.compat.dbt_resource import InstalledDbt
from pipelines.orchestration.keys import table_key
from pipelines.orchestration.metadata import row_count
from pipelines.orchestration.partitions import run_sessions
from pipelines.orchestration.resources import MarketlakeResource, WriterLock
from pipelines.orchestration.session_metadata import describe_sessions
from pipelines.scanners.project import dbt_project_dir, manifest_path
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: Tables with rows of each session that has bars, daily ones or minutes: without any there is nothing of the session in them.
OF_BARS = frozenset({*INDICATOR_TABLES, "intraday_curves", "intraday_profiles", "minute_reconciliation"})
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


def model_assets(mic: str, target: Path) -> dg.AssetsDefinition:
    """The dbt assets of one exchange. `target` holds the manifest that every exchange shares."""
    project = DbtProject(project_dir=dbt_project_dir(), profiles_dir=dbt_project_dir(), target_path=target)

    @dbt_assets(
        manifest=manifest_path(target),
        name=f"{mic}__models",
        dagster_dbt_translator=ExchangeTranslator(mic),
        project=project,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def models(
        context: dg.AssetExecutionContext, config: BuildScope, marketlake: MarketlakeResource, lock: WriterLock
    ) -> Iterator[Any]:
        state = marketlake.state_dir
        asked = config.asked()
        sessions = asked or (run_sessions(context) if config.rebuild_sessions else [])
        plan = open_build(
            marketlake.lake,
            mic,
            state,
            marketlake.build_configuration,
            full=config.full,
            sessions=sessions,
            bars_of=asked or run_sessions(context),
        )
        context.log.info("build of %s: %s", mic, plan.describe())
        if plan.is_empty and not config.full:
            for name in _model_outputs(context):
                if _has_rows(context, marketlake.lake, mic, name):
                    yield dg.Output(None, name, metadata={"note": plan.describe()})
            # The checks of dbt are left without a result: none of them ran.
            return
        os.environ[BUILD_DB] = str(build_path(state, mic))
        os.environ[PARENT] = str(os.getpid())
        dbt = InstalledDbt(
            project_dir=str(project.project_dir),
            profiles_dir=str(project.profiles_dir),
            dbt_executable=str(Path(sys.executable).with_name("marketlake-dbt")),
        )
        outputs = []
        for event in _stream(dbt, context, mic, manifest_path(target), build_target(state, mic)):
            if isinstance(event, dg.Output | dg.AssetMaterialization):
                outputs.append(event)
            else:
                yield event
        committed = commit_build(marketlake.lake, plan, state)
        for event in outputs:
            yield from _with_commit(context, marketlake.lake, mic, event, committed)

    return group_intermediate(models)


def _stream(dbt: DbtCliResource, context: dg.AssetExecutionContext, mic: str, manifest: Path, target: Path) -> Iterator[Any]:
    """What dbt reports of a build. Where a run selects some models all are built: they live in one database, made for the run."""
    if not context.is_subset:
        yield from dbt.cli(_BUILD, context=context, target_path=target).stream()
        return
    outputs = {context.asset_key_for_output(name): name for name in _model_outputs(context)}
    everything = dbt.cli(_BUILD, manifest=manifest, dagster_dbt_translator=ExchangeTranslator(mic), target_path=target)
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


def _has_rows(context: dg.AssetExecutionContext, lake: Lake, mic: str, output_name: str) -> bool:
    """Whether the output's table has rows of every session of the run. Findings and scans are made of a session even without any.

    Helpers between the tables have no sessions, and a run without partitions is not about any.
    """
    name = context.asset_key_for_output(output_name).path[-1]
    sessions = run_sessions(context)
    if name not in OF_BARS or not sessions:
        return True
    schema = DERIVED[name].schema
    return sessions_with_rows(LakeTable(lake.table_uri(mic, name), schema), sessions) == set(sessions)


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
    is_whole = _has_rows(context, lake, mic, event.output_name)
    own = run_sessions(context) if is_whole else []
    described = {day: {"rows": done.sessions.get(day, 0)} for day in (*done.sessions, *own)}
    describe_sessions(context, mic, table_key(mic, done.table), described, own)
    figures: dict[str, Any] = {
        "whole_run": f"{done.rows:,} rows of {len(done.sessions):,} sessions built",
        "delta_version": -1 if done.version is None else done.version,
        **row_count(LakeTable(lake.table_uri(mic, done.table), DERIVED[done.table].schema)),
    }
    if is_whole:
        yield event.with_metadata({**event.metadata, **figures})
