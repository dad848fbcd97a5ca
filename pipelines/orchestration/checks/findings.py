"""Checks that warn: what was noticed about published bars. They block nothing and change nothing.

Lives here: asset checks of severity WARN on the tables of findings of an exchange.
Does not live here: what is noticed and how (`dbt_project/models/marts/`); the blocking gate (`gate.py`).
"""

import dagster as dg
import polars as pl

from pipelines.build.prepare import current_plan
from pipelines.market.tables import TABLES
from pipelines.orchestration.keys import table_key
from pipelines.orchestration.metadata import preview
from pipelines.orchestration.resources import MarketlakeResource
from pipelines.quality.findings import Finding, flagged_prices, reconciled_minutes
from pipelines.storage.delta import LakeTable


def finding_checks(mic: str) -> list[dg.AssetChecksDefinition]:
    """Warnings of an exchange: prices worth a look, minutes that do not add up to their day."""
    return [_prices(mic), _minutes(mic)]


def _prices(mic: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table_key(mic, "price_flags"),
        name="prices_look_right",
        blocking=False,
        description="No price of the sessions just built looks like an unrecorded split, lacks the jump of a recorded one, or "
        "stands still. A warning mends nothing: record the action, or let the price be.",
    )
    def prices_look_right(marketlake: MarketlakeResource) -> dg.AssetCheckResult:
        return _result(flagged_prices(_built(marketlake, mic, "price_flags")))

    return prices_look_right


def _minutes(mic: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=table_key(mic, "minute_reconciliation"),
        name="minutes_agree_with_daily",
        blocking=False,
        description="One-minute bars of the sessions just built add up to their daily bars: official close within 5 basis points, "
        "high and low within two ticks, volume 0.99 to 1.00.",
    )
    def minutes_agree_with_daily(marketlake: MarketlakeResource) -> dg.AssetCheckResult:
        return _result(reconciled_minutes(_built(marketlake, mic, "minute_reconciliation")))

    return minutes_agree_with_daily


def _built(marketlake: MarketlakeResource, mic: str, table: str) -> pl.DataFrame:
    """The table's rows of the sessions that the last build covered."""
    rows = LakeTable(marketlake.lake.table_uri(mic, table), TABLES[table]).read()
    sessions = current_plan(marketlake.state_dir, mic)["sessions"]
    if not sessions:
        return rows.clear()
    day = pl.col("session_date")
    return rows.filter(day.is_between(pl.lit(sessions[0]).str.to_date(), pl.lit(sessions[1]).str.to_date()))


def _result(finding: Finding) -> dg.AssetCheckResult:
    figures = {name: value for name, value in finding.figures.items() if value is not None}
    return dg.AssetCheckResult(
        passed=finding.holds,
        severity=dg.AssetCheckSeverity.WARN,
        description=finding.summary,
        metadata={**figures, "worth_a_look": preview(finding.rows, rows=20)},
    )
