"""Which indicators a Python model of dbt computes: those of the home that dbt was started for.

Lives here: `home_indicators`, for `dbt_project/models/indicators/`. dbt runs these models and hands them nothing, so that its
process, like any other, begins with its settings: of the environment, where a run or `dbt/run.py` has named the home.
Does not live here: computing them (`indicators/window.py`).
"""

from __future__ import annotations

from pipelines.indicators.registry import Registry, home_registry
from pipelines.settings import Settings


def home_indicators() -> Registry:
    """The indicators of the home. Raises IndicatorFileError."""
    return home_registry(Settings().indicators)
