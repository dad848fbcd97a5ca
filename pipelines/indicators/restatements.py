"""Restatements of a window's instruments: when known inputs changed, from which session on, and what they had been before.

Lives here: reading replaced bars and late or replaced corporate actions from the build database.
Does not live here: what they do to the rows behind them (`known_at.py`), keeping replaced rows (`storage/upsert.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.indicators.frame import INPUT_NAMES, Floats, Ints

if TYPE_CHECKING:
    import duckdb

_EPOCH = date(1970, 1, 1).toordinal()
_MICROSECONDS = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Restatement:
    """One time `at` (microseconds UTC) at which known inputs of an instrument changed.

    Day numbers: `first` and `last` session whose inputs changed, `until`: the last session that had opened by then. Rows of later
    sessions were computed from the restated inputs in the first place.
    """

    at: int
    first: int
    last: int
    until: int


class ActionVersion(NamedTuple):
    """A corporate action as it stood from `known` until `replaced` (microseconds UTC, None: it still stands)."""

    ex_day: int
    action: str
    price_factor: float
    volume_divisor: float
    known: int
    replaced: int | None
    is_late: bool


@dataclass(frozen=True)
class Bars:
    """Bars of one instrument in time order.

    `key` int64: what orders them and names each (its start, or its session's day number). `session` int32: day number. `values`
    float64[6, n]: rows as `INPUT_NAMES`. `known` and `replaced` int64: from when until when each was believed, microseconds UTC.
    """

    key: Ints
    session: npt.NDArray[np.int32]
    values: Floats
    known: Ints
    replaced: Ints

    def take(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Bars:
        """Those rows."""
        return Bars(self.key[rows], self.session[rows], self.values[:, rows], self.known[rows], self.replaced[rows])


class Restatements:
    """The restatements that reach the window's sessions, by instrument and in order of time."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, bars: str, replaced: str, order: str, columns: str, window: pl.DataFrame
    ) -> None:
        """`bars`, `replaced`: relations; `order`: the bars' time column; `columns`: what of both is read; `window`: to build."""
        self._connection, self._bars, self._replaced, self._order = connection, bars, replaced, order
        self._columns = columns
        sessions = connection.sql("select session_date, opens_at from staging.stg_sessions order by session_date").pl()
        self._days = sessions["session_date"].to_physical().to_numpy()
        self._opens = sessions["opens_at"].cast(_MICROSECONDS).to_physical().to_numpy()
        self.of: dict[str, list[Restatement]] = {}
        self._actions: dict[str, list[ActionVersion]] = {}
        if not window.is_empty() and sessions.height:
            self._load(window)

    def actions_before(self, name: str, at: int) -> list[tuple[int, float, float]]:
        """Ex-day, price factor and volume divisor of the instrument's actions as known before `at`, in order of application."""
        standing: dict[tuple[int, str], ActionVersion] = {}
        for version in self._actions.get(name, []):
            is_known = version.known < at or not version.is_late
            if is_known and (version.replaced is None or version.replaced >= at):
                key = version.ex_day, version.action
                if key not in standing or standing[key].known < version.known:
                    standing[key] = version
        return [(v.ex_day, v.price_factor, v.volume_divisor) for _, v in sorted(standing.items())]

    def replaced_bars(self, first: date, last: date) -> dict[str, Bars]:
        """Bars of sessions `first` … `last` that were replaced, of the instruments with restatements that changed these."""
        low, high = day_number(first), day_number(last)
        names = [name for name, found in self.of.items() if any(r.first <= high and r.last >= low for r in found)]
        if not names:
            return {}
        wanted = pl.DataFrame({"instrument_id": names}, schema={"instrument_id": pl.String})
        self._connection.register("restated", wanted.to_arrow())
        try:
            rows = self._connection.sql(
                f"select {self._columns}, superseded_at from {self._replaced} as replaced "
                "inner join restated using (instrument_id) "
                f"where session_date between ? and ? and known_at < superseded_at order by instrument_id, {self._order}, known_at",
                params=[first, last],
            ).pl()
        finally:
            self._connection.unregister("restated")
        return {
            str(name): bars_of(part, self._order, part["superseded_at"])
            for (name,), part in rows.group_by("instrument_id", maintain_order=True)
        }

    # --- below: loading ---

    def _load(self, window: pl.DataFrame) -> None:
        begins = {name: day_number(day) for name, day in window.select("instrument_id", "from_session").iter_rows()}
        floor = self._opening(min(begins.values()))
        changes = self._changed_bars(floor)
        self._actions = self._action_versions(begins)
        for name, versions in self._actions.items():
            changes += [(name, at, v.ex_day, v.ex_day) for v in versions for at in _changes_of(v)]
        found: dict[str, dict[int, Restatement]] = defaultdict(dict)
        for name, at, first, last in changes:
            if name not in begins or (span := self._restatement(at, first, last)) is None or span.until < begins[name]:
                continue
            other = found[name].setdefault(at, span)
            found[name][at] = replace(other, first=min(other.first, span.first), last=max(other.last, span.last))
        self.of = {name: [spans[at] for at in sorted(spans)] for name, spans in sorted(found.items()) if spans}

    def _restatement(self, at: int, first: int, last: int) -> Restatement | None:
        """The restatement from the first session of these days or later; None where that had not opened by then."""
        place, opened = int(np.searchsorted(self._days, first)), int(np.searchsorted(self._opens, at)) - 1
        if place > opened:
            return None
        begin = int(self._days[place])
        return Restatement(at, begin, max(begin, last), int(self._days[opened]))

    def _changed_bars(self, floor: int) -> list[tuple[str, int, int, int]]:
        """Instrument, time, first and last changed day of every time after `floor` at which stored bars changed.

        A bar that moved from one instrument to another was replaced at the one and came late at the other.
        """
        since = pl.Series([floor], dtype=pl.Int64).cast(_MICROSECONDS).item()
        gone = self._connection.sql(
            f"select instrument_id, session_date, superseded_at as at from {self._replaced} "
            "where superseded_at > ? and known_at < superseded_at group by all",
            params=[since],
        ).pl()
        if gone.is_empty():
            return []
        arrived = gone.select("session_date", "at").unique()
        # Listed one by one: only the files of these sessions are opened.
        days = ", ".join(f"date '{day}'" for day in arrived["session_date"].unique().sort())
        self._connection.register("arrived", arrived.to_arrow())
        try:
            come = self._connection.sql(
                f"select instrument_id, session_date, known_at as at from {self._bars} as bars "
                f"semi join arrived on bars.session_date = arrived.session_date and bars.known_at = arrived.at "
                f"where session_date in ({days}) group by all"
            ).pl()
        finally:
            self._connection.unregister("arrived")
        both = (
            pl.concat([gone, come])
            .group_by("instrument_id", "at")
            .agg(pl.col("session_date").min().alias("first"), pl.col("session_date").max().alias("last"))
        )
        return both.select(
            "instrument_id",
            pl.col("at").cast(_MICROSECONDS).to_physical(),
            pl.col("first").to_physical().cast(pl.Int64),
            pl.col("last").to_physical().cast(pl.Int64),
        ).rows()

    def _action_versions(self, wanted: Mapping[str, int]) -> dict[str, list[ActionVersion]]:
        rows = self._connection.sql(
            "select instrument_id, ex_date, action, price_factor, volume_divisor, known_at, null::timestamptz as superseded_at "
            "from intermediate.int_price_actions where price_factor is not null union all "
            "select instrument_id, ex_date, action, price_factor, volume_divisor, known_at, superseded_at "
            "from intermediate.int_price_actions_superseded where price_factor is not null and known_at < superseded_at "
            "order by instrument_id, ex_date, action, known_at, superseded_at"
        ).pl()
        physical = rows.with_columns(
            pl.col("ex_date").to_physical().cast(pl.Int64), pl.col("known_at", "superseded_at").cast(_MICROSECONDS).to_physical()
        )
        versions: dict[str, list[ActionVersion]] = defaultdict(list)
        for name, ex_day, action, price_factor, volume_divisor, known, replaced in physical.iter_rows():
            if name in wanted:
                is_late = known > self._opening(ex_day)
                versions[name].append(ActionVersion(ex_day, action, price_factor, volume_divisor, known, replaced, is_late))
        return versions

    def _opening(self, day: int) -> int:
        """When the first session of that day or later opened, microseconds UTC; beyond the calendar the end of time."""
        place = int(np.searchsorted(self._days, day))
        return int(self._opens[place]) if place < self._opens.size else np.iinfo(np.int64).max


def bars_of(rows: pl.DataFrame, order: str, replaced: pl.Series | None = None) -> Bars:
    """Bars from rows of one instrument in time order; `replaced` (default: never): until when each was believed."""
    values = np.stack([rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in INPUT_NAMES])
    until = np.full(rows.height, np.iinfo(np.int64).max) if replaced is None else _physical(replaced.cast(_MICROSECONDS))
    session = rows["session_date"].to_physical().to_numpy().astype(np.int32)
    return Bars(_physical(rows[order]), session, values, _physical(rows["known_at"].cast(_MICROSECONDS)), until)


def day_number(day: date) -> int:
    """Days since 1 January 1970."""
    return day.toordinal() - _EPOCH


def _changes_of(version: ActionVersion) -> list[int]:
    """The times at which an action came late or ceased to stand."""
    return [*([version.known] if version.is_late else []), *([] if version.replaced is None else [version.replaced])]


def _physical(column: pl.Series) -> Ints:
    return column.to_physical().cast(pl.Int64).to_numpy()
