"""What findings about prices do to signals.

Lives here: the home's choice, as the frame that models read (`lake.finding_effects`).
Does not live here: the findings (`dbt_project/models/intermediate/int_suspected_actions.sql`), the setting itself (`settings.py`).
"""

from __future__ import annotations

import polars as pl

from pipelines.build.lake_schema import FINDING_EFFECTS
from pipelines.settings import Settings


def configured_effects() -> pl.DataFrame:
    """The home's choices that differ from the defaults: no row while signals across suspected actions are withheld."""
    chosen = Settings().suspected_actions
    rows = [] if chosen == "withhold" else [("suspected_action", chosen)]
    return pl.DataFrame(rows, schema=FINDING_EFFECTS, orient="row")
