"""Following positions from their entry to the end of a horizon, many at once.

Lives here: `Entries`, positions that were entered, and what became of them by each horizon.
Does not live here: which signals enter where (`outcomes.py`), the loops over bars (`kernel.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.backtest.signal_performance.charges import Charges
from pipelines.backtest.signal_performance.holdings import PAID_OUT
from pipelines.backtest.signal_performance.market import LONGEST, Market
from pipelines.backtest.signal_performance.minutes import Minutes

FINISHED, OPEN, UNADJUSTED, NO_LEVELS, NO_INTRADAY = range(5)
CLOSE, STOP, TARGET, TIME, CASH_OUT = range(5)
STOP_TARGET = "stop_target"
_MINUTE = 60_000_000


@dataclass(frozen=True)
class Entries:
    """Positions that were entered; every array has one element for each.

    bar: daily bar of the entry session. price: as traded. side: 1 or -1. stop, target: in the price basis of bar `levels_of`, NaN
    for none. minute: the minute entered at, -1 where the entry was the session's open.
    """

    bar: np.ndarray
    price: np.ndarray
    side: np.ndarray
    stop: np.ndarray
    target: np.ndarray
    levels_of: np.ndarray
    minute: np.ndarray

    @property
    def size(self) -> int:
        """How many."""
        return int(self.bar.size)


@dataclass(frozen=True)
class Outcomes:
    """What became of entries: status and reason as codes of this module, exit as traded and when, returns (NaN unless finished)."""

    status: np.ndarray
    is_over: np.ndarray
    session: np.ndarray
    ts: np.ndarray
    price: np.ndarray
    reason: np.ndarray
    gross: np.ndarray
    costs: np.ndarray
    assumed: np.ndarray

    @property
    def net(self) -> np.ndarray:
        """Returns after costs."""
        return self.gross - self.costs


@dataclass(frozen=True)
class _Exits:
    """Bar of each exit (-1 where none is known yet), its price and moment, and whether the holding was paid out there."""

    bar: np.ndarray
    price: np.ndarray
    ts: np.ndarray
    paid_out: np.ndarray


def held_to(horizon: str, market: Market, charges: Charges, entries: Entries, *, waits: bool = True) -> Outcomes:
    """Left at the close of the horizon's last session, or at the first open after it at which the position can be left.

    waits: False for positions that nobody held, whose outcome must not depend on what comes after the horizon: they are left at the
    last close by then.
    """
    session = market.session[entries.bar]
    over = market.is_over(horizon, session)
    end, last = market.end_of(horizon, session), market.exit_at[horizon][entries.bar]
    left = _leave(market, entries, last, end, waits)
    broken = market.same_basis_until[entries.bar] < np.where(left.bar >= 0, left.bar, last)
    finished = (left.bar >= 0) & (over | left.paid_out)
    status = np.where(broken, UNADJUSTED, np.where(finished, FINISHED, OPEN))
    status = np.where(market.must_deliver[entries.bar] & (end == session), NO_INTRADAY, status)
    reason = np.where(left.paid_out, CASH_OUT, CLOSE)
    return _priced(market, charges, entries, status, over, left.bar, left.ts, left.price, reason)


def to_stop_or_target(
    market: Market, charges: Charges, entries: Entries, minutes: Minutes | None, *, waits: bool = True
) -> Outcomes:
    """Left at the stop or target, whichever is touched first; as `held_to` the longest horizon otherwise. waits: as there."""
    # Here: a night without new signals follows none, and need not import numba.
    from pipelines.backtest.signal_performance.kernel import AT_STOP, NOTHING, WAITING, first_touch

    session = market.session[entries.bar]
    over = market.is_over(LONGEST, session)
    last = market.exit_at[LONGEST][entries.bar]
    same_basis = market.same_basis_until[entries.levels_of]
    paid_out_at = market.paid_out_at[entries.bar]
    limit = np.minimum(np.minimum(last, same_basis), paid_out_at - 1)
    furthest = np.minimum(market.last[entries.bar] if waits else last, paid_out_at)
    until = np.minimum(furthest, same_basis)
    blocked = market.blocked if waits else np.zeros_like(market.blocked)
    levels = (entries.side, entries.stop, entries.target)
    in_minutes = entries.minute >= 0
    first = np.where(in_minutes, entries.bar + 1, entries.bar)
    earliest = np.where(market.must_deliver[entries.bar], entries.bar + 1, entries.bar)
    basis = market.places[entries.levels_of]
    bar, code, price, at_open = first_touch(
        first,
        limit,
        until,
        earliest,
        basis,
        *levels,
        market.opens,
        market.highs,
        market.lows,
        market.places,
        market.factors,
        blocked,
    )
    day = market.session[bar]
    ts = np.where(at_open, market.opened[day], market.closed[day])
    if minutes is not None and in_minutes.any():
        end = np.where(in_minutes & ~market.must_deliver[entries.bar], minutes.last_of(entries.minute), -1)
        begin = np.where(in_minutes, entries.minute, 0)
        none, nothing = np.zeros(entries.size, np.int64), np.empty(0)
        unscaled = np.zeros(minutes.ts.size, np.int64)
        early, hit, paid, opening = first_touch(
            begin, end, end, begin, none, *levels, minutes.opens, minutes.highs, minutes.lows, unscaled, nothing, minutes.blocked
        )
        sooner = hit != NOTHING
        # A stop that nobody would fill in the rest of its session is an order for the sessions after it.
        later = market.exit_from(entries.bar + 1, entries.side)
        later = np.where((later >= 0) & (later <= until), later, -1)
        rolled = hit == WAITING
        bar = np.where(sooner, np.where(rolled, later, entries.bar), bar)
        code = np.where(sooner, np.where(rolled & (later >= 0), AT_STOP, hit), code)
        price = np.where(sooner, np.where(rolled, market.opens[later], paid), price)
        within = minutes.ts[np.maximum(early, 0)] + np.where(opening, 0, _MINUTE)
        ts = np.where(sooner, np.where(rolled, market.opened[market.session[later]], within), ts)
    untouched, waiting = code == NOTHING, code == WAITING
    left = _leave(market, entries, last, market.end_of(LONGEST, session), waits)
    bar, price, ts = (np.where(untouched, theirs, ours) for theirs, ours in ((left.bar, bar), (left.price, price), (left.ts, ts)))
    finished = ~waiting & (bar >= 0) & (~untouched | over | left.paid_out)
    reached = np.where(waiting, furthest, np.where(bar >= 0, bar, last))
    status = np.where(same_basis < reached, UNADJUSTED, np.where(finished, FINISHED, OPEN))
    status = np.where(np.isnan(entries.stop) & np.isnan(entries.target), NO_LEVELS, status)
    reason = np.where(untouched, TIME, np.where(code == AT_STOP, STOP, TARGET))
    reason = np.where((bar >= 0) & (market.kind[bar] == PAID_OUT), CASH_OUT, reason)
    return _priced(market, charges, entries, status, over, bar, ts, price, reason)


def _leave(market: Market, entries: Entries, last: np.ndarray, end: np.ndarray, waits: bool) -> _Exits:
    """Exits at the close of the session `end`, whose last bar up to then is `last`: paid out before, at its close, or as soon after
    as somebody takes the other side."""
    paid_out_at = market.paid_out_at[entries.bar]
    ended = paid_out_at <= last
    at_close = (market.session[last] == end) & market.can_trade(last, -entries.side) if waits else np.ones(entries.size, np.bool_)
    after = market.exit_from(last + 1, entries.side)
    after = np.where((after <= market.last[entries.bar]) & (after <= paid_out_at), after, -1)
    bar = np.where(ended, paid_out_at, np.where(at_close, last, after))
    at_open = ended | ~at_close
    day = market.session[bar]
    price = np.where(at_open, market.opens[bar], market.closes[bar])
    ts = np.where(at_open, market.opened[day], market.closed[day])
    return _Exits(bar, price, ts, (bar >= 0) & (market.kind[bar] == PAID_OUT))


def _priced(
    market: Market,
    charges: Charges,
    entries: Entries,
    status: np.ndarray,
    over: np.ndarray,
    bar: np.ndarray,
    ts: np.ndarray,
    price: np.ndarray,
    reason: np.ndarray,
) -> Outcomes:
    session = market.session[bar]
    ratio = price / market.carried(entries.bar, bar) / entries.price
    entered = market.session[entries.bar]
    costs, assumed = charges.of(market.instrument[entries.bar], entries.side, entered, session, ratio)
    unknown = status != FINISHED
    gross, costs = (np.where(unknown, np.nan, values) for values in (entries.side * (ratio - 1.0), costs))
    return Outcomes(status, over, session, ts, price, reason, gross, costs, assumed)
