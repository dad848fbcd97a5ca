"""Oscillators with windows given at run time: RSI, CMO, Stochastic RSI, Stochastics, Williams %R, CCI, ROC, MFI.

The same formulas as in `momentum` and `volume`; at the windows compiled in there both give the same bits.

Not here: which windows are wanted (`pipelines.indicators.custom`).
"""

import numpy as np

from pipelines.indicators.frame import CLOSE, HIGH, LOW, VOLUME, Floats, Ints, Span
from pipelines.indicators.jit import kernel
from pipelines.indicators.kernels.momentum import wilder_step
from pipelines.indicators.kernels.rolling import block_sums, highest, lowest
from pipelines.indicators.kernels.volume import SAME
from pipelines.indicators.parameters import CCI_FACTOR, ZERO


@kernel
def strength(
    frame: Floats, span: Span, window: int, signed: bool, state: Floats, marks: Ints, snapshots: Floats, out: Floats
) -> None:
    """Write gains' share of gains and losses, or with `signed` their balance, in percent; both means are the state."""
    first, stop, count, _ = span
    close = frame[CLOSE]
    gain, loss = state[0], state[1]
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        if order > 0:
            change = close[i] - close[i - 1]
            gain = wilder_step(gain, change if change > 0.0 else 0.0, order, window)
            loss = wilder_step(loss, -change if change < 0.0 else 0.0, order, window)
        both = gain + loss
        if order < window:
            out[i - first] = np.nan
        elif both > ZERO:
            out[i - first] = 100.0 * ((gain - loss) / both) if signed else 100.0 * (gain / both)
        else:
            out[i - first] = 0.0
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1] = gain, loss
            mark += 1
    state[0], state[1] = gain, loss


@kernel
def rsi(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the relative strength (0 … 100); options: window."""
    strength(frame, span, int(options[0]), False, state, marks, snapshots, out[0])


@kernel
def cmo(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute Chande's momentum (−100 … 100) of Wilder means; options: window."""
    strength(frame, span, int(options[0]), True, state, marks, snapshots, out[0])


@kernel
def stoch_rsi(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the place of an RSI in the range of its last values, smoothed (0 … 100); options: window, smooth.

    The RSI values that the next bar still needs depend on all history, so they are carried behind the two means.
    """
    first, stop, count, _ = span
    window, smooth = int(options[0]), int(options[1])
    lags = window + smooth - 2
    n = lags + stop - first
    history = np.empty(n)
    history[:lags] = state[2 : 2 + lags]
    strength(frame, span, window, False, state, marks, snapshots, history[lags:])
    for j in range(lags, n):
        if np.isnan(history[j]):
            history[j] = 0.0
    mark = 0
    for i in range(first, stop):
        if i == marks[mark]:
            snapshots[mark, 2 : 2 + lags] = history[i - first + 1 : i - first + 1 + lags]
            mark += 1
    state[2 : 2 + lags] = history[n - lags :]
    top, bottom = highest(history, window, n), lowest(history, window, n)
    fast = np.empty(n)
    for j in range(n):
        width = top[j] - bottom[j]
        fast[j] = 100.0 * ((history[j] - bottom[j]) / width) if width > ZERO else 0.0
    for k in range(stop - first):
        out[0, k] = trailing_mean(fast, lags + k, smooth) if count + k >= window + lags else np.nan


@kernel
def trailing_mean(values: Floats, last: int, window: int) -> float:
    """Return the mean of the `window` values up to position `last`, summed from the oldest on."""
    total = 0.0
    for j in range(last - window + 1, last + 1):
        total += values[j]
    return total / window


@kernel
def stochastics(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute slow %K and %D (0 … 100), both from where %D begins; options: window, smooth_k, smooth_d."""
    first, stop, count, _ = span
    window, smooth_k, smooth_d = int(options[0]), int(options[1]), int(options[2])
    close, top, bottom = frame[CLOSE], highest(frame[HIGH], window, stop), lowest(frame[LOW], window, stop)
    start = max(first - smooth_k - smooth_d + 2, 0)
    fast, slow = np.zeros(stop - start), np.zeros(stop - start)
    for j in range(stop - start):
        i = start + j
        width = top[i] - bottom[i]
        fast[j] = 100.0 * ((close[i] - bottom[i]) / width) if width > 0.0 else 0.0
    for j in range(smooth_k - 1, stop - start):
        slow[j] = trailing_mean(fast, j, smooth_k)
    warm = window - 1 + smooth_k - 1 + smooth_d - 1
    for k in range(stop - first):
        j = first + k - start
        defined = count + k >= warm
        out[0, k] = slow[j] if defined else np.nan
        out[1, k] = trailing_mean(slow, j, smooth_d) if defined else np.nan


@kernel
def willr(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute Williams %R (−100 … 0); options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    close, top, bottom = frame[CLOSE], highest(frame[HIGH], window, stop), lowest(frame[LOW], window, stop)
    for i in range(first, stop):
        width = top[i] - bottom[i]
        value = 100.0 * ((close[i] - top[i]) / width) if width > 0.0 else 0.0
        out[0, i - first] = value if count + i - first >= window - 1 else np.nan


@kernel
def cci(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the commodity channel index, measured from the bar's own typical price as in `momentum.cci`; options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    n = stop - first
    back = min(first, window - 1)
    typical = np.empty(back + n)
    for j in range(back + n):
        i = first - back + j
        typical[j] = (frame[HIGH, i] + frame[LOW, i] + frame[CLOSE, i]) / 3.0
    for k in range(n):
        if count + k < window - 1:
            out[0, k] = np.nan
            continue
        last = back + k
        shift, deviation = 0.0, 0.0
        for lag in range(1, window):
            shift += typical[last - lag] - typical[last]
        shift /= window
        for lag in range(window):
            deviation += abs(typical[last - lag] - typical[last] - shift)
        spread = CCI_FACTOR * (deviation / window)
        out[0, k] = (0.0 - shift) / spread if spread > 0.0 else 0.0


@kernel
def roc(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the change of the close (percent); options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    close = frame[CLOSE]
    for i in range(first, stop):
        if count + i - first < window:
            out[0, i - first] = np.nan
        else:
            before = close[i - window]
            out[0, i - first] = (close[i] / before - 1.0) * 100.0 if before != 0.0 else 0.0


@kernel
def mfi(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the money flow index (0 … 100) with the tolerance of `volume.mfi`; options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    n = stop - first
    back = min(first, window - 1)
    high, low, close, volume = frame[HIGH], frame[LOW], frame[CLOSE], frame[VOLUME]
    rising, falling = np.zeros(back + n), np.zeros(back + n)
    for i in range(max(first - back, 1), stop):
        total = high[i] + low[i] + close[i]
        change = total - (high[i - 1] + low[i - 1] + close[i - 1])
        flow = total / 3.0 * volume[i]
        same = abs(change) <= SAME * abs(total)
        j = i - first + back
        rising[j] = flow if change > 0.0 and not same else flow * 0.0
        falling[j] = flow if change < 0.0 and not same else flow * 0.0
    up, down = np.empty(n), np.empty(n)
    block_sums(rising, back, back + n, count, window, up)
    block_sums(falling, back, back + n, count, window, down)
    for k in range(n):
        flow = up[k] + down[k]
        if count + k < window or np.isnan(flow):
            out[0, k] = np.nan
        else:
            out[0, k] = 100.0 * (up[k] / flow) if flow >= 1.0 else 0.0
