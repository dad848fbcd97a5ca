"""What a build has to compute: which instruments from which session on, from which versions of the inputs.

Lives here: `plan_build`, the difference between the last release and the lake's head.
Does not live here: computing it (dbt and the research assets), publishing it (`storage/releases.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pipelines.build.bar_spans import BarSpans
from pipelines.build.changes import changed_rows
from pipelines.build.listings import NameChanges, changed_names, universe_window
from pipelines.market.calendar import ExchangeCalendar, calendar
from pipelines.market.tables import TABLES
from pipelines.market.tables.build_inputs import WINDOW_BOUNDS, WINDOW_DAILY
from pipelines.storage.delta import LakeTable, PartitionValue, empty_frame
from pipelines.storage.location import Lake

#: Lake tables that derived tables are computed from.
INPUTS = ("bars_daily", "bars_1m", "corporate_actions", "instruments", "instrument_aliases")

#: Shape of a window: rows to rebuild and, from `changed_to` on, rows that only follow from what came before them.
WINDOW = WINDOW_DAILY.polars()
#: The exchange's first and last session with bars: one row, or none without bars.
BOUNDS = WINDOW_BOUNDS.polars()


@dataclass(frozen=True)
class BuildPlan:
    """A build of one exchange.

    inputs: pinned versions of the lake tables (absent ones left out). daily, minute: frames of (instrument_id, from_session,
    to_session, changed_to): rebuild that instrument's rows of those sessions; its bars and actions after changed_to are those of
    the last build. full: every window starts at the first bar. listings: the same columns, sessions whose universe gains or loses
    the instrument by what is known of its listing or its tickers alone. bounds: see `BOUNDS`. days: the sessions that are counted.
    until: the last session that the models see of any table, as in a part of a build (`parts.py`); None: all.
    """

    exchange: str
    inputs: dict[str, int]
    daily: pl.DataFrame
    minute: pl.DataFrame
    full: bool
    listings: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WINDOW))
    bounds: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=BOUNDS))
    days: ExchangeCalendar | None = None
    until: date | None = None

    @property
    def calendar(self) -> ExchangeCalendar:
        """The sessions that the build counts: `days`, or the exchange's calendar as it ships."""
        return self.days or calendar(self.exchange, None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be computed."""
        return self.daily.is_empty() and self.minute.is_empty() and self.listings.is_empty()

    def describe(self) -> str:
        """One line for people: how many instruments, and from when."""
        if self.is_empty:
            return "nothing is new"
        parts = []
        for name, window in (("daily", self.daily), ("one-minute", self.minute), ("universe", self.listings)):
            if not window.is_empty():
                first: date = window["from_session"].min()  # type: ignore[assignment]
                parts.append(f"{name}: {window.height} instruments from {first}")
        return ("full rebuild; " if self.full else "") + "; ".join(parts)

    def fingerprint(self) -> str:
        """Hash of the pinned inputs."""
        return hashlib.sha256(json.dumps([self.exchange, self.inputs], sort_keys=True).encode()).hexdigest()


def plan_build(
    lake: Lake,
    exchange: str,
    built: Mapping[str, int] | None,
    *,
    full: bool = False,
    sessions: Collection[date] = (),
    named: Collection[str] = (),
    days: ExchangeCalendar | None = None,
    pinned: Mapping[str, int] | None = None,
) -> BuildPlan:
    """Everything between the inputs of the last build (`built`: versions by table; None: never built) and the lake's head.

    A changed bar outdates its instrument from its session on, since indicators carry state; a changed action from its ex-date; a
    changed listing or ticker from the day on which it differs. `sessions` are rebuilt besides, so that a build always leaves the
    derived tables complete. Where no table has another version nothing is read. `named`: symbols that universes list. `days`: the
    sessions to count, by default those of the calendar. `pinned`: versions of the inputs to build from in place of the lake's
    head; a table that it leaves out is absent.
    """
    days = days or lake.calendar(exchange)
    tables = {name: LakeTable(lake.table_uri(exchange, name), TABLES[name]) for name in INPUTS}
    if pinned is None:
        inputs = {name: version for name, table in tables.items() if (version := table.version()) is not None}
    else:
        inputs = {name: pinned[name] for name in tables if name in pinned}
    base: Mapping[str, int] = {} if full or built is None else built
    nothing = pl.DataFrame(schema=WINDOW)
    if base and not sessions and inputs == {name: base[name] for name in INPUTS if name in base}:
        return BuildPlan(exchange, inputs, nothing, nothing, full=False, days=days)

    def outdated(name: str, date_column: str) -> pl.DataFrame:
        if name not in inputs:
            return pl.DataFrame(schema={"instrument_id": pl.String, "session": pl.Date})
        rows = changed_rows(tables[name], base.get(name), inputs[name], ["instrument_id", date_column])
        return rows.select("instrument_id", pl.col(date_column).alias("session"))

    names = _name_changes(tables, base, inputs, named)
    actions = outdated("corporate_actions", "ex_date")
    spans = {name: BarSpans(tables[name], inputs.get(name)) for name in ("bars_daily", "bars_1m")}
    windows = {}
    for name, span in spans.items():
        requested = _rows_of_sessions(tables[name], inputs.get(name), sessions)
        known = names.all if name == "bars_daily" else names.all.clear()
        bars = outdated(name, "session_date") if name in base else span.ends()
        windows[name] = _window(span, pl.concat([bars, actions, requested, known]), bars)
    bounds = _bounds(spans.values())
    changed = universe_window(days, names, _ends(spans, names), bounds.row(0) if bounds.height else None)
    listings = pl.DataFrame({**changed, "changed_to": changed["to_session"]}, schema=WINDOW)
    return BuildPlan(exchange, inputs, windows["bars_daily"], windows["bars_1m"], not base, listings, bounds, days)


def _name_changes(
    tables: Mapping[str, LakeTable], base: Mapping[str, int], inputs: Mapping[str, int], named: Collection[str]
) -> NameChanges:
    """Between the last build and the head; nothing where everything is built anew."""

    def versions(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        nothing = empty_frame(tables[name].schema)
        if not base or name not in inputs or base.get(name) == inputs[name]:
            return nothing, nothing
        return tables[name].read(base[name]) if name in base else nothing, tables[name].read(inputs[name])

    return changed_names(versions("instruments"), versions("instrument_aliases"), named)


def _rows_of_sessions(table: LakeTable, version: int | None, sessions: Collection[date]) -> pl.DataFrame:
    empty = pl.DataFrame(schema={"instrument_id": pl.String, "session": pl.Date})
    if version is None or not sessions:
        return empty
    by_year = table.schema.partition_by == "session_year"
    partitions: list[PartitionValue] = sorted({d.year for d in sessions}) if by_year else sorted(sessions)
    rows = table.read(version, partitions, ["instrument_id", "session_date"])
    rows = rows.filter(pl.col("session_date").is_in(list(sessions))).unique(maintain_order=True)
    return rows.select("instrument_id", pl.col("session_date").alias("session"))


def _window(spans: BarSpans, outdated: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Each outdated instrument from its first outdated session to its last bar, one that is gone (of changed `bars`) included."""
    if outdated.is_empty():
        return pl.DataFrame(schema=WINDOW)
    session = pl.col("session")
    first = outdated.group_by("instrument_id").agg(session.min().alias("from_session"), session.max().alias("changed_to"))
    # What is known of an instrument may reach back before every bar.
    always = pl.col("from_session") == date.min
    gone = bars.select("instrument_id", pl.col("session").alias("to_session"))
    lasts = spans.last(first.select("instrument_id", not_before="from_session"))
    last = pl.concat([lasts, gone]).group_by("instrument_id").agg(pl.col("to_session").max())
    came = bars.select("instrument_id", first_session="session")
    firsts = spans.first(first.filter(always).get_column("instrument_id"))
    earliest = pl.concat([firsts, came]).group_by("instrument_id").agg(pl.col("first_session").min())
    return (
        first.join(last, on="instrument_id")
        .join(earliest, on="instrument_id", how="left")
        .with_columns(from_session=pl.when(always).then("first_session").otherwise("from_session"))
        .filter(pl.col("from_session") <= pl.col("to_session"))
        .select(*WINDOW)
        .sort("instrument_id")
    )


def _bounds(spans: Iterable[BarSpans]) -> pl.DataFrame:
    known = [bounds for each in spans if (bounds := each.bounds()) is not None]
    rows = [(min(first for first, _ in known), max(last for _, last in known))] if known else []
    return pl.DataFrame(rows, schema=BOUNDS, orient="row")


def _ends(spans: Mapping[str, BarSpans], names: NameChanges) -> pl.DataFrame:
    """The last session with a bar of either kind, of each instrument whose listing or ticker changed."""
    asked = pl.concat([names.listings, names.listed_by_name]).select("instrument_id", not_before=pl.lit(date.min)).unique()
    daily = spans["bars_daily"].last(asked)
    # Minutes matter where they go on beyond the last daily bar.
    beyond = asked.join(daily, on="instrument_id", how="left").select(
        "instrument_id", not_before=pl.col("to_session").fill_null(date.min)
    )
    both = pl.concat([daily, spans["bars_1m"].last(beyond)])
    return both.group_by("instrument_id").agg(pl.col("to_session").max())
