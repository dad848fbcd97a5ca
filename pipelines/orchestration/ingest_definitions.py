"""The ingest job of one exchange by itself, for runs that this process starts and ends.

Lives here: its definitions, without what only other jobs run: assembling the dbt models and importing dbt takes longer than a
day's file.
Does not live here: the code location that Dagster's pages and its daemon load (`pipelines/definitions.py`).
"""

from functools import cache

import dagster as dg

from pipelines.orchestration.assets.ingest import ingest_assets
from pipelines.orchestration.catalog import describe_assets
from pipelines.orchestration.checks.freshness import freshness_check
from pipelines.orchestration.checks.gate import gate_checks
from pipelines.orchestration.jobs import ingest_job
from pipelines.orchestration.resources import run_resources
from pipelines.settings import Settings


@cache
def ingest_definitions(settings: Settings, mic: str) -> dg.Definitions:
    """The assets, checks and job of an exchange's ingest, as the code location has them."""
    assets = ingest_assets(mic, settings.delivery_folders, settings.calendars)
    return dg.Definitions(
        assets=describe_assets(assets, settings),
        asset_checks=[*gate_checks(mic), freshness_check(mic)],
        jobs=[ingest_job(mic, settings.calendars)],
        resources=run_resources(settings),
        executor=dg.in_process_executor,
    )
