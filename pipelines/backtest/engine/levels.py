"""What a bar does to open positions: stops, targets, the session's end, and the mark at the close.

Lives here: which level a bar reached, the stop before the target, and what that exit fills at.
Does not live here: what an exit changes (`fills`), exits by time or signal (`orders`).

A bar says nothing of the order of its prices. What is not known to have come after an entry within the bar counts where it hurts
(the stop) and not where it helps (the target of a position entered at its limit).
"""

from __future__ import annotations

import math

from pipelines.backtest.engine.compiled import compiled
from pipelines.backtest.engine.fees import slipped
from pipelines.backtest.engine.fills import can_leave, leave
from pipelines.backtest.engine.orders import order_exit
from pipelines.backtest.layout import AT_LIMIT, AT_OPEN, SESSION_END, STOP, TARGET, TRAILING_STOP

# Indices of `rules.SQUARE_OFF`.
_NEVER, _SHORTS = 0, 1


@compiled
def leave_and_mark(state, bars, rules, log):  # type: ignore[no-untyped-def]
    """Exits within the bar, then equity and gross value at its close."""
    a, book, listed = state.account[0], state.book, state.listed
    # Taken out of their tuples once: numba counts a reference each time that an array is.
    high, low, close = bars.prices.high, bars.prices.low, bars.prices.close
    trails = rules.trail_fraction > 0.0
    squares = rules.square_off != _NEVER and bars.clock.session_ends
    if squares:
        for k in range(a.listed):
            i = listed[k]
            p = book[i]
            if p.quantity != 0 and _reaches(p, high[i], low[i], rules.trail_fraction):
                _leave_at_levels(a, p, i, bars, rules, log)
        _square_off(state, bars, rules, log)
    gross, value, ahead = 0.0, 0.0, a.open
    # An instrument's mark needs nothing of the others: one pass, unless all levels come before what the session's end closes.
    for k in range(a.listed):
        if ahead == 0:
            break
        i = listed[k]
        p = book[i]
        if p.quantity == 0:
            continue
        ahead -= 1
        if not squares and _reaches(p, high[i], low[i], rules.trail_fraction):
            _leave_at_levels(a, p, i, bars, rules, log)
            if p.quantity == 0:
                continue
        price = close[i]
        if not math.isnan(price):
            p.last = price
            if trails:
                # From the next step on a trailing stop knows this bar.
                inside = p.entry_step == bars.clock.step and p.entered != AT_OPEN
                best = high[i] if p.quantity > 0 else low[i]
                _trail(p, price if inside else best)
        held = p.quantity * p.last
        value += held
        gross += abs(held)
    a.gross = gross
    a.equity = a.cash + value


@compiled
def mark(state, close):  # type: ignore[no-untyped-def]
    """Equity and gross value at the close, a halted instrument at its last one."""
    a, book, listed = state.account[0], state.book, state.listed
    gross, value = 0.0, 0.0
    for k in range(a.listed):
        i = listed[k]
        p = book[i]
        if p.quantity == 0:
            continue
        if not math.isnan(close[i]):
            p.last = close[i]
        held = p.quantity * p.last
        value += held
        gross += abs(held)
    a.gross = gross
    a.equity = a.cash + value


@compiled
def _reaches(p, high, low, distance):  # type: ignore[no-untyped-def]
    """Whether a bar reaches a level of a position. An instrument without a bar has no price that does."""
    stop = p.stop
    if distance > 0.0:
        stop, _ = _tighter_stop(p, distance)
    return (low <= stop or high >= p.target) if p.quantity > 0 else (high >= stop or low <= p.target)


@compiled
def _leave_at_levels(a, p, i, bars, rules, log):  # type: ignore[no-untyped-def]
    """Out at the level that the bar reached.

    A gap through it fills at the open; a stop that cannot be filled is ordered for the next open.
    """
    stop, reason = p.stop, STOP
    if rules.trail_fraction > 0.0:
        stop, reason = _tighter_stop(p, rules.trail_fraction)
    first = bars.prices.open[i]
    if p.quantity > 0:
        stopped, through = bars.prices.low[i] <= stop, first <= stop
        reached, beyond = bars.prices.high[i] >= p.target, first >= p.target
    else:
        stopped, through = bars.prices.high[i] >= stop, first >= stop
        reached, beyond = bars.prices.low[i] <= p.target, first <= p.target
    if p.entry_step == bars.clock.step and p.entered != AT_OPEN:
        # The open came before the entry.
        through, beyond = False, False
        reached = reached and p.entered != AT_LIMIT
    if not can_leave(p, i, bars.clock.session, bars.limits):
        if stopped:
            order_exit(a, p, reason)
    elif stopped:
        price = slipped(first if through else stop, -1 if p.quantity > 0 else 1, p.tick, rules)
        leave(a, p, i, bars.clock.step, price, reason, int(through), bars.costs, log)
    elif reached:
        leave(a, p, i, bars.clock.step, first if beyond else p.target, TARGET, int(beyond), bars.costs, log)


@compiled
def _square_off(state, bars, rules, log):  # type: ignore[no-untyped-def]
    """Out at the session's last close what must not be held overnight; at the next open where the close takes none."""
    a, book, listed = state.account[0], state.book, state.listed
    for k in range(a.listed):
        i = listed[k]
        p = book[i]
        if p.quantity == 0 or (p.quantity > 0 and rules.square_off == _SHORTS):
            continue
        if math.isnan(bars.prices.close[i]) or not can_leave(p, i, bars.clock.session, bars.limits):
            order_exit(a, p, SESSION_END)
        else:
            price = slipped(bars.prices.close[i], -1 if p.quantity > 0 else 1, p.tick, rules)
            leave(a, p, i, bars.clock.step, price, SESSION_END, 0, bars.costs, log)


@compiled
def _trail(p, best):  # type: ignore[no-untyped-def]
    p.extreme = max(p.extreme, best) if p.quantity > 0 else min(p.extreme, best)


@compiled
def _tighter_stop(p, distance):  # type: ignore[no-untyped-def]
    """(the nearer of the position's own stop and the trailing one, its reason)."""
    if p.quantity > 0:
        level = p.extreme * (1.0 - distance)
        own = p.stop >= level
    else:
        level = p.extreme * (1.0 + distance)
        own = p.stop <= level
    return (p.stop, STOP) if own else (level, TRAILING_STOP)
