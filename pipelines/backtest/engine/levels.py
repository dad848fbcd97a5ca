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
def leave_at_levels(a, book, bars, rules, log):  # type: ignore[no-untyped-def]
    """Exits within the bar. A gap through a level fills at the open; a stop that cannot be filled is ordered for the next open."""
    now, session, prices = bars.clock.step, bars.clock.session, bars.prices
    for k in range(a.listed):
        i = book[k].listed
        p = book[i]
        if p.quantity == 0 or math.isnan(prices.open[i]):
            continue
        stop, reason = p.stop, STOP
        if rules.trail_fraction > 0.0:
            stop, reason = _tighter_stop(p, rules.trail_fraction)
        first = prices.open[i]
        if p.quantity > 0:
            stopped, through = prices.low[i] <= stop, first <= stop
            reached, beyond = prices.high[i] >= p.target, first >= p.target
        else:
            stopped, through = prices.high[i] >= stop, first >= stop
            reached, beyond = prices.low[i] <= p.target, first <= p.target
        if p.entry_step == now and p.entered != AT_OPEN:
            # The open came before the entry.
            through, beyond = False, False
            reached = reached and p.entered != AT_LIMIT
        if not can_leave(p, i, session, bars.limits):
            if stopped:
                order_exit(a, p, reason)
        elif stopped:
            price = slipped(first if through else stop, -1 if p.quantity > 0 else 1, p.tick, rules)
            leave(a, p, i, now, price, reason, int(through), bars.costs, log)
        elif reached:
            leave(a, p, i, now, first if beyond else p.target, TARGET, int(beyond), bars.costs, log)


@compiled
def square_off(a, book, bars, rules, log):  # type: ignore[no-untyped-def]
    """At a session's last bar: out at its close what must not be held overnight; at the next open where the close takes none."""
    if rules.square_off == _NEVER or not bars.clock.session_ends:
        return
    for k in range(a.listed):
        i = book[k].listed
        p = book[i]
        if p.quantity == 0 or (p.quantity > 0 and rules.square_off == _SHORTS):
            continue
        if math.isnan(bars.prices.close[i]) or not can_leave(p, i, bars.clock.session, bars.limits):
            order_exit(a, p, SESSION_END)
        else:
            price = slipped(bars.prices.close[i], -1 if p.quantity > 0 else 1, p.tick, rules)
            leave(a, p, i, bars.clock.step, price, SESSION_END, 0, bars.costs, log)


@compiled
def trail(a, book, bars):  # type: ignore[no-untyped-def]
    """Let trailing stops follow: from the next step on they know this bar."""
    for k in range(a.listed):
        i = book[k].listed
        p = book[i]
        if p.quantity == 0 or math.isnan(bars.prices.close[i]):
            continue
        inside = p.entry_step == bars.clock.step and p.entered != AT_OPEN
        if p.quantity > 0:
            p.extreme = max(p.extreme, bars.prices.close[i] if inside else bars.prices.high[i])
        else:
            p.extreme = min(p.extreme, bars.prices.close[i] if inside else bars.prices.low[i])


@compiled
def mark(a, book, close):  # type: ignore[no-untyped-def]
    """Equity and gross value at the close, a halted instrument at its last one."""
    a.gross = 0.0
    a.equity = a.cash
    if a.open == 0:
        return
    value = 0.0
    for k in range(a.listed):
        i = book[k].listed
        p = book[i]
        if p.quantity == 0:
            continue
        if not math.isnan(close[i]):
            p.last = close[i]
        value += p.quantity * p.last
        a.gross += abs(p.quantity) * p.last
    a.equity = a.cash + value


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
