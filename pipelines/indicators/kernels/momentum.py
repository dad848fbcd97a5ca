"""Oscillators of price against its recent past: RSI with CMO and Stochastic RSI, Stochastics, Williams %R, CCI, ROC.

Sources: J. W. Wilder, New Concepts in Technical Trading Systems (RSI); T. Chande (CMO, Stochastic RSI); G. Lane
(Stochastics); D. Lambert (CCI). Seeds, NaN positions and the value where a range is zero (0) follow TA-Lib.

Not here: anything with volume (`volume`).
"""

import numpy as np

from pipelines.indicators.frame import CLOSE, HIGH, HIGH_14, LOW, LOW_14, Floats, Ints, Span
from pipelines.indicators.jit import kernel
from pipelines.indicators.kernels.rolling import widen_max, widen_min
from pipelines.indicators.parameters import (
    CCI_FACTOR,
    CCI_WINDOW,
    ROC_WINDOW,
    RSI_WINDOW,
    STOCH_RSI_LAGS,
    STOCH_SMOOTH_K,
    STOCH_WINDOW,
    WILLR_WINDOW,
    ZERO,
)


@kernel
def wilder_step(value: float, x: float, order: int, window: int) -> float:
    """Return Wilder's mean after x, the `order`-th value (from 1): a running sum, the mean at `window`, then smoothed."""
    if order > window:
        return value * ((window - 1.0) / window) + x * (1.0 / window)
    total = value + x
    return total / window if order == window else total


@kernel
def stochastic_of(history: Floats, lags: int, count: int, out: Floats) -> None:
    """Write the %K (SMA 3) over 14 values of an RSI to `out`; history[lags:] are the new bars' values."""
    n = history.size
    one, other = np.empty(n), np.empty(n)
    highest, lowest, fast = np.empty(n), np.empty(n), np.empty(n)
    widen_max(history, one, 1, n)
    widen_max(one, other, 2, n)
    widen_max(other, one, 4, n)
    widen_max(one, highest, 6, n)
    widen_min(history, one, 1, n)
    widen_min(one, other, 2, n)
    widen_min(other, one, 4, n)
    widen_min(one, lowest, 6, n)
    for k in range(n):
        width = highest[k] - lowest[k]
        fast[k] = 100.0 * ((history[k] - lowest[k]) / width) if width > ZERO else 0.0
    for k in range(lags, n):
        if count + k - lags >= RSI_WINDOW + lags:
            out[k - lags] = (fast[k - 2] + fast[k - 1] + fast[k]) / 3.0
        else:
            out[k - lags] = np.nan


@kernel
def rsi(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute rsi_14, stoch_rsi_14 (both 0 … 100) and cmo_14 (−100 … 100) from one pair of Wilder means."""
    first, stop, count, _ = span
    close = frame[CLOSE]
    gain, loss = state[0], state[1]
    lags = STOCH_RSI_LAGS
    history = np.empty(lags + stop - first)
    history[:lags] = state[2 : 2 + lags]
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        k = i - first
        strength, momentum = 0.0, 0.0
        if order > 0:
            change = close[i] - close[i - 1]
            gain = wilder_step(gain, change if change > 0.0 else 0.0, order, RSI_WINDOW)
            loss = wilder_step(loss, -change if change < 0.0 else 0.0, order, RSI_WINDOW)
        if order >= RSI_WINDOW:
            both = gain + loss
            if both > ZERO:
                strength = 100.0 * (gain / both)
                momentum = 100.0 * ((gain - loss) / both)
            out[0, k] = strength
            out[2, k] = momentum
        else:
            out[0, k] = np.nan
            out[2, k] = np.nan
        history[lags + k] = strength
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1] = gain, loss
            for j in range(lags):
                snapshots[mark, 2 + j] = history[k + 1 + j]
            mark += 1
    state[0], state[1] = gain, loss
    state[2 : 2 + lags] = history[stop - first :]
    stochastic_of(history, lags, count, out[1])


@kernel
def stochastics(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the slow Stochastics stoch_k, stoch_d (0 … 100): both begin where the slower one does, as in TA-Lib."""
    first, stop, count, _ = span
    close, highest, lowest = frame[CLOSE], frame[HIGH_14], frame[LOW_14]
    back = STOCH_SMOOTH_K - 1
    warm = STOCH_WINDOW - 1 + 2 * back
    start = max(first - 2 * back, 0)
    fast = np.zeros(stop - start)
    for j in range(stop - start):
        i = start + j
        width = highest[i] - lowest[i]
        fast[j] = 100.0 * ((close[i] - lowest[i]) / width) if width > 0.0 else 0.0
    slow = np.zeros(stop - start)
    for j in range(back, stop - start):
        slow[j] = (fast[j - 2] + fast[j - 1] + fast[j]) / 3.0
    for i in range(first, stop):
        k, j = i - first, i - start
        if count + k >= warm:
            out[0, k] = slow[j]
            out[1, k] = (slow[j - 2] + slow[j - 1] + slow[j]) / 3.0
        else:
            out[0, k] = np.nan
            out[1, k] = np.nan


@kernel
def willr(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute willr_14 (−100 … 0): how far the close lies below the highest high, in parts of the range."""
    first, stop, count, _ = span
    close, highest, lowest = frame[CLOSE, first:stop], frame[HIGH_14, first:stop], frame[LOW_14, first:stop]
    result = out[0]
    for k in range(stop - first):
        width = highest[k] - lowest[k]
        result[k] = 100.0 * ((close[k] - highest[k]) / width) if width > 0.0 else 0.0
    result[: min(max(WILLR_WINDOW - 1 - count, 0), stop - first)] = np.nan


@kernel
def cci(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute cci_20: distance of the typical price from its mean, over 0.015 × the mean absolute deviation.

    Everything is measured from the bar's own typical price, so a constant price gives exactly 0 instead of the quotient of
    two rounding errors. The loops run over lags outside and bars inside, which makes them vector operations.
    """
    first, stop, count, _ = span
    n = stop - first
    back = min(first, CCI_WINDOW - 1)
    typical = np.empty(back + n)
    high, low, close = frame[HIGH, first - back : stop], frame[LOW, first - back : stop], frame[CLOSE, first - back : stop]
    for j in range(back + n):
        typical[j] = (high[j] + low[j] + close[j]) / 3.0
    warm = min(max(CCI_WINDOW - 1 - count, 0), n)
    current = typical[back + warm :]
    shift = np.zeros(n - warm)
    deviation = np.zeros(n - warm)
    result = out[0, warm:n]
    if n > warm:
        for lag in range(1, CCI_WINDOW):
            older = typical[back + warm - lag : back + n - lag]
            for k in range(n - warm):
                shift[k] += older[k] - current[k]
        for k in range(n - warm):
            shift[k] /= CCI_WINDOW
        for lag in range(CCI_WINDOW):
            older = typical[back + warm - lag : back + n - lag]
            for k in range(n - warm):
                deviation[k] += abs(older[k] - current[k] - shift[k])
        for k in range(n - warm):
            spread = CCI_FACTOR * (deviation[k] / CCI_WINDOW)
            result[k] = (0.0 - shift[k]) / spread if spread > 0.0 else 0.0
    out[0, :warm] = np.nan


@kernel
def roc(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute roc_10 (percent): change of the close over ten bars."""
    first, stop, count, _ = span
    close = frame[CLOSE]
    for i in range(first, stop):
        if count + i - first < ROC_WINDOW:
            out[0, i - first] = np.nan
        else:
            before = close[i - ROC_WINDOW]
            out[0, i - first] = (close[i] / before - 1.0) * 100.0 if before != 0.0 else 0.0
