"""Filling the working frame: loading bars, moving the tail, changing the price basis, shared features.

Not here: indicators.
"""

import numpy as np
import numpy.typing as npt

from pipelines.indicators.frame import (
    CLOSE,
    HIGH,
    HIGH_9,
    HIGH_14,
    HIGH_20,
    HIGH_26,
    HIGH_52,
    INPUT_ROWS,
    LOW,
    LOW_9,
    LOW_14,
    LOW_20,
    LOW_26,
    LOW_52,
    OPEN,
    SESSION,
    SPARE_1,
    SPARE_2,
    TRUE_RANGE,
    TURNOVER,
    VOLUME,
    Floats,
    Ints,
)
from pipelines.indicators.jit import kernel
from pipelines.indicators.kernels.rolling import widen_max, widen_min


@kernel
def first_unusable(prices: Floats, allow_nan: bool) -> int:
    """Return the position of the first value that is not finite (or infinite, where NaN is allowed), −1 if there is none."""
    for i in range(prices.size):
        value = prices[i]
        if not (np.isfinite(value) or (allow_nan and np.isnan(value))):
            return i
    return -1


@kernel
def load(
    frame: Floats,
    held: int,
    opens: Floats,
    highs: Floats,
    lows: Floats,
    closes: Floats,
    volumes: Floats,
    turnovers: Floats,
    sessions: npt.NDArray[np.int32],
    start: int,
    stop: int,
) -> None:
    """Append bars start … stop-1 to the frame behind the `held` bars already there."""
    for k in range(stop - start):
        frame[OPEN, held + k] = opens[start + k]
        frame[HIGH, held + k] = highs[start + k]
        frame[LOW, held + k] = lows[start + k]
        frame[CLOSE, held + k] = closes[start + k]
        frame[VOLUME, held + k] = volumes[start + k]
        frame[TURNOVER, held + k] = turnovers[start + k]
        frame[SESSION, held + k] = sessions[start + k]


@kernel
def keep_tail(frame: Floats, held: int, keep: int) -> None:
    """Move the last `keep` of `held` bars to the front of the frame."""
    shift = held - keep
    for row in range(INPUT_ROWS):
        for i in range(keep):
            frame[row, i] = frame[row, i + shift]


@kernel
def rescale(frame: Floats, held: int, price_factor: float, volume_divisor: float) -> None:
    """Bring the `held` bars into a new basis: prices × price_factor, volumes ÷ volume_divisor, turnover by both."""
    for i in range(held):
        frame[OPEN, i] *= price_factor
        frame[HIGH, i] *= price_factor
        frame[LOW, i] *= price_factor
        frame[CLOSE, i] *= price_factor
        frame[VOLUME, i] /= volume_divisor
    if price_factor != volume_divisor:
        for i in range(held):
            frame[TURNOVER, i] = frame[TURNOVER, i] * price_factor / volume_divisor


@kernel
def fill_features(frame: Floats, first: int, stop: int, count: int) -> None:
    """Fill the shared rows: true range of the new bars, highest highs and lowest lows of all bars held.

    Extremes of 9 … 52 bars come from windows doubled in turn (2, 4, 8, 16, 32), two of which overlap to any width between:
    every pass is a plain vector operation.
    """
    high, low, close, true_range = frame[HIGH], frame[LOW], frame[CLOSE], frame[TRUE_RANGE]
    if count == 0:
        true_range[first] = high[first] - low[first]
    for i in range(max(first, 1), stop):
        top = high[i] if high[i] > close[i - 1] else close[i - 1]
        bottom = low[i] if low[i] < close[i - 1] else close[i - 1]
        true_range[i] = top - bottom

    one, other = frame[SPARE_1], frame[SPARE_2]
    widen_max(high, one, 1, stop)
    widen_max(one, other, 2, stop)
    widen_max(other, one, 4, stop)
    widen_max(one, frame[HIGH_9], 1, stop)
    widen_max(one, frame[HIGH_14], 6, stop)
    widen_max(one, other, 8, stop)
    widen_max(other, frame[HIGH_20], 4, stop)
    widen_max(other, frame[HIGH_26], 10, stop)
    widen_max(other, one, 16, stop)
    widen_max(one, frame[HIGH_52], 20, stop)

    widen_min(low, one, 1, stop)
    widen_min(one, other, 2, stop)
    widen_min(other, one, 4, stop)
    widen_min(one, frame[LOW_9], 1, stop)
    widen_min(one, frame[LOW_14], 6, stop)
    widen_min(one, other, 8, stop)
    widen_min(other, frame[LOW_20], 4, stop)
    widen_min(other, frame[LOW_26], 10, stop)
    widen_min(other, one, 16, stop)
    widen_min(one, frame[LOW_52], 20, stop)


@kernel
def rescale_state(state: Floats, powers: Ints, price_factor: float, volume_divisor: float) -> None:
    """Bring a carried state into a new basis; powers[j] = (power of price, power of volume) of field j's unit."""
    for j in range(state.size):
        if powers[j, 0] == 1 and powers[j, 1] == 1 and price_factor == volume_divisor:
            continue
        if powers[j, 0] == 1:
            state[j] *= price_factor
        if powers[j, 1] == 1:
            state[j] /= volume_divisor
