"""Fills: positions entered and left, at the open, within the bar, or at the close where a run is told so.

Lives here: which waiting orders fill at a step and at which price, and what a fill changes.
Does not live here: which levels a bar reached (`levels`), fees (`fees`), how orders come about (`orders`).
"""

from __future__ import annotations

import math

from pipelines.backtest.engine.compiled import compiled
from pipelines.backtest.engine.fees import affordable, exit_fee, fee_of, slipped
from pipelines.backtest.engine.orders import cancel_entry
from pipelines.backtest.layout import AT_LIMIT, AT_OPEN, AT_STOP_ORDER, BUY, ENTRY, LIMIT, MARKET

# Flags of `Limits.blocked`, as `backtest.fills` has them.
_NO_BUYING, _NO_SELLING = 1, 2


@compiled
def can_leave(p, i, session, limits):  # type: ignore[no-untyped-def]
    """Whether the bar's market takes the other side of an exit."""
    flag = _NO_SELLING if p.quantity > 0 else _NO_BUYING
    return limits.blocked[i] & flag == 0 and not (limits.must_deliver[i] and p.entry_session == session)


@compiled
def can_enter(p, i, limits):  # type: ignore[no-untyped-def]
    """Whether the bar's market takes the other side of an entry."""
    flag = _NO_BUYING if p.order > 0 else _NO_SELLING
    return limits.blocked[i] & flag == 0 and not (limits.must_deliver[i] and p.order < 0)


@compiled
def fill_exits(state, bars, prices, at_open, rules, log):  # type: ignore[no-untyped-def]
    """Exits ordered before, at the step's `prices`."""
    a, book, listed = state.account[0], state.book, state.listed
    ahead = a.leaving
    for k in range(a.listed):
        if ahead == 0:
            return
        i = listed[k]
        p = book[i]
        if p.leave == 0:
            continue
        ahead -= 1
        if not math.isnan(prices[i]) and can_leave(p, i, bars.clock.session, bars.limits):
            price = slipped(prices[i], -1 if p.quantity > 0 else 1, p.tick, rules)
            leave(a, p, i, bars.clock.step, price, p.leave, at_open, bars.costs, log)


@compiled
def fill_market_entries(state, bars, prices, entered, rules, log):  # type: ignore[no-untyped-def]
    """Market orders for entries, at the step's `prices`."""
    a, book, listed = state.account[0], state.book, state.listed
    ahead = a.waiting
    for k in range(a.listed):
        if ahead == 0:
            return
        i = listed[k]
        p = book[i]
        if p.order == 0:
            continue
        ahead -= 1
        due = p.order_kind == MARKET and _is_due(p, bars.clock.session, rules)
        if due and not math.isnan(prices[i]) and can_enter(p, i, bars.limits):
            _enter(a, p, i, bars, slipped(prices[i], 1 if p.order > 0 else -1, p.tick, rules), entered, rules, log)


@compiled
def fill_priced_entries(state, bars, rules, log):  # type: ignore[no-untyped-def]
    """Limit and stop orders that the bar reached: at the order's price, or at the open where that lies beyond it."""
    a, book, listed = state.account[0], state.book, state.listed
    ahead = a.waiting
    for k in range(a.listed):
        if ahead == 0:
            return
        i = listed[k]
        p = book[i]
        if p.order == 0:
            continue
        ahead -= 1
        first = bars.prices.open[i]
        if p.order_kind == MARKET or not _is_due(p, bars.clock.session, rules) or math.isnan(first):
            continue
        side = 1 if p.order > 0 else -1
        # A purchase with a limit waits for the price to fall, one with a trigger for it to rise; a sale the other way round.
        if (side > 0) == (p.order_kind == LIMIT):
            beyond, reached = first <= p.order_price, bars.prices.low[i] <= p.order_price
        else:
            beyond, reached = first >= p.order_price, bars.prices.high[i] >= p.order_price
        if not reached or not can_enter(p, i, bars.limits):
            continue
        price = first if beyond else p.order_price
        if p.order_kind == LIMIT:
            _enter(a, p, i, bars, price, AT_OPEN if beyond else AT_LIMIT, rules, log)
        else:
            _enter(a, p, i, bars, slipped(price, side, p.tick, rules), AT_OPEN if beyond else AT_STOP_ORDER, rules, log)


@compiled
def leave(a, p, i, now, price, reason, at_open, costs, log):  # type: ignore[no-untyped-def]
    """Close the position of instrument `i` at `price`, pay, and write fill and trade."""
    fee = exit_fee(a, p, price, costs)
    inflow = p.quantity * price - fee
    a.cash += inflow
    _log_fill(a, now, i, -p.quantity, price, fee, reason, p.entry_signal, log.fills)
    trade = log.trades[a.trades]
    trade.instrument = i
    trade.signal = p.entry_signal
    trade.entry_step = p.entry_step
    trade.exit_step = now
    trade.quantity = p.quantity
    trade.entry_price = p.entry_price
    trade.exit_price = price
    trade.fees = p.fees + fee
    trade.pnl = p.flow + inflow
    trade.reason = reason
    trade.at_open = at_open
    trade.entered = p.entered
    a.trades += 1
    if p.leave > 0:
        a.leaving -= 1
    a.open -= 1
    clear(p)


@compiled
def clear(p):  # type: ignore[no-untyped-def]
    """Leave nothing of a position in its row."""
    p.quantity = 0
    p.leave = 0
    p.stop = math.nan
    p.target = math.nan
    p.extreme = math.nan
    p.flow = 0.0
    p.fees = 0.0


@compiled
def _is_due(p, session, rules):  # type: ignore[no-untyped-def]
    # One whose sessions held no step at all has expired before this one.
    return p.order != 0 and p.quantity == 0 and session <= p.order_session + rules.order_sessions


@compiled
def _enter(a, p, i, bars, price, entered, rules, log):  # type: ignore[no-untyped-def]
    quantity = p.order
    most = bars.limits.volume[i] * rules.volume_share
    if most < abs(quantity):
        most = math.floor(most) // p.lot * p.lot
        if most == 0:
            return
        a.cut += 1
        quantity = int(most) if quantity > 0 else -int(most)
    # An exit ordered for the same open may still wait in a halted instrument and hold its slot.
    if a.open >= rules.max_positions:
        cancel_entry(a, p)
        a.refused_slots += 1
        return
    if a.entries >= rules.max_entries:
        cancel_entry(a, p)
        a.refused_entries += 1
        return
    held = bars.costs[p.cost_class, 1]
    if quantity > 0 and not rules.overdraw:
        paid = affordable(a.cash + rules.borrowing * max(a.equity, 0.0), price, BUY, p.lot, held)
        if paid == 0:
            cancel_entry(a, p)
            a.refused_cash += 1
            return
        if paid < quantity:
            a.cut += 1
            quantity = paid
    cancel_entry(a, p)
    fee = fee_of(quantity, price, held)
    flow = -quantity * price - fee
    a.cash += flow
    _log_fill(a, bars.clock.step, i, quantity, price, fee, ENTRY, p.order_signal, log.fills)
    a.open += 1
    a.entries += 1
    p.quantity = quantity
    p.entry_price = price
    p.entry_step = bars.clock.step
    p.entry_session = bars.clock.session
    p.entry_signal = p.order_signal
    p.entered = entered
    p.stop = p.order_stop
    p.target = p.order_target
    p.extreme = price
    p.last = price
    p.flow = flow
    p.fees = fee


@compiled
def _log_fill(a, now, i, quantity, price, fee, reason, signal, fills):  # type: ignore[no-untyped-def]
    fill = fills[a.fills]
    fill.step = now
    fill.instrument = i
    fill.quantity = quantity
    fill.price = price
    fill.fee = fee
    fill.reason = reason
    fill.signal = signal
    a.fills += 1
    a.traded += abs(quantity) * price
    a.fees += fee
