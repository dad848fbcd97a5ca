"""Bands around price: Bollinger, Keltner, Donchian.

Sources: J. Bollinger (population deviation); C. Keltner in L. Raschke's form (EMA of the close and the ATR); R. Donchian.

Not here: the averages themselves (`averages`).
"""

import numpy as np

from pipelines.indicators.frame import CLOSE, HIGH_20, LOW_20, TRUE_RANGE, Floats, Ints, Span
from pipelines.indicators.jit import kernel
from pipelines.indicators.kernels.averages import ema_step
from pipelines.indicators.kernels.momentum import wilder_step
from pipelines.indicators.kernels.rolling import block_sums, block_variances
from pipelines.indicators.parameters import (
    BOLLINGER_DEVIATIONS,
    BOLLINGER_WINDOW,
    DONCHIAN_WINDOW,
    KELTNER_ATR_WINDOW,
    KELTNER_EMA_WINDOW,
    KELTNER_MULTIPLIER,
)


@kernel
def bollinger(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute bb_upper_20, bb_middle_20, bb_lower_20 (price): mean ± 2 population deviations; the middle equals sma_20."""
    first, stop, count, _ = span
    block_sums(frame[CLOSE], first, stop, count, BOLLINGER_WINDOW, out[1])
    block_variances(frame[CLOSE], first, stop, count, BOLLINGER_WINDOW, out[2])
    upper, middle, lower = out[0], out[1], out[2]
    for k in range(stop - first):
        mean = middle[k] / BOLLINGER_WINDOW
        width = BOLLINGER_DEVIATIONS * np.sqrt(lower[k])
        upper[k] = mean + width
        middle[k] = mean
        lower[k] = mean - width


@kernel
def keltner(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute keltner_upper_20, keltner_lower_20 (price): EMA 20 of the close ± 2 × Wilder's ATR 10."""
    first, stop, count, _ = span
    close, true_range = frame[CLOSE], frame[TRUE_RANGE]
    mean, atr = state[0], state[1]
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        k = i - first
        mean = ema_step(mean, close[i], order, KELTNER_EMA_WINDOW)
        if order > 0:
            atr = wilder_step(atr, true_range[i], order, KELTNER_ATR_WINDOW)
        defined = order >= KELTNER_EMA_WINDOW - 1
        out[0, k] = mean + KELTNER_MULTIPLIER * atr if defined else np.nan
        out[1, k] = mean - KELTNER_MULTIPLIER * atr if defined else np.nan
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1] = mean, atr
            mark += 1
    state[0], state[1] = mean, atr


@kernel
def donchian(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute donchian_upper_20, donchian_lower_20 (price): extremes of the 20 bars BEFORE the current one."""
    first, stop, count, _ = span
    for i in range(first, stop):
        defined = count + i - first >= DONCHIAN_WINDOW
        out[0, i - first] = frame[HIGH_20, i - 1] if defined else np.nan
        out[1, i - first] = frame[LOW_20, i - 1] if defined else np.nan
