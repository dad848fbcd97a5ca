"""How much an order may cost: decided with the prices of the decision, never with the fill's.

Lives here: equity and the part of it that nothing ties up, the room of a sector.
Does not live here: the fraction that an order asks for (`rules`, `backtest/strategies/`), fees (`fees`).
"""

from __future__ import annotations

import math

from pipelines.backtest.engine.compiled import compiled
from pipelines.backtest.engine.fees import fee_of


@compiled
def purchasing_power(state, sizing, rules, costs):  # type: ignore[no-untyped-def]
    """(equity as it will stand once what is leaving has left, what of the buying power nothing staying or ordered ties up).

    A short position ties up its full value.
    """
    a, book, listed = state.account[0], state.book, state.listed
    equity = a.cash
    tied = 0.0
    for k in range(a.listed):
        i = listed[k]
        p = book[i]
        if p.quantity == 0 and p.order == 0:
            continue
        price = p.last if math.isnan(sizing[i]) else sizing[i]
        equity += p.quantity * price
        if p.leave > 0:
            equity -= fee_of(-p.quantity, price, costs[p.cost_class, 1])
        else:
            tied += abs(p.quantity) * price
        if p.order != 0:
            tied += abs(p.order) * price + fee_of(p.order, price, costs[p.cost_class, 1])
    return equity, equity * rules.buying_power - tied


@compiled
def room_in_sector(state, sizing, sector, equity, rules):  # type: ignore[no-untyped-def]
    """What the positions and orders of a sector may still cost."""
    a, book, listed = state.account[0], state.book, state.listed
    tied = 0.0
    for k in range(a.listed):
        i = listed[k]
        p = book[i]
        if p.sector != sector:
            continue
        price = p.last if math.isnan(sizing[i]) else sizing[i]
        if p.quantity != 0 and p.leave == 0:
            tied += abs(p.quantity) * price
        if p.order != 0:
            tied += abs(p.order) * price
    return equity * rules.sector_share - tied
