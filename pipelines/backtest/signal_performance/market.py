"""Bars, sessions and actions as the arrays that signals are followed on.

Lives here: `Market`, daily bars of all instruments in one run of memory, with what lies between any two of them.
Does not live here: following signals (`trade_simulation.py`), the compiled loops (`kernel.py`).

A bar is known by its number: bars are ordered by instrument and session. A session is known by its number in the calendar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.backtest.actions import UNKNOWN, effects_of
from pipelines.backtest.fills import NO_BUYING, NO_SELLING, missing_actions, with_limits
from pipelines.backtest.rules import DELISTING_HAIRCUT, LOCKED_MOVE
from pipelines.backtest.signal_performance.holdings import PAID_OUT, TRADED, with_endings

#: More sessions than any calendar has, and more minutes than any session: both make one key of two numbers.
_SESSIONS = 1_000_000
#: An instrument belongs to the universe of a session when it traded in the 20 sessions before (`scan.universe`).
_UNIVERSE_SESSIONS = 20
#: Regular sessions of each horizon; end_of_day ends with its session whatever its kind.
HORIZONS: dict[str, int] = {"end_of_day": 0, "1": 1, "5": 5, "20": 20}
#: The horizon at which a stop_target outcome that touched nothing is left.
LONGEST = "20"
#: A horizon beyond the calendar's end: it has not come.
_NEVER = np.iinfo(np.int64).max
#: Columns of the bars that a market needs; besides, where known: prev_close, series, volume (`fills.with_limits`).
_NEEDED = ("instrument_id", "session_date", "session_number", "open", "high", "low", "close")
_KEPT = (*_NEEDED, "reference", "blocked", "must_deliver", "is_gap", "in_universe")


@dataclass(frozen=True)
class Market:
    """What happened at one exchange.

    instruments: names, sorted. instrument, session: int64[bars]. opens, highs, lows, closes: float64[bars], as traded. places,
    factors: see `kernel`. same_basis_until: the last bar of the instrument without a change of unknown ratio since this one: an
    action, or a gap that only an unrecorded one explains. kind: of the bar, see `holdings`. reference: the price before the
    session, in its basis. blocked: uint8, who cannot trade at the bar, see `fills`. must_deliver: what was entered cannot be left
    in the same session. last: the instrument's last bar. paid_out_at: its next bar at which a holding is paid out, beyond all bars
    where there is none. next_exit: by side of a position, the first bar from this one on at which it can be left, -1 where there is
    none yet. in_universe: whether the instrument had traded in the 20 sessions before the one that precedes the bar. exit_at: by
    horizon the bar that a position entered at this bar is left at. opened, closed: int64[sessions + 1], microseconds UTC, by
    session number. newest: number of the last session with a bar.
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
    kind: np.ndarray
    reference: np.ndarray
    blocked: np.ndarray
    must_deliver: np.ndarray
    last: np.ndarray
    paid_out_at: np.ndarray
    next_exit: dict[int, np.ndarray]
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

    def can_trade(self, bar: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Whether a purchase (side 1) or a sale (-1) finds somebody at the bar: bool[n]."""
        return self.blocked[bar] & np.where(side > 0, NO_BUYING, NO_SELLING) == 0

    def can_enter(self, bar: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Whether the bar was traded and that side could: bool[n]."""
        return (self.kind[bar] == TRADED) & self.can_trade(bar, side)

    def exit_from(self, bar: np.ndarray, side: np.ndarray) -> np.ndarray:
        """The first bar from this one on at which a position of that side can be left, -1 where there is none: int64[n]."""
        return np.where(side > 0, self.next_exit[1][bar], self.next_exit[-1][bar])

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


def build_market(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    sessions: pl.DataFrame,
    flags: pl.DataFrame | None = None,
    *,
    locked_move: float = LOCKED_MOVE,
    delisting_haircut: float = DELISTING_HAIRCUT,
) -> Market:
    """The arrays of one exchange.

    bars: instrument_id, session_date, open, high, low, close, and where known prev_close, series, volume. actions: as for
    `actions.effects_of`. sessions: the published table; bars on other days are left out. flags: rows of price_flags; a step that
    looks like an unrecorded split counts as an action of unknown ratio. locked_move, delisting_haircut: as in `layout.Rules`.
    """
    numbers = sessions.select("session_date", "session_number").sort("session_date")
    effects = effects_of(actions)
    limited = with_limits(bars.join(numbers, on="session_date"), effects, locked_move)
    missing = missing_actions(limited, flags).select("instrument_id", pl.col("ex_date").alias("session_date"), is_gap=True)
    rows = limited.join(missing, on=["instrument_id", "session_date"], how="left", maintain_order="left").with_columns(
        pl.col("is_gap").fill_null(value=False),
        in_universe=(pl.col("session_number") - pl.col("previous_number") <= _UNIVERSE_SESSIONS + 1).fill_null(value=False),
    )
    rows = rows.select(_KEPT)
    dates, in_order = (numbers.get_column(name).to_list() for name in ("session_date", "session_number"))
    rows, effects = with_endings(rows, effects, dates, in_order, delisting_haircut)
    names = rows.get_column("instrument_id").unique().sort()
    instrument = rows.get_column("instrument_id").cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()
    session = rows.get_column("session_number").to_numpy()
    places, factors, breaks = _actions(rows, effects, names)
    by_break = instrument * _SESSIONS + breaks
    kind, blocked = (owned(rows.get_column(name)) for name in ("kind", "blocked"))
    last = np.searchsorted(instrument, instrument, side="right") - 1
    market = Market(
        instruments=names.to_list(),
        instrument=instrument,
        session=session,
        **{f"{name}s": owned(rows.get_column(name)) for name in ("open", "high", "low", "close")},
        places=places,
        factors=factors,
        same_basis_until=np.searchsorted(by_break, by_break, side="right") - 1,
        kind=kind,
        reference=owned(rows.get_column("reference").fill_null(np.nan)),
        blocked=blocked,
        must_deliver=owned(rows.get_column("must_deliver")),
        last=last,
        paid_out_at=next_wanted(kind == PAID_OUT, last, _NEVER),
        next_exit={1: next_wanted(blocked & NO_SELLING == 0, last, -1), -1: next_wanted(blocked & NO_BUYING == 0, last, -1)},
        in_universe=owned(rows.get_column("in_universe")),
        exit_at={},
        opened=_by_number(sessions, "opens_at"),
        closed=_by_number(sessions, "closes_at"),
        dates=np.concatenate([[np.datetime64("NaT")], sessions.sort("session_number").get_column("session_date").to_numpy()]),
        regular=sessions.filter(pl.col("kind") == "regular").get_column("session_number").sort().to_numpy(),
        newest=int(session.max()) if session.size else 0,
    )
    market.exit_at.update({horizon: market.bar(instrument, market.end_of(horizon, session)) for horizon in HORIZONS})
    return market


def next_wanted(wanted: np.ndarray, last: np.ndarray, nothing: int) -> np.ndarray:
    """The first bar from each one on, of the same instrument, that is wanted; one more element than bars: int64[bars + 1]."""
    if not wanted.size:
        return np.array([nothing])
    found = np.minimum.accumulate(np.where(wanted, np.arange(wanted.size), _NEVER)[::-1])[::-1]
    return np.append(np.where(found <= last, found, nothing), nothing)


def _actions(rows: pl.DataFrame, effects: pl.DataFrame, names: pl.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place of each bar in the factors, the factors by instrument and ex-date, and how many unknown changes lie before each bar."""
    ours = effects.filter(pl.col("instrument_id").is_in(names.implode()))
    in_order = ours.sort("instrument_id", "ex_date", "effect", "action", maintain_order=True)
    known = in_order.filter(pl.col("price_factor") != 1.0)
    cash_too = (pl.col("action") == "capital_reduction") & pl.col("price_factor").is_null()
    unknown = in_order.filter((pl.col("effect") == UNKNOWN) | cash_too)
    bars = _dated(rows, "session_date", names)
    # An action counts from the first bar on or after its ex-date, which may be a holiday.
    places, breaks = (np.searchsorted(_dated(frame, "ex_date", names), bars, side="right") for frame in (known, unknown))
    gaps = rows.select(pl.col("is_gap").cast(pl.Int64).cum_sum()).to_series().to_numpy()
    return places, owned(known.get_column("price_factor").cast(pl.Float64)), breaks + gaps


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
