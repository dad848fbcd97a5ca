"""The check that bars came: of the run's sessions, and not more sessions ago than a setting allows.

Lives here: the asset check `freshness` on `bars_daily` of an exchange, which the nightly job evaluates.
Does not live here: measuring it (`ingest/freshness.py`); the step that then builds nothing (`orchestration/assets/models.py`).
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import dagster as dg

from pipelines.ingest.freshness import Freshness, measure_freshness
from pipelines.market.calendar import ExchangeCalendar
from pipelines.orchestration.keys import table_key
from pipelines.orchestration.resources import MarketlakeResource

_ABOUT = (
    "The lake has bars of the sessions that the run is for, and an exchange that is delivered daily lies fewer sessions behind its "
    "calendar than MARKETLAKE_STALE_AFTER_SESSIONS. Bars that never came as their sessions closed are history: that warns."
)


def freshness_check(mic: str) -> dg.AssetChecksDefinition:
    """The check of an exchange. It stands on no step of the run, so that it also has a result when nothing can be built."""

    @dg.asset_check(asset=table_key(mic, "bars_daily"), name="freshness", blocking=False, description=_ABOUT)
    def freshness(context: dg.AssetCheckExecutionContext, marketlake: MarketlakeResource) -> dg.AssetCheckResult:
        asked = _sessions(marketlake.lake.calendar(mic), context.run.tags)
        return _result(measure_freshness(marketlake.lake, mic, _now(), marketlake.stale_after_sessions, asked))

    return freshness


def _now() -> datetime:
    return datetime.now(UTC)


def _sessions(days: ExchangeCalendar, tags: Mapping[str, str]) -> list[date]:
    """The sessions of the run's partitions, by its tags: a check has no partitions of its own."""
    if day := tags.get("dagster/partition"):
        return [date.fromisoformat(day)]
    first, last = (tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    if first is None or last is None:
        return []
    return [s.session_date for s in days.between(date.fromisoformat(first), date.fromisoformat(last))]


def _result(found: Freshness) -> dg.AssetCheckResult:
    advice = found.advice()
    return dg.AssetCheckResult(
        passed=found.state == "fresh",
        severity=dg.AssetCheckSeverity.ERROR if found.state == "stale" else dg.AssetCheckSeverity.WARN,
        description=f"{found.describe()}; {advice}" if advice else found.describe(),
        metadata={
            "newest_session": str(found.newest),
            "expected_session": str(found.expected),
            "sessions_behind": found.behind,
            "sessions_missing": len(found.missing),
        },
    )
