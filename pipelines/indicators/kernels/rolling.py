"""Rolling sums and extremes whose bits do not depend on where a run starts.

A sum that slides (add the new, drop the old) keeps the rounding of everything it ever saw, so a run resumed in the middle
differs in the last bits. Here bars are cut into blocks of one window's length, anchored at the instrument's first bar; a
window is then the end of one block plus the beginning of the next, and its sum is one suffix sum plus one prefix sum
(the van Herk scheme, with + for max). No drift, no cancellation, no state, O(1) per bar.

Not here: indicators.
"""

import numpy as np

from pipelines.indicators.frame import Floats
from pipelines.indicators.jit import kernel


@kernel
def block_sums(values: Floats, first: int, stop: int, count: int, window: int, out: Floats) -> None:
    """Write the sum of the last `window` values at each bar first … stop-1 to out[0 …]; NaN while there are fewer.

    A NaN among the values makes NaN of the windows that hold it, and of no other.
    """
    suffix = np.empty(window)
    i = first
    while i < stop:
        bars_before = count + i - first
        start = i - bars_before % window
        end = min(start + window, stop)
        has_previous = bars_before >= window
        if has_previous:
            total = 0.0
            for j in range(start - 1, i - window, -1):
                total += values[j]
                suffix[j - start + window] = total
        total = 0.0
        for j in range(start, i):
            total += values[j]
        for j in range(i, end):
            total += values[j]
            filled = j + 1 - start
            if filled == window:
                out[j - first] = total
            elif has_previous:
                out[j - first] = suffix[filled] + total
            else:
                out[j - first] = np.nan
        i = end


@kernel
def block_weighted_sums(values: Floats, first: int, stop: int, count: int, window: int, out: Floats) -> None:
    """Write Σ k·value over the last `window` values, k = 1 for the oldest, to out[0 …]; NaN while there are fewer."""
    suffix = np.empty(window)
    i = first
    while i < stop:
        bars_before = count + i - first
        start = i - bars_before % window
        end = min(start + window, stop)
        has_previous = bars_before >= window
        if has_previous:
            total = 0.0
            weighted = 0.0
            for j in range(start - 1, i - window, -1):
                total += values[j]
                weighted += total
                suffix[j - start + window] = weighted
        total = 0.0
        ramp = 0.0
        for j in range(start, i):
            total += values[j]
            ramp += (j - start) * values[j]
        for j in range(i, end):
            total += values[j]
            ramp += (j - start) * values[j]
            filled = j + 1 - start
            current = (window + 1 - filled) * total + ramp
            if filled == window:
                out[j - first] = current
            elif has_previous:
                out[j - first] = suffix[filled] + current
            else:
                out[j - first] = np.nan
        i = end


@kernel
def block_variances(values: Floats, first: int, stop: int, count: int, window: int, out: Floats) -> None:
    """Write the population variance of the last `window` values to out[0 …]; NaN while there are fewer.

    Squares are taken of distances to a value inside the window, so that a price of 1e14 with a spread of 1 keeps its digits
    and a constant price has a variance of exactly zero.
    """
    suffix = np.empty(window)
    suffix_squares = np.empty(window)
    i = first
    while i < stop:
        bars_before = count + i - first
        start = i - bars_before % window
        end = min(start + window, stop)
        has_previous = bars_before >= window
        origin = values[start]
        if has_previous:
            total = 0.0
            squares = 0.0
            for j in range(start - 1, i - window, -1):
                distance = values[j] - origin
                total += distance
                squares += distance * distance
                suffix[j - start + window] = total
                suffix_squares[j - start + window] = squares
        total = 0.0
        squares = 0.0
        for j in range(start, end):
            distance = values[j] - origin
            total += distance
            squares += distance * distance
            if j < i:
                continue
            filled = j + 1 - start
            if filled < window and not has_previous:
                out[j - first] = np.nan
                continue
            whole = filled == window
            mean = (total if whole else suffix[filled] + total) / window
            mean_square = (squares if whole else suffix_squares[filled] + squares) / window
            out[j - first] = max(mean_square - mean * mean, 0.0)
        i = end


@kernel
def widen_max(source: Floats, target: Floats, shift: int, stop: int) -> None:
    """Set target[i] to the greater of source[i] and source[i-shift]: joins two windows that lie `shift` bars apart."""
    for i in range(min(shift, stop)):
        target[i] = source[i]
    newer = source[shift:stop]
    older = source[: max(stop - shift, 0)]
    joined = target[shift:stop]
    for i in range(older.size):
        joined[i] = newer[i] if newer[i] > older[i] else older[i]


@kernel
def widen_min(source: Floats, target: Floats, shift: int, stop: int) -> None:
    """Set target[i] to the lesser of source[i] and source[i-shift]."""
    for i in range(min(shift, stop)):
        target[i] = source[i]
    newer = source[shift:stop]
    older = source[: max(stop - shift, 0)]
    joined = target[shift:stop]
    for i in range(older.size):
        joined[i] = newer[i] if newer[i] < older[i] else older[i]


@kernel
def highest(values: Floats, window: int, stop: int) -> Floats:
    """Return, for each of the first `stop` values, the highest of the last `window`; whole from the window-th value on."""
    current, other = values[:stop].copy(), np.empty(stop)
    width = 1
    while width < window:
        shift = min(width, window - width)
        widen_max(current, other, shift, stop)
        current, other = other, current
        width += shift
    return current


@kernel
def lowest(values: Floats, window: int, stop: int) -> Floats:
    """Return, for each of the first `stop` values, the lowest of the last `window`; whole from the window-th value on."""
    current, other = values[:stop].copy(), np.empty(stop)
    width = 1
    while width < window:
        shift = min(width, window - width)
        widen_min(current, other, shift, stop)
        current, other = other, current
        width += shift
    return current
