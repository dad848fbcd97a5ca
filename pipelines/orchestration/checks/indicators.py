"""The check of the indicators after a build: are the rows of past sessions the same when later bars are cut off or altered?

Lives here: the asset check `look_ahead` on `indicators_daily` of an exchange. What was not tried has no result.
Does not live here: computing rows again (`scanners/verification/indicators.py`), which sessions
(`scanners/verification/records.py`).
"""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from pipelines.build.derived_tables import versions_of
from pipelines.build.prepare import current_plan
from pipelines.indicators.registry import home_registry
from pipelines.indicators.tables import indicator_tables
from pipelines.market.tables import TABLES
from pipelines.orchestration.keys import table_key
from pipelines.orchestration.metadata import preview
from pipelines.orchestration.resources import MarketlakeResource
from pipelines.scanners.project import HomeProject
from pipelines.scanners.verification.indicators import indicators_ahead
from pipelines.scanners.verification.records import sessions_to_check

#: Of the sessions in which scanners are tried, those with most.
_SESSIONS = 4
_ABOUT = (
    "Rows of sampled past sessions, computed again from the carried state with later bars cut off and altered, are those that "
    "were published."
)


def indicator_checks(mic: str, project: HomeProject) -> list[dg.AssetChecksDefinition]:
    """The check of an exchange's indicators; they stand on models in the manifest of `project`."""
    spec = dg.AssetCheckSpec("look_ahead", asset=table_key(mic, "indicators_daily"), blocking=False, description=_ABOUT)

    # `can_subset`: without a past session to try the check has no result, neither passed nor failed. It stands on the record too.
    @dg.multi_asset_check(name=f"{mic}__indicator_checks", specs=[spec], can_subset=True)
    def checks(marketlake: MarketlakeResource) -> Iterator[dg.AssetCheckResult]:
        plan = current_plan(marketlake.state_dir, mic)
        if not plan["sessions"]:
            return
        registry = home_registry(marketlake.lake.indicators)
        read = {**indicator_tables(registry), "scanner_runs": TABLES["scanner_runs"]}
        versions = {**versions_of(marketlake.lake, mic, read), **plan["inputs"]}
        first, last = (date.fromisoformat(day) for day in plan["sessions"][:2])
        most = marketlake.checked_past_sessions
        sampled = sessions_to_check(marketlake.lake, mic, versions, first, last, most, full=plan["full"])
        past = sorted(sampled, key=lambda day: (-len(sampled[day]), day))[:_SESSIONS]
        rows, different = indicators_ahead(marketlake.lake, mic, versions, project.compiled(), past)
        if not rows:
            return
        message = f"{rows} rows of {len(past)} sessions were computed again"
        columns = different["column"].unique().sort().to_list()
        if columns:
            names = sorted({i.name for i in registry for output in i.outputs if output.name in columns}) or ["(carried state)"]
            days = ", ".join(str(day) for day in different["session_date"].unique().sort())
            message = f"{', '.join(names)}: other values without later bars in {', '.join(columns)} of {days}"
        yield dg.AssetCheckResult(
            passed=not columns,
            asset_key=spec.asset_key,
            check_name=spec.name,
            description=message,
            metadata={"rows": rows, **({"differ": preview(different, rows=20)} if columns else {})},
        )

    return [checks]
