"""From signals to the rows of `signal_outcomes`.

Lives here: where each signal enters, its outcome by horizon, and the base rate beside it.
Does not live here: following positions (`trade_simulation.py`), the base (`base_rates.py`), what outcomes make of a scanner
(`performance.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date

import numpy as np
import polars as pl

from pipelines.backtest.signal_performance.base_rates import Base, Groups, base_in_session, base_of_holding, base_of_levels
from pipelines.backtest.signal_performance.charges import Charges
from pipelines.backtest.signal_performance.holdings import TRADED
from pipelines.backtest.signal_performance.market import HORIZONS, Market, owned
from pipelines.backtest.signal_performance.minutes import Minutes, build_minutes
from pipelines.backtest.signal_performance.trade_simulation import (
    FINISHED,
    STOP_TARGET,
    Entries,
    Outcomes,
    held_to,
    to_stop_or_target,
)
from pipelines.market.tables.signal_performance import SIGNAL_OUTCOMES
from pipelines.storage.delta import empty_frame

#: A signal enters at the latest this many sessions after its own, as in a backtest (`Rules.signal_sessions`).
ENTRY_SESSIONS = 1
_STATUSES = ("finished", "open", "unadjusted", "no_levels", "no_intraday")
_REASONS = ("close", "stop", "target", "time", "cash_out")
_OURS = ("side", "horizon", "session_year")

#: One-minute bars of a session: instrument_id, ts, open, high, low, close.
MinutesOf = Callable[[date], pl.DataFrame]


@dataclass(frozen=True)
class _Signals:
    """Signals as arrays, one element each; `group` numbers those of one scanner, side and moment of entry."""

    instrument: np.ndarray
    session: np.ndarray
    known: np.ndarray
    side: np.ndarray
    price: np.ndarray
    stop: np.ndarray
    target: np.ndarray
    scanner: np.ndarray

    def take(self, at: np.ndarray) -> _Signals:
        """Those at these places."""
        return _Signals(*(getattr(self, field.name)[at] for field in fields(self)))


def signal_outcomes(market: Market, signals: pl.DataFrame, minutes_of: MinutesOf, charges: Charges) -> pl.DataFrame:
    """Rows of `signal_outcomes`, a row for each signal and horizon.

    signals: rows of scanner_signals of one exchange. A signal enters at the open of the first bar that starts at or after its
    known_at: the next minute of its session, or the open of the next session.
    """
    rows = signals.filter(pl.col("signal_type").is_in(["BUY", "SELL"])).sort(
        "session_date", "scanner_name", "instrument_id", "signal_id"
    )
    if rows.is_empty():
        return empty_frame(SIGNAL_OUTCOMES)
    given = _arrays(market, rows)
    entry_session = np.searchsorted(market.opened, given.known)
    in_session = given.known < market.closed[given.session]
    frames = []
    for session in np.unique(given.session[in_session]):
        at = np.flatnonzero(in_session & (given.session == session))
        minutes = build_minutes(minutes_of(market.dates[session].item()), market, int(session))
        minute = minutes.first_from(given.instrument[at], given.known[at], given.side[at]) if minutes else np.full(at.size, -1)
        # Without a minute left the next session's open is the next bar.
        in_session[at[minute < 0]] = False
        if minutes is not None and (minute >= 0).any():
            frames.append(_entered_in_session(market, charges, minutes, rows, given, at[minute >= 0], minute[minute >= 0]))
    frames.append(_entered_at_open(market, charges, rows, given, np.flatnonzero(~in_session), entry_session))
    return pl.concat(frames).sort("session_date", "scanner_name", "instrument_id", "signal_id", "horizon")


def _arrays(market: Market, rows: pl.DataFrame) -> _Signals:
    codes = {name: code for code, name in enumerate(market.instruments)}
    days = {day: number for number, day in enumerate(market.dates.tolist()) if number}
    numbers = {name: owned(rows.get_column(name).cast(pl.Float64)) for name in ("entry_price", "stop_loss", "target_price")}
    return _Signals(
        instrument=np.array([codes.get(name, -1) for name in rows.get_column("instrument_id")], dtype=np.int64),
        session=np.array([days[day] for day in rows.get_column("session_date")], dtype=np.int64),
        known=rows.get_column("known_at").dt.epoch("us").to_numpy(),
        side=np.where(rows.get_column("signal_type").to_numpy() == "BUY", 1, -1).astype(np.int64),
        price=numbers["entry_price"],
        stop=numbers["stop_loss"],
        target=numbers["target_price"],
        scanner=rows.get_column("scanner_name").rank("dense").to_numpy().astype(np.int64),
    )


def _entered_in_session(
    market: Market, charges: Charges, minutes: Minutes, rows: pl.DataFrame, given: _Signals, at: np.ndarray, minute: np.ndarray
) -> pl.DataFrame:
    """Signals that enter at a minute of their own session."""
    signals = given.take(at)
    bar = market.bar(signals.instrument, signals.session)
    enters = (bar >= 0) & (market.session[bar] == signals.session) & (market.kind[bar] == TRADED)
    bar, minute, entered = bar[enters], minute[enters], signals.take(np.flatnonzero(enters))
    entries = Entries(bar, minutes.opens[minute], entered.side, entered.stop, entered.target, bar, minute)
    base: dict[str, Base] = {}
    group = np.empty(0, np.int64)
    if entries.size:
        groups, group, first = _groups(entered, entered.known, market.session[bar])
        base = base_in_session(market, charges, minutes, groups, entered.known[first])
    candidates = _Candidates(rows[at].drop("entry_price"), enters, minutes.ts[minute], np.full(at.size, "not_entered"))
    return _frame(market, charges, candidates, entries, minutes, base, group)


def _entered_at_open(
    market: Market, charges: Charges, rows: pl.DataFrame, given: _Signals, at: np.ndarray, entry_session: np.ndarray
) -> pl.DataFrame:
    """Signals that enter at the open of a later session."""
    signals, session = given.take(at), entry_session[at]
    bar = market.bar(signals.instrument, session)
    late = session > signals.session + ENTRY_SESSIONS
    # An entry that lies beyond the bars known may still come.
    ahead = ~late & (session > market.newest)
    # An order lives for its session: one that finds no price to fill it there expires, as in a backtest.
    enters = ~late & (bar >= 0) & (market.session[bar] == session) & market.can_enter(bar, signals.side)
    bar, entered = bar[enters], signals.take(np.flatnonzero(enters))
    decided = market.bar(entered.instrument, entered.session)
    levels_of = np.where(decided >= 0, decided, bar)
    entries = Entries(bar, market.opens[bar], entered.side, entered.stop, entered.target, levels_of, np.full(bar.size, -1))
    base: dict[str, Base] = {}
    group = np.empty(0, np.int64)
    if entries.size:
        groups, group, _ = _groups(entered, session[enters], session[enters])
        base = {**base_of_holding(market, charges, groups), STOP_TARGET: base_of_levels(market, charges, groups)}
    why = np.where(late, "late", np.where(ahead, "open", "not_entered"))
    return _frame(
        market,
        charges,
        _Candidates(rows[at].drop("entry_price"), enters, market.opened[session[enters]], why),
        entries,
        None,
        base,
        group,
    )


def _groups(signals: _Signals, moment: np.ndarray, session: np.ndarray) -> tuple[Groups, np.ndarray, np.ndarray]:
    """Groups of signals of one scanner and side that enter at one moment; each signal's group; the first signal of each."""
    keys = np.stack([moment, signals.scanner, signals.side], axis=1)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    distances = [_mean(group, first.size, level / signals.price) for level in (signals.stop, signals.target)]
    return Groups(session[first], signals.side[first], *distances), group, first


def _mean(group: np.ndarray, groups: int, values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    count, total = np.bincount(group[known], None, groups), np.bincount(group[known], values[known], groups)
    return np.divide(total, count, out=np.full(groups, np.nan), where=count > 0)


@dataclass(frozen=True)
class _Candidates:
    """Rows of signals; which of them entered, when those did, and what is said of every signal that did not."""

    rows: pl.DataFrame
    enters: np.ndarray
    entry_ts: np.ndarray
    otherwise: np.ndarray


def _frame(
    market: Market,
    charges: Charges,
    candidates: _Candidates,
    entries: Entries,
    minutes: Minutes | None,
    base: dict[str, Base],
    group: np.ndarray,
) -> pl.DataFrame:
    horizons = (*HORIZONS, STOP_TARGET)
    others = candidates.rows.filter(~candidates.enters).with_columns(
        status=pl.Series(candidates.otherwise[~candidates.enters]), is_over=pl.lit(value=False)
    )
    frames = [_typed(others, horizon) for horizon in horizons]
    entered = candidates.rows.filter(candidates.enters)
    for horizon in horizons if entries.size else ():
        if horizon == STOP_TARGET:
            done = to_stop_or_target(market, charges, entries, minutes)
        else:
            done = held_to(horizon, market, charges, entries)
        ours = Base(*(values[group] for values in (base[horizon].size, base[horizon].rate, base[horizon].mean)))
        frames.append(_typed(entered.with_columns(**_columns(market, horizon, candidates, entries, done, ours)), horizon))
    return pl.concat(frames)


def _columns(
    market: Market, horizon: str, candidates: _Candidates, entries: Entries, done: Outcomes, base: Base
) -> dict[str, pl.Series]:
    """Columns of the signals that entered; what is not known (yet) is NULL."""
    same_session = done.session == market.session[entries.bar]
    # A SELL that may be held overnight is an exit even where its stop ended it on the first day.
    short = same_session & (horizon in {"end_of_day", "1"})
    ended = done.status == FINISHED
    counted = ended & done.is_over & (base.size > 0)
    return {
        "status": pl.Series(np.array(_STATUSES)[done.status]),
        "is_over": pl.Series(done.is_over),
        "position": pl.Series(np.where(entries.side > 0, "long", np.where(short, "intraday_short", "exit"))),
        "entry_ts": _moments(candidates.entry_ts),
        "entry_price": pl.Series(entries.price),
        "exit_ts": _known(_moments(done.ts), ended),
        "exit_price": _known(done.price, ended),
        "exit_reason": _known(np.array(_REASONS)[done.reason], ended),
        "gross_return": _known(done.gross, ended),
        "costs": _known(done.costs, ended),
        "net_return": _known(done.net, ended),
        "costs_assumed": _known(done.assumed, ended),
        "base_size": _known(base.size, counted),
        "base_rate": _known(base.rate, counted),
        "base_return": _known(base.mean, counted),
    }


def _moments(microseconds: np.ndarray) -> pl.Series:
    return pl.Series(microseconds).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _known(values: np.ndarray | pl.Series, known: np.ndarray) -> pl.Series:
    """The values where they are known, NULL elsewhere."""
    return pl.select(pl.when(pl.Series(known)).then(pl.Series(values))).to_series()


def _typed(rows: pl.DataFrame, horizon: str) -> pl.DataFrame:
    """Signals with what is known of their outcomes, as rows of `signal_outcomes`."""
    schema = dict(empty_frame(SIGNAL_OUTCOMES).schema)
    made = rows.with_columns(
        side="signal_type", horizon=pl.lit(horizon), session_year=pl.col("session_date").dt.year().cast(pl.Int64)
    ).with_columns(pl.lit(None).alias(name) for name in schema if name not in rows.columns and name not in _OURS)
    return made.select(SIGNAL_OUTCOMES.names).cast(schema)  # type: ignore[arg-type]
