"""Following positions from their entry to the end of a horizon, many at once.

Lives here: `Entries`, positions that were entered, and what became of them by each horizon.
Does not live here: which signals enter where (`outcomes.py`), the loops over bars (`kernel.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.backtest.track.charges import Charges
from pipelines.backtest.track.kernel import AT_STOP, NOTHING, first_touch
from pipelines.backtest.track.market import LONGEST, Market
from pipelines.backtest.track.minutes import Minutes

FINISHED, OPEN, UNADJUSTED, NO_LEVELS = range(4)
CLOSE, STOP, TARGET, TIME = range(4)
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


def held_to(horizon: str, market: Market, charges: Charges, entries: Entries) -> Outcomes:
    """Left at the close of the horizon's last session; at the last close before where the instrument did not trade then."""
    session = market.session[entries.bar]
    over = market.is_over(horizon, session)
    bar = market.exit_at[horizon][entries.bar]
    broken = market.same_basis_until[entries.bar] < bar
    status = np.where(broken, UNADJUSTED, np.where(over, FINISHED, OPEN))
    reason = np.full(entries.size, CLOSE)
    return _priced(market, charges, entries, status, over, bar, market.closed[market.session[bar]], market.closes[bar], reason)


def to_stop_or_target(market: Market, charges: Charges, entries: Entries, minutes: Minutes | None) -> Outcomes:
    """Left at the stop or target, whichever is touched first; at the last session's close of the longest horizon otherwise."""
    session = market.session[entries.bar]
    over = market.is_over(LONGEST, session)
    last = market.exit_at[LONGEST][entries.bar]
    limit = np.minimum(last, market.same_basis_until[entries.levels_of])
    levels = (entries.side, entries.stop, entries.target)
    in_minutes = entries.minute >= 0
    first = np.where(in_minutes, entries.bar + 1, entries.bar)
    basis = market.places[entries.levels_of]
    bar, code, price, at_open = first_touch(
        first, limit, basis, *levels, market.opens, market.highs, market.lows, market.places, market.factors
    )
    touched_at = np.where(bar >= 0, bar, last)
    day = market.session[touched_at]
    ts = np.where(at_open, market.opened[day], market.closed[day])
    if minutes is not None and in_minutes.any():
        end = np.where(in_minutes, minutes.last_of(entries.minute), -1)
        begin = np.where(in_minutes, entries.minute, 0)
        none, nothing = np.zeros(entries.size, np.int64), np.empty(0)
        unscaled = np.zeros(minutes.ts.size, np.int64)
        early, hit, paid, opening = first_touch(
            begin, end, none, *levels, minutes.opens, minutes.highs, minutes.lows, unscaled, nothing
        )
        sooner = early >= 0
        touched_at = np.where(sooner, entries.bar, touched_at)
        code, price = np.where(sooner, hit, code), np.where(sooner, paid, price)
        ts = np.where(sooner, minutes.ts[np.maximum(early, 0)] + np.where(opening, 0, _MINUTE), ts)
    untouched = code == NOTHING
    price = np.where(untouched, market.closes[last], price)
    ts = np.where(untouched, market.closed[market.session[last]], ts)
    reason = np.where(untouched, TIME, np.where(code == AT_STOP, STOP, TARGET))
    status = np.where(untouched & (limit < last), UNADJUSTED, np.where(untouched & ~over, OPEN, FINISHED))
    status = np.where(np.isnan(entries.stop) & np.isnan(entries.target), NO_LEVELS, status)
    return _priced(market, charges, entries, status, over, touched_at, ts, price, reason)


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
