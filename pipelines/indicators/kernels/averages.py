"""Moving averages of the close and what is made of them: SMA, EMA, WMA, MACD, TRIX.

Seeds follow TA-Lib: an EMA starts as the simple mean of its first window. Source of the formulas: the TA-Lib function
reference (ta-lib.org); StockCharts ChartSchool for the words.

Not here: bands around an average (`bands`).
"""

import numpy as np

from pipelines.indicators.frame import CLOSE, Floats, Ints, Span
from pipelines.indicators.jit import kernel
from pipelines.indicators.kernels.rolling import block_sums, block_weighted_sums
from pipelines.indicators.parameters import (
    EMA_WINDOWS,
    MACD_FAST,
    MACD_SIGNAL,
    MACD_SLOW,
    SMA_WINDOWS,
    TRIX_WINDOW,
    WMA_WINDOW,
)

EMA_1, EMA_2, EMA_3, EMA_4 = EMA_WINDOWS
SMA_1, SMA_2, SMA_3 = SMA_WINDOWS


@kernel
def ema_step(value: float, x: float, before: int, window: int) -> float:
    """Return an EMA after x, `before` values having come earlier: the running sum until the window is full, then the EMA."""
    if before >= window:
        return value + (x - value) * (2.0 / (window + 1))
    total = value + x
    return total / window if before == window - 1 else total


@kernel
def sma(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the simple means sma_20, sma_50, sma_200 (price)."""
    first, stop, count, _ = span
    block_sums(frame[CLOSE], first, stop, count, SMA_1, out[0])
    block_sums(frame[CLOSE], first, stop, count, SMA_2, out[1])
    block_sums(frame[CLOSE], first, stop, count, SMA_3, out[2])
    for i in range(stop - first):
        out[0, i] /= SMA_1
        out[1, i] /= SMA_2
        out[2, i] /= SMA_3


@kernel
def wma(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the linearly weighted mean wma_20 (price), the newest bar weighing most."""
    first, stop, count, _ = span
    block_weighted_sums(frame[CLOSE], first, stop, count, WMA_WINDOW, out[0])
    weights = WMA_WINDOW * (WMA_WINDOW + 1) / 2.0
    for i in range(stop - first):
        out[0, i] /= weights


@kernel
def ema(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the exponential means ema_12, ema_20, ema_26, ema_50 (price), together because they wait on one another."""
    first, stop, count, _ = span
    close = frame[CLOSE]
    a, b, c, d = state[0], state[1], state[2], state[3]
    mark = 0
    for i in range(first, stop):
        before = count + i - first
        x = close[i]
        a = ema_step(a, x, before, EMA_1)
        b = ema_step(b, x, before, EMA_2)
        c = ema_step(c, x, before, EMA_3)
        d = ema_step(d, x, before, EMA_4)
        k = i - first
        out[0, k] = a if before >= EMA_1 - 1 else np.nan
        out[1, k] = b if before >= EMA_2 - 1 else np.nan
        out[2, k] = c if before >= EMA_3 - 1 else np.nan
        out[3, k] = d if before >= EMA_4 - 1 else np.nan
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2], snapshots[mark, 3] = a, b, c, d
            mark += 1
    state[0], state[1], state[2], state[3] = a, b, c, d


@kernel
def macd(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute macd, macd_signal, macd_hist (price).

    As in TA-Lib the fast EMA is seeded late, on the twelve bars up to the slow one's first value, and all three columns
    begin with the signal's first value.
    """
    first, stop, count, _ = span
    close = frame[CLOSE]
    fast, slow, signal = state[0], state[1], state[2]
    late = MACD_SLOW - MACD_FAST
    mark = 0
    for i in range(first, stop):
        before = count + i - first
        k = i - first
        x = close[i]
        slow = ema_step(slow, x, before, MACD_SLOW)
        if before >= late:
            fast = ema_step(fast, x, before - late, MACD_FAST)
        line = fast - slow
        if before >= MACD_SLOW - 1:
            signal = ema_step(signal, line, before - MACD_SLOW + 1, MACD_SIGNAL)
        defined = before >= MACD_SLOW + MACD_SIGNAL - 2
        out[0, k] = line if defined else np.nan
        out[1, k] = signal if defined else np.nan
        out[2, k] = line - signal if defined else np.nan
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2] = fast, slow, signal
            mark += 1
    state[0], state[1], state[2] = fast, slow, signal


@kernel
def trix(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute trix_15 (percent): the one-bar change of an EMA of an EMA of an EMA."""
    first, stop, count, _ = span
    close = frame[CLOSE]
    one, two, three = state[0], state[1], state[2]
    warm = TRIX_WINDOW - 1
    mark = 0
    for i in range(first, stop):
        before = count + i - first
        one = ema_step(one, close[i], before, TRIX_WINDOW)
        if before >= warm:
            two = ema_step(two, one, before - warm, TRIX_WINDOW)
        previous = three
        if before >= 2 * warm:
            three = ema_step(three, two, before - 2 * warm, TRIX_WINDOW)
        if before <= 3 * warm:
            out[0, i - first] = np.nan
        else:
            out[0, i - first] = (three / previous - 1.0) * 100.0 if previous != 0.0 else 0.0
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2] = one, two, three
            mark += 1
    state[0], state[1], state[2] = one, two, three
