"""Bars, sessions and actions as the arrays that signals are followed on.

Lives here: `Market`, daily bars of all instruments in one run of memory, with what lies between any two of them.
Does not live here: following signals (`follow.py`), the compiled loops (`kernel.py`).

A bar is known by its number: bars are ordered by instrument and session. A session is known by its number in the calendar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

#: More sessions than any calendar has, and more minutes than any session: both make one key of two numbers.
_SESSIONS = 1_000_000
_SPLITS = ("split", "bonus", "capital_reduction")
_PRICE_ONLY = ("demerger", "rights")
#: An instrument belongs to the universe of a session when it traded in the 20 sessions before (`scan.universe`).
_UNIVERSE_SESSIONS = 20
#: Regular sessions of each horizon; end_of_day ends with its session whatever its kind.
HORIZONS: dict[str, int] = {"end_of_day": 0, "1": 1, "5": 5, "20": 20}
#: The horizon at which a stop_target outcome that touched nothing is left.
LONGEST = "20"
#: A horizon beyond the calendar's end: it has not come.
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Market:
    """What happened at one exchange.

    instruments: names, sorted. instrument, session: int64[bars]. opens, highs, lows, closes: float64[bars], as traded. places,
    factors: see `kernel`. same_basis_until: the last bar of the instrument without an action of unknown ratio since this one.
    in_universe: whether the instrument had traded in the 20 sessions before the one that precedes the bar. exit_at: by horizon the
    bar that a position entered at this bar is left at. opened, closed: int64[sessions + 1], microseconds UTC, by session number.
    newest: number of the last session with a bar.
    """

    instruments: list[str]
    instrument: np.ndarray
    session: np.ndarray
    opens: np.ndarray
    highs: np.ndarray
    lows: np.ndarray
    closes: np.ndarray
    places: np.ndarray
    factors: np.ndarray
    same_basis_until: np.ndarray
    in_universe: np.ndarray
    exit_at: dict[str, np.ndarray]
    opened: np.ndarray
    closed: np.ndarray
    dates: np.ndarray
    regular: np.ndarray
    newest: int

    def bar(self, instrument: np.ndarray, session: np.ndarray) -> np.ndarray:
        """Number of the last bar of each instrument up to a session, -1 where there is none: int64[n]."""
        found = np.searchsorted(self.instrument * _SESSIONS + self.session, instrument * _SESSIONS + session, side="right") - 1
        return np.where((found >= 0) & (self.instrument[found] == instrument), found, -1) if self.instrument.size else found

    def carried(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """What the actions between two bars left of the price: float64[n]. Just those, in order, so that the bits stay the same."""
        start, end = self.places[before], self.places[after]
        left = np.ones(before.size)
        for k in np.flatnonzero(start != end):
            for factor in self.factors[start[k] : end[k]]:
                left[k] *= factor
        return left

    def end_of(self, horizon: str, session: np.ndarray) -> np.ndarray:
        """Number of the session whose close ends the horizon of a position entered in `session`: the n-th regular one on."""
        count = HORIZONS[horizon]
        if count == 0:
            return session
        at = np.searchsorted(self.regular, session) + count - 1
        return np.where(at < self.regular.size, self.regular[np.minimum(at, self.regular.size - 1)], _NEVER)

    def is_over(self, horizon: str, session: np.ndarray) -> np.ndarray:
        """Whether that session lies within the bars known: bool[n]."""
        return self.end_of(horizon, session) <= self.newest


def build_market(bars: pl.DataFrame, actions: pl.DataFrame, sessions: pl.DataFrame) -> Market:
    """The arrays of one exchange.

    bars: instrument_id, session_date, open, high, low, close. actions: instrument_id, ex_date, action, ratio. sessions: the
    published table; bars on other days are left out.
    """
    numbers = sessions.select("session_date", "session_number")
    rows = bars.join(numbers, on="session_date").sort("instrument_id", "session_number")
    names = rows.get_column("instrument_id").unique().sort()
    instrument = rows.get_column("instrument_id").cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()
    session = rows.get_column("session_number").to_numpy()
    places, factors, breaks = _actions(rows, actions, names)
    previous = np.where(np.diff(instrument, prepend=-1) == 0, np.diff(session, prepend=0), _SESSIONS)
    by_break = instrument * _SESSIONS + breaks
    market = Market(
        instruments=names.to_list(),
        instrument=instrument,
        session=session,
        **{f"{name}s": owned(rows.get_column(name)) for name in ("open", "high", "low", "close")},
        places=places,
        factors=factors,
        same_basis_until=np.searchsorted(by_break, by_break, side="right") - 1,
        in_universe=previous <= _UNIVERSE_SESSIONS + 1,
        exit_at={},
        opened=_by_number(sessions, "opens_at"),
        closed=_by_number(sessions, "closes_at"),
        dates=np.concatenate([[np.datetime64("NaT")], sessions.sort("session_number").get_column("session_date").to_numpy()]),
        regular=sessions.filter(pl.col("kind") == "regular").get_column("session_number").sort().to_numpy(),
        newest=int(session.max()) if session.size else 0,
    )
    market.exit_at.update({horizon: market.bar(instrument, market.end_of(horizon, session)) for horizon in HORIZONS})
    return market


def _actions(rows: pl.DataFrame, actions: pl.DataFrame, names: pl.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place of each bar in the factors, the factors by instrument and ex-date, and how many unknown ratios lie before each bar."""
    inverse, straight = pl.col("action").is_in(_SPLITS), pl.col("action").is_in(_PRICE_ONLY)
    left = pl.when(inverse).then(1.0 / pl.col("ratio")).otherwise(pl.col("ratio"))
    steps = (
        actions.filter((inverse | straight) & pl.col("instrument_id").is_in(names.implode()))
        .sort("instrument_id", "ex_date", "action")
        .select("instrument_id", "ex_date", factor=pl.when(pl.col("ratio") > 0).then(left))
    )
    known, unknown = steps.drop_nulls("factor"), steps.filter(pl.col("factor").is_null())
    bars = _dated(rows, "session_date", names)
    # An action counts from the first bar on or after its ex-date, which may be a holiday.
    places, breaks = (np.searchsorted(_dated(frame, "ex_date", names), bars, side="right") for frame in (known, unknown))
    return places, owned(known.get_column("factor").cast(pl.Float64)), breaks


def _dated(rows: pl.DataFrame, column: str, names: pl.Series) -> np.ndarray:
    """One ascending number of instrument and day for each row."""
    instrument = rows.get_column("instrument_id").cast(pl.Enum(names)).to_physical().cast(pl.Int64)
    return (instrument * _SESSIONS + rows.get_column(column).to_physical().cast(pl.Int64)).to_numpy()


def owned(values: pl.Series) -> np.ndarray:
    """A copy that may be written to: the compiled loops would be compiled anew for arrays that may not."""
    return np.array(values.to_numpy())


def _by_number(sessions: pl.DataFrame, column: str) -> np.ndarray:
    moments = sessions.sort("session_number").get_column(column).dt.epoch("us").to_numpy()
    return np.concatenate([[np.iinfo(np.int64).min], moments])
