"""What a fill costs, and how much a budget buys.

Lives here: fees by `layout.COST_FIELDS`, slippage, whole lots within a budget.
Does not live here: where costs come from (`costs`), which budget an order has (`sizing`).
"""

from __future__ import annotations

import math

from pipelines.backtest.engine.compiled import compiled
from pipelines.backtest.layout import BUY


@compiled
def fee_of(quantity, price, costs):  # type: ignore[no-untyped-def]
    """The fee of a fill of signed `quantity`. costs: float64[8] of one class and holding."""
    value = abs(quantity) * price
    side = 0 if quantity > 0 else 1
    return value * costs[side] + min(max(value * costs[2 + side], costs[4]), costs[5]) + costs[6 + side]


@compiled
def exit_fee(a, p, price, costs):  # type: ignore[no-untyped-def]
    """The fee of leaving a position. costs: float64[K, 2, 8].

    The entry paid as if held; what it would have paid otherwise is settled by an exit in the same session.
    """
    if p.entry_session != a.session:
        return fee_of(-p.quantity, price, costs[p.cost_class, 1])
    same = costs[p.cost_class, 0]
    difference = fee_of(p.quantity, p.entry_price, same) - fee_of(p.quantity, p.entry_price, costs[p.cost_class, 1])
    return fee_of(-p.quantity, price, same) + difference


@compiled
def slipped(price, side, tick, rules):  # type: ignore[no-untyped-def]
    """The price that a purchase (side 1) or sale (-1) gets instead of `price`: never a better one."""
    return price + side * (price * rules.slippage_rate + rules.slippage_ticks * tick)


@compiled
def affordable(budget, price, side, lot, costs):  # type: ignore[no-untyped-def]
    """Units in whole lots that `budget` pays for, fees included; 0 where not even one lot."""
    if not (budget > 0.0 and price > 0.0):
        return 0
    s = 0 if side == BUY else 1
    quantity = math.floor(budget / (price * (1.0 + costs[s])) + 1e-9)
    while quantity > 0:
        excess = quantity * price + fee_of(quantity * side, price, costs) - budget
        if excess <= 1e-9 * budget:
            break
        quantity -= max(1, math.floor(excess / (price * (1.0 + costs[s] + costs[2 + s]))))
    return max(quantity, 0) // lot * lot
