"""Compiled loops of the track record: the first touch of a stop or target, signals that do not overlap, sums of drawn blocks.

Lives here: what must look at one row after another. Does not live here: which bars to look at (`trade_simulation.py`).
One file on purpose: numba's cache notices a change of the compiled function's own file only.

Prices and levels are compared as whole ten-thousandths, so that a tie is a touch on every machine. An action's factor is what it
left of the price (1/2 for one share split into two); a bar's place in `factors` is the number of the first factor not in its price.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# Says where numba keeps what it compiles: the same folder, whichever kernel of this package a process imports first.
import pipelines.indicators.jit  # noqa: F401

#: Codes of `first_touch`. WAITING: the stop was touched, and nobody has bought (sold) since.
NOTHING, AT_STOP, AT_TARGET, WAITING = 0, 1, 2, 3
#: Flags of `blocked`, as `backtest/fills.py` has them.
_NO_BUYING, _NO_SELLING = 1, 2
_UNITS = 10_000.0


@njit(cache=True)
def first_touch(  # type: ignore[no-untyped-def]
    first, last, until, earliest, basis, side, stop, target, opens, highs, lows, places, factors, blocked
):
    """Walk each observation's bars from `first` to `last` (both included) until one touches its stop or target.

    first, last: int64[n], numbers of bars; last < first is an empty walk. until: int64[n], the last bar that a touched stop may be
    filled at. earliest: int64[n], the first bar at which the position may be left. basis: int64[n], place in `factors` of the
    levels. side: int64[n], 1 or -1. stop, target: float64[n], NaN for none. opens, highs, lows, places, blocked: of all bars.
    Returns (bar or -1, code, price as traded at that bar, whether at its open). A bar that touches both counts as the stop; a bar
    that opens beyond a level fills at its open. A stop touched where the position cannot be left is filled at the next open where
    it can; a target is not.
    """
    at = np.full(first.size, -1, np.int64)
    code = np.zeros(first.size, np.int64)
    price = np.full(first.size, np.nan)
    at_open = np.zeros(first.size, np.bool_)
    for k in range(first.size):
        s = side[k]
        flag = _NO_SELLING if s > 0 else _NO_BUYING
        has_stop, has_target = not math.isnan(stop[k]), not math.isnan(target[k])
        # Mirrored for a sale, so that a stop is always reached from above.
        stop_units = s * round(stop[k] * _UNITS) if has_stop else 0.0
        target_units = s * round(target[k] * _UNITS) if has_target else 0.0
        factor, place = 1.0, basis[k]
        for i in range(first[k], last[k] + 1):
            while place < places[i]:
                factor *= factors[place]
                place += 1
            open_units = s * round(opens[i] / factor * _UNITS)
            worst = s * round((lows[i] if s > 0 else highs[i]) / factor * _UNITS)
            best = s * round((highs[i] if s > 0 else lows[i]) / factor * _UNITS)
            can_leave = i >= earliest[k] and blocked[i] & flag == 0
            if has_stop and worst <= stop_units and not can_leave:
                code[k] = 3
                for j in range(max(i + 1, earliest[k]), until[k] + 1):
                    if blocked[j] & flag == 0:
                        at[k], code[k], at_open[k], price[k] = j, 1, True, opens[j]
                        break
                break
            if has_stop and worst <= stop_units:
                at[k], code[k], at_open[k] = i, 1, open_units <= stop_units
                price[k] = opens[i] if at_open[k] else stop[k] * factor
                break
            if can_leave and has_target and best >= target_units:
                at[k], code[k], at_open[k] = i, 2, open_units >= target_units
                price[k] = opens[i] if at_open[k] else target[k] * factor
                break
    return at, code, price, at_open


@njit(cache=True)
def not_overlapping(group, entry, leave):  # type: ignore[no-untyped-def]
    """Which of the observations, ordered by group and entry, were entered when none taken before of the group was held.

    group, entry, leave: int64[n], times in any one unit; an exit at the very moment of an entry frees it.
    """
    taken = np.zeros(group.size, np.bool_)
    held_until = np.int64(0)
    for k in range(group.size):
        if k == 0 or group[k] != group[k - 1] or entry[k] >= held_until:
            taken[k] = True
            held_until = leave[k]
    return taken


@njit(cache=True)
def sums_of_rows(values, rows):  # type: ignore[no-untyped-def]
    """Of each sample, the sum of the rows that it names: float64[samples, k] of values float64[n, k], rows int64[samples, m].

    The result is exact for whole numbers, whatever the order, as long as sums stay below 2^53.
    """
    out = np.zeros((rows.shape[0], values.shape[1]))
    for sample in range(rows.shape[0]):
        for row in rows[sample]:
            for column in range(values.shape[1]):
                out[sample, column] += values[row, column]
    return out
