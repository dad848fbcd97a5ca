"""Dividing a large build into parts of whole sessions, each of which fits in memory.

Lives here: `divide_plan`: where a part ends, and what of the plan falls into it.
Does not live here: planning (`plan.py`), preparing and committing a part (`prepare.py`, `commit.py`).

A part is built as if its last session were the newest in the lake: like a night after all that the parts before it committed. A
night that goes on from stored state equals a full build, so that the sessions at which parts end do not show in any row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import polars as pl

from pipelines.build.plan import BuildPlan
from pipelines.build.replacement_windows import touched_sessions
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: Bars of a part, daily and one-minute, whose scans fit into the memory that `dbt_project/profiles.yml` grants.
MOST_DAILY, MOST_MINUTES = 100_000, 1_500_000


def divide_plan(lake: Lake, plan: BuildPlan, most_daily: int = MOST_DAILY, most_minutes: int = MOST_MINUTES) -> list[BuildPlan]:
    """The plan itself where it is small, else its parts in the order of their sessions.

    most_daily, most_minutes: bars of all instruments in the sessions of a part, since scanners look at all of them; a session is
    never divided.
    """
    sessions = touched_sessions(plan)
    daily, minutes = _daily_bars(lake, plan, sessions), _minute_bars(lake, plan)
    last_days, held_daily, held_minutes = [], 0.0, 0
    for at, session in enumerate(sessions):
        held_daily, held_minutes = held_daily + daily[session], held_minutes + minutes[session]
        if at and (held_daily > most_daily or held_minutes > most_minutes):
            last_days.append(sessions[at - 1])
            held_daily, held_minutes = daily[session], minutes[session]
    return list(_parts(plan, last_days)) if last_days else [plan]


def _parts(plan: BuildPlan, last_days: list[date]) -> Iterator[BuildPlan]:
    begin = date.min
    for until in [*last_days, date.max]:
        part = replace(
            plan,
            daily=_within(plan.daily, begin, until),
            minute=_within(plan.minute, begin, until),
            listings=_within(plan.listings, begin, until),
            bounds=plan.bounds.with_columns(pl.min_horizontal("last_session", pl.lit(until))),
            # Only the first begins with nothing.
            full=plan.full and begin == date.min,
            until=None if until == date.max else until,
        )
        begin = until
        yield part


def _within(window: pl.DataFrame, after: date, until: date) -> pl.DataFrame:
    """What of a window lies after a session and not beyond another. A row whose last change came before stays as it says."""
    begins = pl.lit(after) + pl.duration(days=1)
    return (
        window.with_columns(
            from_session=pl.when(pl.col("from_session") <= after).then(begins).otherwise("from_session"),
            to_session=pl.min_horizontal("to_session", pl.lit(until)),
            changed_to=pl.min_horizontal("changed_to", pl.lit(until)),
        )
        .filter(pl.col("from_session") <= pl.col("to_session"))
        .select(window.columns)
    )


def _daily_bars(lake: Lake, plan: BuildPlan, sessions: list[date]) -> dict[date, float]:
    """Daily bars of each session, about: those of its year, divided by the year's sessions."""
    version = plan.inputs.get("bars_daily")
    table = LakeTable(lake.table_uri(plan.exchange, "bars_daily"), TABLES["bars_daily"])
    by_year = {} if version is None else table.partition_rows(version)
    first, last = plan.bounds.row(0) if plan.bounds.height else (date.max, date.min)
    counted = Counter(session.session_date.year for session in plan.calendar.between(first, last))
    return {day: by_year.get(day.year, 0) / max(counted[day.year], 1) for day in sessions}


def _minute_bars(lake: Lake, plan: BuildPlan) -> Counter[date]:
    """One-minute bars of each session."""
    version = plan.inputs.get("bars_1m")
    if version is None:
        return Counter()
    return Counter(LakeTable(lake.table_uri(plan.exchange, "bars_1m"), TABLES["bars_1m"]).partition_rows(version))  # type: ignore[arg-type]
