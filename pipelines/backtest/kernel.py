"""The step kernel: what happens to a portfolio at one bar. Compiled once, used bar by bar (live) and in batch (backtest) alike.

Lives here: the order of events, fills, stops, marks and sizing. Does not live here: frames, statistics, or where costs come from.
One file on purpose: numba's cache notices a change of the compiled function's own file only.

Order of events at a bar
1. corporate events, in the order of `actions.effects_of`: units, stop and target follow the price, so that the value held stays;
   fractions are paid in cash;
2. fills at the open of what was ordered before: exits first, so that they free slots, then entries;
3. exits within the bar: the stop before the target. A bar that touches both counts as the stop; a gap through a level fills at
   the open. A stop touched at a bar where that side cannot trade becomes an order for the next open;
4. mark at the close, a halted instrument at its last one;
5. kill switch on the marked equity: it cancels every entry order and orders every position out;
6. at the end of a session, entry orders of an earlier session expire;
7. new orders, decided and sized at this close: exits by time, exits by signal, then entries.

An instrument without a bar (NaN), or whose bar the order's side cannot trade (`Limits`), fills nothing: an exit waits for its next
bar, an entry to the end of the session after its decision. Units are fixed at the decision: the fill's price never changes them, so
cash may dip below zero by an overnight gap (`lowest_cash` records it) and nothing more is ordered from it; only the bar's volume
may leave a part of them unbought. Exits are not limited by volume: what is held was limited when it was bought. Instruments are
taken in order of their number, orders in the order given: the result depends on nothing else. No fast-math: a reordered sum would
break the identity of batch and live.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# Says where numba keeps what it compiles: the same folder, whichever kernel of this package a process imports first.
import pipelines.indicators.jit  # noqa: F401
from pipelines.backtest.layout import (
    BUY,
    CASH_OUT,
    END,
    ENTRY,
    KILL_SWITCH,
    SELL,
    SIGNAL,
    STOP,
    TARGET,
    TIME,
    UNADJUSTED,
    Bar,
    Limits,
)

# Flags of `Limits.blocked`, as `fills` has them.
_NO_BUYING, _NO_SELLING = 1, 2


@njit(cache=True)
def step(  # type: ignore[no-untyped-def]
    account, book, rules, now, session, bar, costs, events, orders, fills, trades, limits=None, session_ends=True
):
    """Advance `account` and `book` in place by one bar.

    account, book, fills, trades: arrays of `layout`; rows are appended to the logs at account.fills and account.trades. rules:
    `CompiledRules`. now, session: numbers of the bar and its session, both increasing. bar: `Bar`. costs: float64[K, 2, 8], see
    `layout.COST_FIELDS`. events, orders: records that belong to this bar (orders are decided at its close). limits: `Limits` of
    the bar, None where all can trade. session_ends: whether this is the session's last bar.
    """
    a = account[0]
    a.session = session
    free = _no_limits(bar.open) if limits is None else limits
    for event in events:
        _apply_event(a, book, now, event, np.zeros_like(costs), fills, trades)
    _fill_at_open(a, book, now, session, bar, free, rules, costs, fills, trades)
    a.gross = 0.0
    a.equity = a.cash
    if a.open > 0:
        _stops_and_targets(a, book, now, session, bar, free, costs, fills, trades)
        _mark(a, book, bar)
    a.peak = max(a.peak, a.equity)
    a.lowest_cash = min(a.lowest_cash, a.cash)
    if a.killed == 0 and a.equity <= a.peak * (1.0 - rules.kill_drawdown):
        a.killed = 1
        _cancel_entries(a, book)
    if a.open > 0:
        _order_exits(a, book, rules, session)
    if session_ends and a.waiting > 0:
        _expire(a, book, session)
    _tidy_list(a, book)
    if orders.size > 0 and a.killed == 0:
        _take_orders(a, book, rules, session, bar, costs, orders)


@njit(cache=True)
def run(  # type: ignore[no-untyped-def]
    account, book, rules, sessions, bars, costs, events, event_offsets, orders, order_offsets, fills, trades, curve, limits=None
):
    """Every step in turn, then close what is left at its last price with reason 'end'.

    sessions: int64[T]. bars: `Bar` of float64[T, N]. costs: float64[T, K, 2, 8]. What belongs to step t of events and orders lies
    between their offsets t and t + 1. limits: `Limits` of [T, N], None where all can trade.
    curve: float64[T, 3] receives equity, gross value of positions, and cash after each step (the last one after the closing fills).
    """
    steps = sessions.size
    unlimited = _no_limits(bars.open[0]) if steps > 0 else _no_limits(np.empty(0))
    for t in range(steps):
        row = Bar(bars.open[t], bars.high[t], bars.low[t], bars.close[t], bars.sizing[t])
        due = events[event_offsets[t] : event_offsets[t + 1]]
        decided = orders[order_offsets[t] : order_offsets[t + 1]]
        free = unlimited if limits is None else Limits(limits.blocked[t], limits.must_deliver[t], limits.volume[t])
        session_ends = t + 1 == steps or sessions[t + 1] != sessions[t]
        step(account, book, rules, t, sessions[t], row, costs[t], due, decided, fills, trades, free, session_ends)
        curve[t, 0] = account[0].equity
        curve[t, 1] = account[0].gross
        curve[t, 2] = account[0].cash
    if steps > 0:
        finish(account, book, steps - 1, costs[steps - 1], fills, trades)
        curve[steps - 1, 0] = account[0].equity
        curve[steps - 1, 2] = account[0].cash


@njit(cache=True)
def finish(account, book, now, costs, fills, trades):  # type: ignore[no-untyped-def]
    """Cancel what waits and close what is open at its last close. Gross value in `account` stays that of the last mark."""
    a = account[0]
    _cancel_entries(a, book)
    for k in range(a.listed):
        i = book[k].listed
        if book[i].quantity != 0:
            _exit(a, book[i], i, now, book[i].last, END, 0, costs, fills, trades)
    a.equity = a.cash
    a.lowest_cash = min(a.lowest_cash, a.cash)


@njit(cache=True)
def _no_limits(prices):  # type: ignore[no-untyped-def]
    return Limits(np.zeros(prices.size, np.uint8), np.zeros(prices.size, np.bool_), np.full(prices.size, np.inf))


@njit(cache=True)
def _can_leave(p, i, session, limits):  # type: ignore[no-untyped-def]
    flag = _NO_SELLING if p.quantity > 0 else _NO_BUYING
    return limits.blocked[i] & flag == 0 and not (limits.must_deliver[i] and p.entry_session == session)


@njit(cache=True)
def _can_enter(p, i, limits):  # type: ignore[no-untyped-def]
    flag = _NO_BUYING if p.order > 0 else _NO_SELLING
    return limits.blocked[i] & flag == 0 and not (limits.must_deliver[i] and p.order < 0)


@njit(cache=True)
def _fill_at_open(a, book, now, session, bar, limits, rules, costs, fills, trades):  # type: ignore[no-untyped-def]
    if a.leaving > 0:
        for k in range(a.listed):
            i = book[k].listed
            if book[i].leave > 0 and not math.isnan(bar.open[i]) and _can_leave(book[i], i, session, limits):
                _exit(a, book[i], i, now, bar.open[i], book[i].leave, 1, costs, fills, trades)
    if a.waiting > 0:
        for k in range(a.listed):
            i = book[k].listed
            # One whose session held no step at all has expired before this one.
            due = book[i].order != 0 and book[i].quantity == 0 and session <= book[i].order_session + 1
            if due and not math.isnan(bar.open[i]) and _can_enter(book[i], i, limits):
                _enter(a, book[i], i, now, session, bar.open[i], limits.volume[i], rules, costs, fills)


@njit(cache=True)
def _expire(a, book, session):  # type: ignore[no-untyped-def]
    for k in range(a.listed):
        p = book[book[k].listed]
        if p.order != 0 and p.order_session < session:
            p.order = 0
            a.waiting -= 1
            a.expired += 1


@njit(cache=True)
def _order_exits(a, book, rules, session):  # type: ignore[no-untyped-def]
    if a.killed == 0 and rules.max_sessions == 0:
        return
    for k in range(a.listed):
        i = book[k].listed
        if a.killed == 1:
            _order_exit(a, book[i], KILL_SWITCH)
        elif session - book[i].entry_session + 1 >= rules.max_sessions:
            _order_exit(a, book[i], TIME)


@njit(cache=True)
def _fee(quantity, price, costs):  # type: ignore[no-untyped-def]
    value = abs(quantity) * price
    side = 0 if quantity > 0 else 1
    return value * costs[side] + min(max(value * costs[2 + side], costs[4]), costs[5]) + costs[6 + side]


@njit(cache=True)
def _exit_fee(a, p, price, costs):  # type: ignore[no-untyped-def]
    if p.entry_session != a.session:
        return _fee(-p.quantity, price, costs[p.cost_class, 1])
    # The entry paid as if held; what it would have paid otherwise is settled here.
    same = costs[p.cost_class, 0]
    difference = _fee(p.quantity, p.entry_price, same) - _fee(p.quantity, p.entry_price, costs[p.cost_class, 1])
    return _fee(-p.quantity, price, same) + difference


@njit(cache=True)
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


@njit(cache=True)
def _exit(a, p, i, now, price, reason, at_open, costs, fills, trades):  # type: ignore[no-untyped-def]
    fee = _exit_fee(a, p, price, costs)
    inflow = p.quantity * price - fee
    a.cash += inflow
    _log_fill(a, now, i, -p.quantity, price, fee, reason, p.entry_signal, fills)
    trade = trades[a.trades]
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
    a.trades += 1
    if p.leave > 0:
        a.leaving -= 1
    a.open -= 1
    _clear(p)


@njit(cache=True)
def _enter(a, p, i, now, session, price, volume, rules, costs, fills):  # type: ignore[no-untyped-def]
    quantity = p.order
    most = volume * rules.volume_share
    if most < abs(quantity):
        most = math.floor(most)
        if most == 0.0:
            return
        a.cut += 1
        quantity = int(most) if quantity > 0 else -int(most)
    p.order = 0
    a.waiting -= 1
    # An exit ordered for the same open may still wait in a halted instrument and hold its slot.
    if a.open >= rules.max_positions:
        a.refused_slots += 1
        return
    fee = _fee(quantity, price, costs[p.cost_class, 1])
    flow = -quantity * price - fee
    a.cash += flow
    _log_fill(a, now, i, quantity, price, fee, ENTRY, p.order_signal, fills)
    a.open += 1
    p.quantity = quantity
    p.entry_price = price
    p.entry_step = now
    p.entry_session = session
    p.entry_signal = p.order_signal
    p.stop = p.order_stop
    p.target = p.order_target
    p.last = price
    p.flow = flow
    p.fees = fee


@njit(cache=True)
def _apply_event(a, book, now, event, no_costs, fills, trades):  # type: ignore[no-untyped-def]
    i = event.instrument
    p = book[i]
    held, ordered = p.quantity != 0, p.order != 0
    if not (held or ordered):
        return
    price, reason = event.cash_out, CASH_OUT
    if event.unknown == 1:
        # What the holding is worth from here on is not known; at the last price it was.
        price, reason = p.last, UNADJUSTED
    elif event.successor >= 0:
        price = _merge(a, book, i, event)
    else:
        if event.ratio != 1.0:
            _split(a, p, event.ratio)
        if event.price_factor != 1.0:
            # What was split off is credited at its share of the last close, so that a holding keeps its value.
            _credit(a, p, p.quantity * p.last * (1.0 - event.price_factor))
            _divide_levels(p, 1.0 / event.price_factor)
        _credit(a, p, p.quantity * event.dividend)
        if held and p.quantity == 0 and math.isnan(price):
            price = p.last
    if not math.isnan(price) or event.successor >= 0:
        p.order = 0
    if ordered and p.order == 0:
        a.waiting -= 1
    if held and not math.isnan(price):
        _exit(a, p, i, now, price, reason, 1, no_costs, fills, trades)


@njit(cache=True)
def _merge(a, book, i, event):  # type: ignore[no-untyped-def]
    """Turn the holding of `i` into the successor's units and cash; where that cannot be, the price to cash it out at, else NaN."""
    p, q = book[i], book[event.successor]
    if p.quantity == 0:
        return np.nan
    price = event.successor_price
    if math.isnan(price):
        price = (p.last - event.dividend) / event.ratio
    exchanged = abs(p.quantity) * event.ratio
    whole = math.floor(exchanged + 1e-9)
    # A book holds one position for each instrument: who holds or orders the successor already gets the value instead.
    if whole == 0 or q.quantity != 0 or q.order != 0:
        return event.ratio * price + event.dividend
    sign = 1 if p.quantity > 0 else -1
    _credit(a, p, p.quantity * event.dividend)
    if exchanged > whole:
        _credit(a, p, sign * (exchanged - whole) * price)
    q.quantity = sign * whole
    q.entry_price = p.entry_price
    q.entry_step = p.entry_step
    q.entry_session = p.entry_session
    q.entry_signal = p.entry_signal
    q.stop = (p.stop - event.dividend) / event.ratio
    q.target = (p.target - event.dividend) / event.ratio
    q.last = price
    q.flow = p.flow
    q.fees = p.fees
    q.leave = p.leave
    _clear(p)
    _list(a, book, event.successor)
    return np.nan


@njit(cache=True)
def _clear(p):  # type: ignore[no-untyped-def]
    p.quantity = 0
    p.leave = 0
    p.stop = np.nan
    p.target = np.nan
    p.flow = 0.0
    p.fees = 0.0


@njit(cache=True)
def _split(a, p, ratio):  # type: ignore[no-untyped-def]
    _divide_levels(p, ratio)
    # A whole number times a ratio such as 1.1 can land a hair below the whole number it stands for.
    held = abs(p.quantity) * ratio
    whole = math.floor(held + 1e-9)
    sign = 1 if p.quantity > 0 else -1
    if held > whole:
        _credit(a, p, sign * (held - whole) * p.last)
    p.quantity = sign * whole
    ordered = math.floor(abs(p.order) * ratio + 1e-9)
    p.order = ordered if p.order > 0 else -ordered


@njit(cache=True)
def _divide_levels(p, divisor):  # type: ignore[no-untyped-def]
    p.stop /= divisor
    p.target /= divisor
    p.order_stop /= divisor
    p.order_target /= divisor
    p.last /= divisor


@njit(cache=True)
def _credit(a, p, cash):  # type: ignore[no-untyped-def]
    # An instrument never held has no last close: its NaN must not reach the account.
    if p.quantity != 0:
        a.cash += cash
        p.flow += cash


@njit(cache=True)
def _stops_and_targets(a, book, now, session, bar, limits, costs, fills, trades):  # type: ignore[no-untyped-def]
    for k in range(a.listed):
        i = book[k].listed
        p = book[i]
        if p.quantity == 0 or math.isnan(bar.open[i]):
            continue
        first = bar.open[i]
        if p.quantity > 0:
            stopped, through = bar.low[i] <= p.stop, first <= p.stop
            reached, beyond = bar.high[i] >= p.target, first >= p.target
        else:
            stopped, through = bar.high[i] >= p.stop, first >= p.stop
            reached, beyond = bar.low[i] <= p.target, first <= p.target
        if not _can_leave(p, i, session, limits):
            if stopped:
                _order_exit(a, p, STOP)
        elif stopped:
            _exit(a, p, i, now, first if through else p.stop, STOP, int(through), costs, fills, trades)
        elif reached:
            _exit(a, p, i, now, first if beyond else p.target, TARGET, int(beyond), costs, fills, trades)


@njit(cache=True)
def _mark(a, book, bar):  # type: ignore[no-untyped-def]
    value = 0.0
    for k in range(a.listed):
        i = book[k].listed
        p = book[i]
        if p.quantity == 0:
            continue
        if not math.isnan(bar.close[i]):
            p.last = bar.close[i]
        value += p.quantity * p.last
        a.gross += abs(p.quantity) * p.last
    a.equity = a.cash + value


@njit(cache=True)
def _order_exit(a, p, reason):  # type: ignore[no-untyped-def]
    if p.quantity != 0 and p.leave == 0:
        p.leave = reason
        a.leaving += 1


@njit(cache=True)
def _cancel_entries(a, book):  # type: ignore[no-untyped-def]
    for k in range(a.listed):
        i = book[k].listed
        book[i].order = 0
    a.waiting = 0


@njit(cache=True)
def _list(a, book, i):  # type: ignore[no-untyped-def]
    # A step costs what is held and ordered, not what the market has: only listed instruments are looked at, in ascending order.
    k = a.listed
    while k > 0 and book[k - 1].listed > i:
        k -= 1
    if k > 0 and book[k - 1].listed == i:
        return
    for j in range(a.listed, k, -1):
        book[j].listed = book[j - 1].listed
    book[k].listed = i
    a.listed += 1


@njit(cache=True)
def _tidy_list(a, book):  # type: ignore[no-untyped-def]
    kept = 0
    for k in range(a.listed):
        i = book[k].listed
        if book[i].quantity != 0 or book[i].order != 0:
            book[kept].listed = i
            kept += 1
    a.listed = kept


@njit(cache=True)
def _take_orders(a, book, rules, session, bar, costs, orders):  # type: ignore[no-untyped-def]
    openings = 0
    for order in orders:
        p = book[order.instrument]
        if p.quantity * order.side < 0:
            _order_exit(a, p, SIGNAL)
        if p.order * order.side < 0:
            p.order = 0
            a.waiting -= 1
        if order.side == BUY or rules.allow_short:
            openings += 1
    if openings == 0:
        return
    equity, free = _purchasing_power(a, book, bar, costs)
    for order in orders:
        i = order.instrument
        p = book[i]
        # A position on the same side, even one about to be left, takes no second entry.
        if (order.side == SELL and not rules.allow_short) or p.quantity * order.side > 0 or p.order != 0:
            continue
        price = bar.sizing[i]
        if math.isnan(price):
            continue
        if a.open - a.leaving + a.waiting >= rules.max_positions:
            a.refused_slots += 1
            continue
        held = costs[p.cost_class, 1]
        quantity = _affordable(min(rules.fraction * equity, free), price, order.side, held)
        if quantity == 0:
            a.refused_cash += 1
            continue
        free -= quantity * price + _fee(quantity * order.side, price, held)
        p.order = quantity * order.side
        p.order_stop = price * (1.0 - order.side * rules.stop_fraction) if math.isnan(order.stop) else order.stop
        p.order_target = price * (1.0 + order.side * rules.target_fraction) if math.isnan(order.target) else order.target
        p.order_signal = order.signal
        p.order_session = session
        p.last = price if p.quantity == 0 else p.last
        a.waiting += 1
        _list(a, book, i)


@njit(cache=True)
def _purchasing_power(a, book, bar, costs):  # type: ignore[no-untyped-def]
    # Equity as it will stand once what is leaving has left, and the part of it that nothing staying or ordered ties up. A short
    # position ties up its full value.
    equity = a.cash
    tied = 0.0
    for k in range(a.listed):
        i = book[k].listed
        p = book[i]
        if p.quantity == 0 and p.order == 0:
            continue
        price = p.last if math.isnan(bar.sizing[i]) else bar.sizing[i]
        equity += p.quantity * price
        if p.leave > 0:
            equity -= _fee(-p.quantity, price, costs[p.cost_class, 1])
        else:
            tied += abs(p.quantity) * price
        if p.order != 0:
            tied += abs(p.order) * price + _fee(p.order, price, costs[p.cost_class, 1])
    return equity, equity - tied


@njit(cache=True)
def _affordable(budget, price, side, costs):  # type: ignore[no-untyped-def]
    if not (budget > 0.0 and price > 0.0):
        return 0
    s = 0 if side == BUY else 1
    quantity = math.floor(budget / (price * (1.0 + costs[s])) + 1e-9)
    while quantity > 0:
        excess = quantity * price + _fee(quantity * side, price, costs) - budget
        if excess <= 1e-9 * budget:
            break
        quantity -= max(1, math.floor(excess / (price * (1.0 + costs[s] + costs[2 + s]))))
    return max(quantity, 0)
