"""Checks that warn: what was noticed about published bars. They block nothing and change nothing.

Lives here: asset checks of severity WARN on the tables of findings of an exchange.
Does not live here: what is noticed and how (`dbt_project/models/marts/`); the blocking gate (`gate.py`).
"""

from collections.abc import Iterator

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
    spec = dg.AssetCheckSpec(
        "prices_look_right",
        asset=table_key(mic, "price_flags"),
        description="No price of the sessions just built looks like an unrecorded split, lacks the jump of a recorded one, or "
        "stands still. A warning mends nothing: record the action, or let the price be.",
    )

    # `can_subset`: where nothing was built nothing is looked at, and the check has no result, neither passed nor failed.
    @dg.multi_asset_check(name=f"{mic}__price_checks", specs=[spec], can_subset=True)
    def prices_look_right(marketlake: MarketlakeResource) -> Iterator[dg.AssetCheckResult]:
        flags = _built(marketlake, mic, "price_flags")
        if flags is not None:
            yield _result(spec, flagged_prices(flags))

    return prices_look_right


def _minutes(mic: str) -> dg.AssetChecksDefinition:
    spec = dg.AssetCheckSpec(
        "minutes_agree_with_daily",
        asset=table_key(mic, "minute_reconciliation"),
        description="One-minute bars of the sessions just built add up to their daily bars: official close within 5 basis points, "
        "high and low within two ticks, volume 0.99 to 1.00.",
    )

    # As above; nor is there a result of sessions that have no minutes.
    @dg.multi_asset_check(name=f"{mic}__minute_checks", specs=[spec], can_subset=True)
    def minutes_agree_with_daily(marketlake: MarketlakeResource) -> Iterator[dg.AssetCheckResult]:
        days = _built(marketlake, mic, "minute_reconciliation")
        if days is not None and days.height:
            yield _result(spec, reconciled_minutes(days))

    return minutes_agree_with_daily


def _built(marketlake: MarketlakeResource, mic: str, table: str) -> pl.DataFrame | None:
    """The table's rows of the sessions that the last build covered; None where it covered none."""
    sessions = current_plan(marketlake.state_dir, mic)["sessions"]
    if not sessions:
        return None
    rows = LakeTable(marketlake.lake.table_uri(mic, table), TABLES[table]).read()
    day = pl.col("session_date")
    return rows.filter(day.is_between(pl.lit(sessions[0]).str.to_date(), pl.lit(sessions[1]).str.to_date()))


def _result(spec: dg.AssetCheckSpec, finding: Finding) -> dg.AssetCheckResult:
    figures = {name: value for name, value in finding.figures.items() if value is not None}
    return dg.AssetCheckResult(
        passed=finding.holds,
        asset_key=spec.asset_key,
        check_name=spec.name,
        severity=dg.AssetCheckSeverity.WARN,
        description=finding.summary,
        metadata={**figures, "worth_a_look": preview(finding.rows, rows=20)},
    )
