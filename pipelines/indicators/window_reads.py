"""What the walk through a build's window reads from the build database.

Lives here: the relations of each bar size, and the queries for bars, sessions, actions and carried states.
Does not live here: the walk (`window.py`), what restated rows replaced (`restatements.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pipelines.indicators.restatements import day_number

if TYPE_CHECKING:
    import duckdb

#: Before every session.
BEGINNING = date(1, 1, 1)
#: Columns of the bounds that `bars` takes: an instrument, and its first and last session.
BOUNDS = {"instrument_id": pl.String, "first": pl.Date, "last": pl.Date}


@dataclass(frozen=True)
class Timeframe:
    """Where bars of one size come from, as dbt and storage name the relations, and how they are computed."""

    table: str
    bars: str
    replaced: str
    window: str
    state: str
    order: str
    columns: str
    intraday: bool

    @property
    def dtype(self) -> type[np.floating]:
        """Type of the published columns."""
        return np.float32 if self.intraday else np.float64


_PRICES = "symbol, open, high, low, close, cast(volume as double) as volume"

TIMEFRAMES = {
    "daily": Timeframe(
        "indicators_daily",
        "staging.stg_bars_daily",
        "lake.bars_daily_superseded",
        "lake.window_daily",
        "lake.indicator_state_daily",
        "session_date",
        f"exchange, instrument_id, session_date, {_PRICES}, turnover, known_at",
        intraday=False,
    ),
    "1m": Timeframe(
        "indicators_1m",
        "staging.stg_bars_1m",
        "lake.bars_1m_superseded",
        "lake.window_1m",
        "lake.indicator_state_1m",
        "ts",
        f"exchange, instrument_id, session_date, ts, {_PRICES}, cast(null as double) as turnover, known_at",
        intraday=True,
    ),
}


def sessions_behind(lookback: int, per_session: int) -> int:
    """Sessions before a window in which the last `lookback` bars and the state of nearly every instrument lie."""
    return lookback // per_session + 3 if per_session > 1 else lookback + lookback // 4 + 10


class WindowReads:
    """The build database of one window, as its walk asks it. Sessions and actions are read once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, kind: Timeframe) -> None:
        self._connection, self._kind = connection, kind
        sessions = self._query("select session_date, bars_expected from staging.stg_sessions order by session_date")
        self.sessions: list[date] = sessions["session_date"].to_list()
        #: Bars of a session at most.
        self.per_session = int(sessions["bars_expected"].max() or 1) if kind.intraday else 1  # type: ignore[arg-type]

    def window(self) -> pl.DataFrame:
        """The instruments to compute and the sessions of each, in order of their ids."""
        return self._query(f"select * from {self._kind.window} order by instrument_id")

    def actions(self) -> dict[str, list[tuple[int, float, float]]]:
        """Of each instrument (day number of the ex-date, price factor, volume divisor), in order."""
        found: dict[str, list[tuple[int, float, float]]] = {}
        for name, ex_date, price_factor, volume_divisor in self._query(
            "select instrument_id, ex_date, price_factor, volume_divisor from intermediate.int_price_actions "
            "where price_factor is not null order by instrument_id, ex_date, action"
        ).iter_rows():
            found.setdefault(name, []).append((day_number(ex_date), price_factor, volume_divisor))
        return found

    def bars(self, bounds: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
        """Bars from `first` to `last` of the instruments of `bounds`, each within its own first … last, in order."""
        with self._registered(bounds):
            return self._query(
                f"select {self._kind.columns} from {self._kind.bars} as bars inner join bounds using (instrument_id) "
                "where session_date between ? and ? and session_date between bounds.first and bounds.last "
                f"order by instrument_id, {self._kind.order}",
                [first, last],
            )

    def first_bars(self, instruments: pl.DataFrame) -> pl.DataFrame:
        """`first_session`: that of each instrument's first bar, where it has one, beside its `from_session`."""
        with self._registered(instruments.select("instrument_id", "from_session")):
            return self._query(
                f"select instrument_id, from_session, min(session_date) as first_session from {self._kind.bars} "
                "inner join bounds using (instrument_id) group by instrument_id, from_session"
            )

    def newest_states(self, bounds: pl.DataFrame, first: date, last: date) -> pl.DataFrame:
        """Each instrument's last carried state from `first` to `last` and within its bounds, and the session that it is after."""
        with self._registered(bounds):
            return self._query(
                f"select instrument_id, max(session_date) as session_date, arg_max(state, session_date) as state "
                f"from {self._kind.state} inner join bounds using (instrument_id) "
                "where session_date between ? and ? and session_date between bounds.first and bounds.last group by instrument_id",
                [first, last],
            )

    def states_after(self, sessions: pl.DataFrame) -> dict[str, np.ndarray]:
        """The carried state of each instrument after the session beside it, where there is one."""
        with self._registered(sessions):
            stored = self._query(
                f"select instrument_id, state from {self._kind.state} inner join bounds using (instrument_id, session_date)"
            )
        return {name: np.array(state, dtype=np.float64) for name, state in stored.iter_rows()}

    def session_before(self, day: date, count: int) -> date:
        """The session that is `count` sessions before `day`, or the first one."""
        return self.sessions[max(0, bisect_left(self.sessions, day) - count)] if self.sessions else BEGINNING

    @contextmanager
    def _registered(self, bounds: pl.DataFrame) -> Iterator[None]:
        """Let queries join `bounds` for a while."""
        self._connection.register("bounds", bounds.to_arrow())
        try:
            yield
        finally:
            self._connection.unregister("bounds")

    def _query(self, sql: str, parameters: list[date] | None = None) -> pl.DataFrame:
        return self._connection.sql(sql, params=parameters or []).pl()
