"""Moving averages with windows given at run time: SMA, EMA, WMA, MACD, TRIX.

The same recursions as in `averages`, whose windows are compiled in for speed; at those windows both give the same bits.

Not here: which windows are wanted (`pipelines.indicators.custom`).
"""

import numpy as np

from pipelines.indicators.frame import CLOSE, Floats, Ints, Span
from pipelines.indicators.jit import kernel
from pipelines.indicators.kernels.averages import ema_step
from pipelines.indicators.kernels.rolling import block_sums, block_weighted_sums


@kernel
def sma(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the simple mean; options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    block_sums(frame[CLOSE], first, stop, count, window, out[0])
    for k in range(stop - first):
        out[0, k] /= window


@kernel
def wma(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the linearly weighted mean; options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    block_weighted_sums(frame[CLOSE], first, stop, count, window, out[0])
    weights = window * (window + 1) / 2.0
    for k in range(stop - first):
        out[0, k] /= weights


@kernel
def ema(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the exponential mean; options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    close, value = frame[CLOSE], state[0]
    mark = 0
    for i in range(first, stop):
        before = count + i - first
        value = ema_step(value, close[i], before, window)
        out[0, i - first] = value if before >= window - 1 else np.nan
        if i == marks[mark]:
            snapshots[mark, 0] = value
            mark += 1
    state[0] = value


@kernel
def macd(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute line, signal and histogram, the fast EMA seeded as late as the slow one; options: fast, slow, signal."""
    first, stop, count, _ = span
    fast_window, slow_window, signal_window = int(options[0]), int(options[1]), int(options[2])
    close = frame[CLOSE]
    fast, slow, signal = state[0], state[1], state[2]
    late = slow_window - fast_window
    mark = 0
    for i in range(first, stop):
        before = count + i - first
        k = i - first
        slow = ema_step(slow, close[i], before, slow_window)
        if before >= late:
            fast = ema_step(fast, close[i], before - late, fast_window)
        line = fast - slow
        if before >= slow_window - 1:
            signal = ema_step(signal, line, before - slow_window + 1, signal_window)
        defined = before >= slow_window + signal_window - 2
        out[0, k] = line if defined else np.nan
        out[1, k] = signal if defined else np.nan
        out[2, k] = line - signal if defined else np.nan
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2] = fast, slow, signal
            mark += 1
    state[0], state[1], state[2] = fast, slow, signal


@kernel
def trix(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the one-bar change of the triple exponential mean (percent); options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    close = frame[CLOSE]
    one, two, three = state[0], state[1], state[2]
    warm = window - 1
    mark = 0
    for i in range(first, stop):
        before = count + i - first
        one = ema_step(one, close[i], before, window)
        if before >= warm:
            two = ema_step(two, one, before - warm, window)
        previous = three
        if before >= 2 * warm:
            three = ema_step(three, two, before - 2 * warm, window)
        if before <= 3 * warm:
            out[0, i - first] = np.nan
        else:
            out[0, i - first] = (three / previous - 1.0) * 100.0 if previous != 0.0 else 0.0
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2] = one, two, three
            mark += 1
    state[0], state[1], state[2] = one, two, three
