"""Memory layout of the step kernel: records and codes.

Lives here: the numpy record types the compiled kernel works on.
Does not live here: what a step takes and changes (`state`), the rules of a run (`rules`), what happens at a bar (`engine/`).

Prices and cash are in the instruments' one currency; quantities are whole units, negative for a short position.
"""

from __future__ import annotations

import numpy as np

# Why a fill happened. The index is the code that the kernel writes.
REASONS = (
    "none",
    "entry",
    "stop",
    "target",
    "signal",
    "time",
    "kill_switch",
    "cash_out",
    "end",
    "unadjusted",
    "trailing_stop",
    "session_end",
)
ENTRY, STOP, TARGET, SIGNAL, TIME, KILL_SWITCH, CASH_OUT, END, UNADJUSTED, TRAILING_STOP, SESSION_END = range(1, 12)

# Sides of an order. CLOSE opens nothing: whatever is held is left with reason `end`.
BUY, SELL, CLOSE = 1, -1, 0

# Kinds of entry orders: filled at the next price; at the order's price or better; once the order's price is reached, or at worse.
ORDER_KINDS = ("market", "limit", "stop")
MARKET, LIMIT, STOP_ORDER = range(3)

# When within its bar a position was entered: it decides which of the bar's prices came after the entry.
AT_OPEN, AT_STOP_ORDER, AT_LIMIT, AT_CLOSE = range(4)

ACCOUNT = np.dtype(
    [
        ("cash", "f8"),
        ("equity", "f8"),
        ("peak", "f8"),  # highest equity so far, the initial cash included
        ("gross", "f8"),  # absolute value of all positions at the last mark
        ("lowest_cash", "f8"),
        ("traded", "f8"),  # value of all fills, both sides
        ("fees", "f8"),
        ("open", "i8"),  # positions held
        ("waiting", "i8"),  # entry orders not yet filled
        ("leaving", "i8"),  # exit orders not yet filled
        ("session", "i8"),  # number of the session of the last step
        ("listed", "i8"),  # instruments on the list of those that a step looks at
        ("killed", "i8"),  # 1 once the drawdown limit was hit; never reset within a run
        ("refused_slots", "i8"),  # entries not ordered or not filled because every slot was taken
        ("refused_cash", "i8"),  # entries not ordered because not even one unit was affordable
        ("refused_entries", "i8"),  # entries not filled because the session had its number of them
        ("entries", "i8"),  # entries filled in the session of the last step
        ("expired", "i8"),  # entry orders that found no tradable price in the sessions they were for
        ("cut", "i8"),  # entries of which the volume or the cash allowed a part only
        ("fills", "i8"),  # rows written to the fill log since it was last emptied
        ("trades", "i8"),  # rows written to the trade log since it was last emptied
    ]
)

BOOK = np.dtype(
    [
        ("quantity", "i8"),
        ("entry_price", "f8"),
        ("entry_step", "i8"),
        ("entry_session", "i8"),
        ("entry_signal", "i8"),
        ("stop", "f8"),  # NaN: none
        ("target", "f8"),  # NaN: none
        ("last", "f8"),  # close of the last bar seen, in today's share basis: what a halted position is marked at
        ("flow", "f8"),  # cash the position has brought so far: entry, fees, dividends, cash for fractions
        ("fees", "f8"),
        ("leave", "i8"),  # reason of a waiting exit order, 0 for none
        ("order", "i8"),  # units of a waiting entry order, signed, 0 for none
        ("order_stop", "f8"),
        ("order_target", "f8"),
        ("order_signal", "i8"),
        ("cost_class", "i8"),  # which of the step's classes of costs the instrument pays by
        ("order_session", "i8"),  # session of the decision, from which the order's life is counted
        ("order_kind", "i8"),  # one of ORDER_KINDS
        ("order_price", "f8"),  # limit or trigger, NaN for a market order
        ("entered", "i8"),  # where in its bar the position was entered: AT_OPEN and so on
        ("extreme", "f8"),  # best price seen since the entry: what a trailing stop trails
        ("sector", "i8"),  # number of the instrument's sector
        ("lot", "i8"),  # units are traded in multiples of it
        ("tick", "f8"),  # smallest step of the price, for slippage in ticks
    ]
)

# Corporate events, applied before the first trade of their step, in the order of their rows (`actions.effects_of`). `ratio`: new
# units per old (1: none); `dividend`: cash per new unit; `price_factor`: what is left of the price after an action that leaves the
# units alone (demerger, rights; 1: none); `cash_out`: price at which the instrument ceases to exist (NaN: it lives on).
# `successor`: number of the instrument whose units a merger gives, `ratio` for each old one (-1: none), beside `dividend` in cash
# per OLD unit; `successor_price`: the last one known of it (NaN: none yet). `unknown`: 1 where the effect on the price cannot be
# computed.
EVENT = np.dtype(
    [
        ("instrument", "i8"),
        ("ratio", "f8"),
        ("dividend", "f8"),
        ("price_factor", "f8"),
        ("cash_out", "f8"),
        ("successor", "i8"),
        ("successor_price", "f8"),
        ("unknown", "i8"),
    ]
)

# What is decided at a step's close. `stop` and `target`: NaN for the distances of the rules. `signal`: the caller's number of the
# signal, carried into fills and trades. `kind`, `price`: of the entry order. `fraction`: part of equity, NaN for that of the rules.
ORDER = np.dtype(
    [
        ("instrument", "i8"),
        ("side", "i8"),
        ("stop", "f8"),
        ("target", "f8"),
        ("signal", "i8"),
        ("kind", "i8"),
        ("price", "f8"),
        ("fraction", "f8"),
    ]
)

FILL = np.dtype(
    [("step", "i8"), ("instrument", "i8"), ("quantity", "i8"), ("price", "f8"), ("fee", "f8"), ("reason", "i8"), ("signal", "i8")]
)

TRADE = np.dtype(
    [
        ("instrument", "i8"),
        ("signal", "i8"),
        ("entry_step", "i8"),
        ("exit_step", "i8"),
        ("quantity", "i8"),  # signed, as held at the exit
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("fees", "f8"),
        ("pnl", "f8"),
        ("reason", "i8"),
        ("at_open", "i8"),  # 1 if the exit filled at the bar's open, 0 within the bar or at its close
        ("entered", "i8"),  # where in its bar the entry filled: AT_OPEN and so on
    ]
)

# Costs of one step: float64[K, 2, 8], by class of instruments, then by holding: row 0 for a position left in the session it was
# entered in, row 1 for one that is held longer. A fill of value v pays v × levy + clip(v × brokerage, least, most) + flat, by its
# own side. An entry pays by row 1; leaving in the same session settles the difference to row 0.
COST_FIELDS = (
    "buy_levy",
    "sell_levy",
    "buy_brokerage",
    "sell_brokerage",
    "brokerage_least",
    "brokerage_most",
    "buy_flat",
    "sell_flat",
)
