"""Orders: taken at a step's close, waiting, expired, cancelled; and the list of instruments that a step looks at.

Lives here: everything that changes an order but a fill.
Does not live here: fills (`fills`), how much an order may cost (`sizing`).
"""

from __future__ import annotations

import math

from pipelines.backtest.engine.compiled import compiled
from pipelines.backtest.engine.fees import affordable, fee_of
from pipelines.backtest.engine.sizing import purchasing_power, room_in_sector
from pipelines.backtest.layout import BUY, CLOSE, END, KILL_SWITCH, SELL, SIGNAL, TIME


@compiled
def order_exit(a, p, reason):  # type: ignore[no-untyped-def]
    """Order a position out, unless that was ordered before."""
    if p.quantity != 0 and p.leave == 0:
        p.leave = reason
        a.leaving += 1


@compiled
def cancel_entry(a, p):  # type: ignore[no-untyped-def]
    """Take back an instrument's entry order, if there is one."""
    if p.order != 0:
        p.order = 0
        a.waiting -= 1


@compiled
def cancel_entries(state):  # type: ignore[no-untyped-def]
    """Take back every entry order."""
    a, book, listed = state.account[0], state.book, state.listed
    for k in range(a.listed):
        book[listed[k]].order = 0
    a.waiting = 0


@compiled
def expire(state, session, rules):  # type: ignore[no-untyped-def]
    """At a session's end: entry orders that have waited as many sessions as they may."""
    a, book, listed = state.account[0], state.book, state.listed
    for k in range(a.listed):
        p = book[listed[k]]
        if p.order != 0 and session - p.order_session >= rules.order_sessions:
            p.order = 0
            a.waiting -= 1
            a.expired += 1


@compiled
def order_due_exits(state, session, rules):  # type: ignore[no-untyped-def]
    """Order out everything after the kill switch, else what has been held as long as it may."""
    a, book, listed = state.account[0], state.book, state.listed
    if a.killed == 0 and rules.max_sessions == 0:
        return
    for k in range(a.listed):
        i = listed[k]
        if a.killed == 1:
            order_exit(a, book[i], KILL_SWITCH)
        elif session - book[i].entry_session + 1 >= rules.max_sessions:
            order_exit(a, book[i], TIME)


@compiled
def list_instrument(state, i):  # type: ignore[no-untyped-def]
    """Have the next steps look at an instrument.

    A step costs what is held and ordered, not what the market has: only listed instruments are looked at, in ascending order.
    """
    a, listed = state.account[0], state.listed
    k = a.listed
    while k > 0 and listed[k - 1] > i:
        k -= 1
    if k > 0 and listed[k - 1] == i:
        return
    for j in range(a.listed, k, -1):
        listed[j] = listed[j - 1]
    listed[k] = i
    a.listed += 1


@compiled
def tidy_list(state):  # type: ignore[no-untyped-def]
    """Leave out of the list what has neither position nor order any more."""
    a, book, listed = state.account[0], state.book, state.listed
    if a.listed == a.open and a.waiting == 0:
        return
    kept = 0
    for k in range(a.listed):
        i = listed[k]
        if book[i].quantity != 0 or book[i].order != 0:
            listed[kept] = i
            kept += 1
    a.listed = kept


@compiled
def take_orders(state, rules, session, sizing, costs, orders):  # type: ignore[no-untyped-def]
    """What was decided at this close: first the exits, then entries, sized one after the other."""
    a, book = state.account[0], state.book
    openings = 0
    for order in orders:
        p = book[order.instrument]
        if order.side == CLOSE:
            order_exit(a, p, END)
            cancel_entry(a, p)
            continue
        if p.quantity * order.side < 0 and rules.exit_on_signal:
            order_exit(a, p, SIGNAL)
        if p.order * order.side < 0:
            cancel_entry(a, p)
        if order.side == BUY or rules.allow_short:
            openings += 1
    if openings == 0:
        return
    equity, free = purchasing_power(state, sizing, rules, costs)
    for order in orders:
        i = order.instrument
        p = book[i]
        # A position on the same side, even one about to be left, takes no second entry; nor does one that no signal closes.
        staying = p.quantity * order.side > 0 or (p.quantity != 0 and p.leave == 0)
        if order.side == CLOSE or (order.side == SELL and not rules.allow_short) or staying or p.order != 0:
            continue
        price = sizing[i]
        if math.isnan(price):
            continue
        if a.open - a.leaving + a.waiting >= rules.max_positions:
            a.refused_slots += 1
            continue
        held = costs[p.cost_class, 1]
        budget = min((rules.fraction if math.isnan(order.fraction) else order.fraction) * equity, free)
        if not math.isinf(rules.sector_share):
            budget = min(budget, room_in_sector(state, sizing, p.sector, equity, rules))
        quantity = affordable(budget, price, order.side, p.lot, held)
        if quantity == 0:
            a.refused_cash += 1
            continue
        free -= quantity * price + fee_of(quantity * order.side, price, held)
        p.order = quantity * order.side
        p.order_stop = price * (1.0 - order.side * rules.stop_fraction) if math.isnan(order.stop) else order.stop
        p.order_target = price * (1.0 + order.side * rules.target_fraction) if math.isnan(order.target) else order.target
        p.order_signal = order.signal
        p.order_session = session
        p.order_kind = order.kind
        p.order_price = order.price
        p.last = price if p.quantity == 0 else p.last
        a.waiting += 1
        list_instrument(state, i)
