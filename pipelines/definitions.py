"""The Dagster code location: assembles the definitions of every configured exchange, and nothing else."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import dagster as dg

from pipelines.maintenance.moved_home import renew_moved_home
from pipelines.orchestration.alerts import alert_sensors
from pipelines.orchestration.assets.ingest import ingest_assets
from pipelines.orchestration.assets.live import live_assets
from pipelines.orchestration.assets.model_specs import build_inputs
from pipelines.orchestration.assets.models import model_assets
from pipelines.orchestration.assets.research import research_assets
from pipelines.orchestration.catalog import describe_assets
from pipelines.orchestration.checks.findings import finding_checks
from pipelines.orchestration.checks.freshness import freshness_check
from pipelines.orchestration.checks.gate import gate_checks
from pipelines.orchestration.checks.indicators import indicator_checks
from pipelines.orchestration.checks.scanners import scanner_checks
from pipelines.orchestration.ingest_run import ingest
from pipelines.orchestration.jobs import exchange_jobs
from pipelines.orchestration.maintenance import maintenance_job, maintenance_schedule
from pipelines.orchestration.night_record import NightRecord
from pipelines.orchestration.resources import run_resources
from pipelines.orchestration.retries import nightly_retry_sensor
from pipelines.orchestration.schedules import nightly_schedule
from pipelines.orchestration.sensors import dead_run_sensor, live_sensor
from pipelines.orchestration.vendor_inbox import vendor_inbox_job, vendor_inbox_sensor
from pipelines.scanners.project import HomeProject
from pipelines.settings import Settings
from pipelines.storage.location import Lake


@cache
def build_definitions(settings: Settings, only: str | None = None) -> dg.Definitions:
    """Definitions for the exchanges of these settings. only: leave the others out, as a run of one exchange can."""
    project = HomeProject.from_settings(settings)
    mics = (only,) if only else settings.exchanges
    assets = [
        asset
        for mic in mics
        for asset in (
            *ingest_assets(mic, settings.delivery_folders, settings.calendars),
            *_models(mic, project, settings.calendars),
            *research_assets(mic, strategies=settings.strategies_dir),
            *live_assets(mic),
        )
    ]
    return dg.Definitions(
        assets=describe_assets(assets, settings),
        asset_checks=[
            check
            for mic in mics
            for check in (
                *gate_checks(mic),
                freshness_check(mic),
                *finding_checks(mic),
                *indicator_checks(mic, project),
                *scanner_checks(mic, project),
            )
        ],
        jobs=[
            *(job for mic in mics for job in (*exchange_jobs(mic, settings.calendars), vendor_inbox_job(mic, settings, ingest))),
            maintenance_job(),
        ],
        schedules=[
            *(nightly_schedule(mic, settings.calendars, NightRecord(settings, mic)) for mic in mics),
            maintenance_schedule(),
        ],
        sensors=[
            dead_run_sensor(),
            *(sensor for mic in mics for sensor in (live_sensor(mic, settings), vendor_inbox_sensor(mic, settings))),
            *(nightly_retry_sensor(mic) for mic in mics),
            *alert_sensors(settings),
        ],
        resources=run_resources(settings),
        executor=dg.in_process_executor,
    )


def _models(mic: str, project: HomeProject, calendars: Path) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    models = model_assets(mic, project, calendars)
    return [models, *build_inputs(mic, project, models)]


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` and `dg` load: the definitions of the home that the environment names."""
    settings = Settings()
    # Before its runs publish: `dagster dev` starts without any command of marketlake.
    renew_moved_home(Lake.from_settings(settings), settings.state_dir, settings.catalogue_link)
    return build_definitions(settings)
