"""What findings about prices do to signals.

Lives here: a home's choice, as the frame that models read (`lake.finding_effects`).
Does not live here: the findings (`dbt_project/models/intermediate/int_suspected_actions.sql`), the setting itself (`settings.py`).
"""

from __future__ import annotations

import polars as pl

from pipelines.build.lake_schema import FINDING_EFFECTS


def configured_effects(suspected_actions: str) -> pl.DataFrame:
    """The choices that differ from the defaults: no row while signals across suspected actions are withheld."""
    rows = [] if suspected_actions == "withhold" else [("suspected_action", suspected_actions)]
    return pl.DataFrame(rows, schema=FINDING_EFFECTS, orient="row")
