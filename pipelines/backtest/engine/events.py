"""Corporate events on positions and orders, in the order of `actions.effects_of`.

Lives here: units, stop and target follow the price, so that the value held stays; fractions are paid in cash.
Does not live here: what an action means (`actions`), the price of a delisted share (`grid`).
"""

from __future__ import annotations

import math

from pipelines.backtest.engine.compiled import compiled
from pipelines.backtest.engine.fills import clear, leave
from pipelines.backtest.engine.orders import list_instrument
from pipelines.backtest.layout import CASH_OUT, UNADJUSTED


@compiled
def apply_event(state, now, event, no_costs, log):  # type: ignore[no-untyped-def]
    """Apply one event to whoever holds or orders its instrument. no_costs: zeros in the shape of costs."""
    a, i = state.account[0], event.instrument
    p = state.book[i]
    held, ordered = p.quantity != 0, p.order != 0
    if not (held or ordered):
        return
    price, reason = event.cash_out, CASH_OUT
    if event.unknown == 1:
        # What the holding is worth from here on is not known; at the last price it was.
        price, reason = p.last, UNADJUSTED
    elif event.successor >= 0:
        price = _merge(state, i, event)
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
        leave(a, p, i, now, price, reason, 1, no_costs, log)


@compiled
def _merge(state, i, event):  # type: ignore[no-untyped-def]
    """Turn the holding of `i` into the successor's units and cash; where that cannot be, the price to cash it out at, else NaN."""
    a, p, q = state.account[0], state.book[i], state.book[event.successor]
    if p.quantity == 0:
        return math.nan
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
    q.entered = p.entered
    q.stop = (p.stop - event.dividend) / event.ratio
    q.target = (p.target - event.dividend) / event.ratio
    q.extreme = (p.extreme - event.dividend) / event.ratio
    q.last = price
    q.flow = p.flow
    q.fees = p.fees
    q.leave = p.leave
    clear(p)
    list_instrument(state, event.successor)
    return math.nan


@compiled
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


@compiled
def _divide_levels(p, divisor):  # type: ignore[no-untyped-def]
    p.stop /= divisor
    p.target /= divisor
    p.extreme /= divisor
    p.order_stop /= divisor
    p.order_target /= divisor
    p.order_price /= divisor
    p.last /= divisor


@compiled
def _credit(a, p, cash):  # type: ignore[no-untyped-def]
    # An instrument never held has no last close: its NaN must not reach the account.
    if p.quantity != 0:
        a.cash += cash
        p.flow += cash
