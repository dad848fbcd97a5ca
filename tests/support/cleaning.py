"""Cleaning a home in tests, as `marketlake maintain` does.

Lives here: `clean`.
Does not live here: what has to go and what has to stay (`tests/unit/maintenance/`).
"""

from datetime import datetime, timedelta

from pipelines.maintenance.cleanup import Cleaned, clean_home
from tests.support.pipeline import Pipeline


def clean(pipeline: Pipeline, now: datetime, *, dry_run: bool = False) -> Cleaned:
    """Clean the home of a pipeline at a moment; catalogues are kept for a week."""
    settings, week = pipeline.settings, timedelta(days=7)
    return clean_home(
        pipeline.lake, ("XNYS",), settings.state_dir, settings.catalogue_link, now, keep_catalogues=week, dry_run=dry_run
    )
