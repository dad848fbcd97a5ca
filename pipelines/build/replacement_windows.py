"""What of a derived table a build replaces: which stored rows are outdated, and in which sessions they lie.

Lives here: one function per kind of table, `(plan, schema, keys built) -> Replaced`, and the sessions that a plan touches.
Does not live here: which table is of which kind (`commit.py`), planning (`build/plan.py`), replacing (`storage/upsert.py`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from operator import attrgetter

import polars as pl

from pipelines.build.plan import BuildPlan
from pipelines.indicators.volume_profiles import CALENDAR_DAYS, SESSIONS
from pipelines.market.schema import TableSchema

#: Which of the stored rows are outdated: a Boolean for each.
Condition = Callable[[pl.DataFrame], pl.Series]


@dataclass(frozen=True)
class Replaced:
    """The stored rows that a build replaces, and the sessions they may lie in."""

    outdated: Condition
    sessions: list[date]


ReplacementStrategy = Callable[[BuildPlan, TableSchema, pl.DataFrame], Replaced]


def replace_indicators(plan: BuildPlan, schema: TableSchema, keys: pl.DataFrame) -> Replaced:
    """Indicators and their state: each instrument from its first change as far as the walk followed it."""
    return _in(plan, _built(plan.minute if schema.name.endswith("_1m") else plan.daily, keys))


def replace_curves(plan: BuildPlan, schema: TableSchema, keys: pl.DataFrame) -> Replaced:
    """Curves: each follows from its own session's minutes alone."""
    return _in(plan, plan.minute.with_columns(to_session="changed_to"))


def replace_profiles(plan: BuildPlan, schema: TableSchema, keys: pl.DataFrame) -> Replaced:
    """Profiles: whole sessions, those of changed minutes and the 20 regular ones after each."""
    sessions = plan.calendar.sessions
    due: set[date] = set()
    for first, last in plan.minute.select("from_session", "changed_to").unique().iter_rows():
        begin = bisect_left(sessions, first, key=_date_of)
        end = bisect_right(sessions, last, key=_date_of)
        regular = 0
        while end < len(sessions) and regular < SESSIONS:
            regular += sessions[end].kind == "regular"
            end += 1
        due.update(s.session_date for s in sessions[begin:end])
    if plan.until is not None:
        # As of a night, that of the session to come; those after it are left to the next part.
        following = sessions[bisect_right(sessions, plan.until, key=_date_of) :][:1]
        due = {day for day in due if day <= max([plan.until, *(s.session_date for s in following)])}
    return _of_sessions(sorted(due))


def scanned(plan: BuildPlan, schema: TableSchema, keys: pl.DataFrame) -> Replaced:
    """What scanners make: whole sessions, all that the plan touches for any instrument."""
    return _of_sessions(touched_sessions(plan))


def replace_nightly_scans(plan: BuildPlan, schema: TableSchema, keys: pl.DataFrame) -> Replaced:
    """The same of nightly scans; live ones stay on record whatever the nightly run finds."""
    found = scanned(plan, schema, keys)
    return Replaced(lambda stored: found.outdated(stored) & (stored.get_column("mode") == "nightly"), found.sessions)


def daily(plan: BuildPlan, schema: TableSchema, keys: pl.DataFrame) -> Replaced:
    """What is said of daily bars: the daily window."""
    return _in(plan, plan.daily)


def replace_reconciliation(plan: BuildPlan, schema: TableSchema, keys: pl.DataFrame) -> Replaced:
    """What compares days with their minutes: either window."""
    days, minutes = _in(plan, plan.daily), _in(plan, plan.minute)
    sessions = sorted({*days.sessions, *minutes.sessions})
    return Replaced(lambda stored: days.outdated(stored) | minutes.outdated(stored), sessions)


def replace_quality_metrics(plan: BuildPlan, schema: TableSchema, keys: pl.DataFrame) -> Replaced:
    """Figures of bars by session: those of the window of the table measured, and those made again under their key."""
    days, minutes = _in(plan, plan.daily), _in(plan, plan.minute)
    key = list(schema.key)
    made = keys.select(key).unique().with_columns(__made=pl.lit(value=True))

    def outdated(stored: pl.DataFrame) -> pl.Series:
        again = stored.select(key).join(made, on=key, how="left", maintain_order="left").get_column("__made").fill_null(value=False)
        bars = stored.rename({"date": "session_date"})
        of_minutes = stored.get_column("table_name") == "bars_1m"
        return again | (minutes.outdated(bars) & of_minutes) | (days.outdated(bars) & ~of_minutes)

    return Replaced(outdated, sorted({*days.sessions, *minutes.sessions, *keys.get_column("date").unique()}))


def touched_sessions(plan: BuildPlan) -> list[date]:
    """Sessions that lie in any instrument's window, or whose universe changed: scanners look at all instruments of these."""
    both = pl.concat([plan.daily, plan.minute, plan.listings])
    ranges = both.select("from_session", "to_session").unique().rows()
    return [d for d in _sessions(plan, both) if any(first <= d <= last for first, last in ranges)]


def looked_at(plan: BuildPlan) -> list[date]:
    """Sessions whose curves and profiles a build may read: its window's, and 20 regular ones to either side."""
    touched = touched_sessions(plan)
    if not touched:
        return []
    around = plan.calendar.between(touched[0] - CALENDAR_DAYS, touched[-1] + CALENDAR_DAYS)
    return [s.session_date for s in around]


def _built(window: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """The window as far as it was built: the walk leaves an instrument once nothing can differ from the last build any more.

    It never leaves before the last change, so up to there a session without a row has lost its bar.
    """
    ends = keys.group_by("instrument_id").agg(pl.col("session_date").max().alias("built_to"))
    joined = window.join(ends, on="instrument_id", how="left", maintain_order="left")
    return joined.with_columns(to_session=pl.coalesce(pl.max_horizontal("built_to", "changed_to"), "to_session"))


def _in(plan: BuildPlan, window: pl.DataFrame) -> Replaced:
    def outdated(stored: pl.DataFrame) -> pl.Series:
        spans = stored.select("instrument_id", "session_date").join(window, on="instrument_id", how="left", maintain_order="left")
        inside = pl.col("session_date").is_between(pl.col("from_session"), pl.col("to_session"))
        return spans.select(inside.fill_null(value=False)).to_series()

    return Replaced(outdated, _sessions(plan, window))


def _of_sessions(sessions: Collection[date]) -> Replaced:
    days = list(sessions)
    return Replaced(lambda stored: stored.get_column("session_date").is_in(days), days)


def _sessions(plan: BuildPlan, window: pl.DataFrame) -> list[date]:
    """Sessions between the window's first and last."""
    if window.is_empty():
        return []
    first, last = window.select(pl.col("from_session").min(), pl.col("to_session").max()).row(0)
    return [s.session_date for s in plan.calendar.between(first, last)]


_date_of = attrgetter("session_date")
