"""Range and direction: ATR with NATR, ADX with its directional lines, Aroon, Supertrend, Parabolic SAR, Ichimoku.

Sources: J. W. Wilder, New Concepts in Technical Trading Systems (ATR, ADX, SAR); T. Chande (Aroon); O. Seban (Supertrend);
G. Hosoda (Ichimoku). Seeds, NaN positions and ties follow TA-Lib where it has the indicator.

Not here: bands drawn with the ATR (`bands`).
"""

import numpy as np

from pipelines.indicators.frame import (
    CLOSE,
    HIGH,
    HIGH_9,
    HIGH_26,
    HIGH_52,
    LOW,
    LOW_9,
    LOW_26,
    LOW_52,
    TRUE_RANGE,
    Floats,
    Ints,
    Span,
)
from pipelines.indicators.jit import kernel
from pipelines.indicators.kernels.momentum import wilder_step
from pipelines.indicators.parameters import (
    ADX_WINDOW,
    AROON_WINDOW,
    ATR_WINDOW,
    ICHIMOKU_KIJUN,
    ICHIMOKU_SHIFT,
    ICHIMOKU_SPAN_B,
    ICHIMOKU_TENKAN,
    PSAR_LIMIT,
    PSAR_STEP,
    SUPERTREND_MULTIPLIER,
    SUPERTREND_WINDOW,
    ZERO,
)


@kernel
def atr(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute atr_14 (price) and natr_14 (percent of the close); the first bar's range, without a close before, is left out."""
    first, stop, count, _ = span
    close, true_range = frame[CLOSE], frame[TRUE_RANGE]
    value = state[0]
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        k = i - first
        if order > 0:
            value = wilder_step(value, true_range[i], order, ATR_WINDOW)
        if order >= ATR_WINDOW:
            out[0, k] = value
            out[1, k] = 100.0 * (value / close[i]) if abs(close[i]) > ZERO else 0.0
        else:
            out[0, k] = np.nan
            out[1, k] = np.nan
        if i == marks[mark]:
            snapshots[mark, 0] = value
            mark += 1
    state[0] = value


@kernel
def wilder_sum_step(value: float, x: float, order: int, window: int) -> float:
    """Return Wilder's running sum after x, the `order`-th value (from 1): a plain sum for window − 1 values, then decayed."""
    if order < window:
        return value + x
    return value * ((window - 1.0) / window) + x


@kernel
def adx(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute adx_14, plus_di_14, minus_di_14 (0 … 100); a bar without range leaves the ADX as it was."""
    first, stop, count, _ = span
    high, low, true_range = frame[HIGH], frame[LOW], frame[TRUE_RANGE]
    spread, plus, minus, trend = state[0], state[1], state[2], state[3]
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        k = i - first
        if order > 0:
            up, down = high[i] - high[i - 1], low[i - 1] - low[i]
            spread = wilder_sum_step(spread, true_range[i], order, ADX_WINDOW)
            plus = wilder_sum_step(plus, up if up > 0.0 and up > down else 0.0, order, ADX_WINDOW)
            minus = wilder_sum_step(minus, down if down > 0.0 and down > up else 0.0, order, ADX_WINDOW)
        if order >= ADX_WINDOW:
            moved = spread > ZERO
            plus_line = 100.0 * (plus / spread) if moved else 0.0
            minus_line = 100.0 * (minus / spread) if moved else 0.0
            total = plus_line + minus_line
            crossed = moved and total > ZERO
            strength = 100.0 * (abs(minus_line - plus_line) / total) if crossed else 0.0
            if order < 2 * ADX_WINDOW:
                trend += strength
                if order == 2 * ADX_WINDOW - 1:
                    trend /= ADX_WINDOW
            elif crossed:
                trend = wilder_step(trend, strength, order, ADX_WINDOW)
            out[1, k] = plus_line
            out[2, k] = minus_line
        else:
            out[1, k] = np.nan
            out[2, k] = np.nan
        out[0, k] = trend if order >= 2 * ADX_WINDOW - 1 else np.nan
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2], snapshots[mark, 3] = spread, plus, minus, trend
            mark += 1
    state[0], state[1], state[2], state[3] = spread, plus, minus, trend


@kernel
def aroon(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute aroon_up_25, aroon_down_25 (0 … 100): how recent the extreme of 26 bars is; of equal ones the latest counts."""
    first, stop, count, _ = span
    high, low, highest, lowest = frame[HIGH], frame[LOW], frame[HIGH_26], frame[LOW_26]
    top, bottom = -1, -1
    for i in range(first, stop):
        k = i - first
        if count + k < AROON_WINDOW:
            out[0, k] = np.nan
            out[1, k] = np.nan
            continue
        if high[i] == highest[i]:
            top = i
        elif top < i - AROON_WINDOW:
            top = i - 1
            while high[top] != highest[i]:
                top -= 1
        if low[i] == lowest[i]:
            bottom = i
        elif bottom < i - AROON_WINDOW:
            bottom = i - 1
            while low[bottom] != lowest[i]:
                bottom -= 1
        out[0, k] = (AROON_WINDOW - (i - top)) * (100.0 / AROON_WINDOW)
        out[1, k] = (AROON_WINDOW - (i - bottom)) * (100.0 / AROON_WINDOW)


@kernel
def supertrend(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute supertrend_10 (price) and supertrend_direction_10 (+1 the line supports, −1 it caps).

    A band only ever tightens until the close before has broken it. The first direction is that of the close against the
    bar's middle.
    """
    first, stop, count, _ = span
    high, low, close, true_range = frame[HIGH], frame[LOW], frame[CLOSE], frame[TRUE_RANGE]
    value, upper, lower, direction = state[0], state[1], state[2], state[3]
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        k = i - first
        if order > 0:
            value = wilder_step(value, true_range[i], order, SUPERTREND_WINDOW)
        if order >= SUPERTREND_WINDOW:
            middle = (high[i] + low[i]) / 2.0
            new_upper = middle + SUPERTREND_MULTIPLIER * value
            new_lower = middle - SUPERTREND_MULTIPLIER * value
            if order == SUPERTREND_WINDOW:
                upper, lower = new_upper, new_lower
                direction = 1.0 if close[i] >= middle else -1.0
            if new_upper < upper or close[i - 1] > upper:
                upper = new_upper
            if new_lower > lower or close[i - 1] < lower:
                lower = new_lower
            direction = 1.0 if close[i] > (lower if direction > 0.0 else upper) else -1.0
            out[0, k] = lower if direction > 0.0 else upper
            out[1, k] = direction
        else:
            out[0, k] = np.nan
            out[1, k] = np.nan
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2], snapshots[mark, 3] = value, upper, lower, direction
            mark += 1
    state[0], state[1], state[2], state[3] = value, upper, lower, direction


@kernel
def psar(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute psar (price): the stop in force at the bar. The first side is short if the second bar's low fell most."""
    first, stop, count, _ = span
    high, low = frame[HIGH], frame[LOW]
    side, sar, extreme, speed = state[0], state[1], state[2], state[3]
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        if order == 0:
            out[0, i - first] = np.nan
        else:
            ceiling, floor = high[i - 1], low[i - 1]
            if order == 1:
                fall, rise = floor - low[i], high[i] - ceiling
                side = -1.0 if fall > 0.0 and fall > rise else 1.0
                sar = floor if side > 0.0 else ceiling
                extreme = high[i] if side > 0.0 else low[i]
                speed = PSAR_STEP
                ceiling, floor = high[i], low[i]
            ceiling, floor = max(ceiling, high[i]), min(floor, low[i])
            reached = high[i] if side > 0.0 else low[i]
            if (low[i] <= sar) if side > 0.0 else (high[i] >= sar):
                side = -side
                sar = max(extreme, ceiling) if side < 0.0 else min(extreme, floor)
                out[0, i - first] = sar
                speed = PSAR_STEP
                extreme = low[i] if side < 0.0 else high[i]
            else:
                out[0, i - first] = sar
                if (reached > extreme) if side > 0.0 else (reached < extreme):
                    extreme = reached
                    speed = min(speed + PSAR_STEP, PSAR_LIMIT)
            sar += speed * (extreme - sar)
            sar = min(sar, floor) if side > 0.0 else max(sar, ceiling)
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2], snapshots[mark, 3] = side, sar, extreme, speed
            mark += 1
    state[0], state[1], state[2], state[3] = side, sar, extreme, speed


@kernel
def ichimoku(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute ichimoku_tenkan, _kijun, _span_a, _span_b (price): spans as drawn at the bar, computed 26 bars before it."""
    first, stop, count, _ = span
    for i in range(first, stop):
        before = count + i - first
        k = i - first
        past = i - ICHIMOKU_SHIFT
        out[0, k] = (frame[HIGH_9, i] + frame[LOW_9, i]) / 2.0 if before >= ICHIMOKU_TENKAN - 1 else np.nan
        out[1, k] = (frame[HIGH_26, i] + frame[LOW_26, i]) / 2.0 if before >= ICHIMOKU_KIJUN - 1 else np.nan
        if before >= ICHIMOKU_SHIFT + ICHIMOKU_KIJUN - 1:
            tenkan = (frame[HIGH_9, past] + frame[LOW_9, past]) / 2.0
            kijun = (frame[HIGH_26, past] + frame[LOW_26, past]) / 2.0
            out[2, k] = (tenkan + kijun) / 2.0
        else:
            out[2, k] = np.nan
        wide = before >= ICHIMOKU_SHIFT + ICHIMOKU_SPAN_B - 1
        out[3, k] = (frame[HIGH_52, past] + frame[LOW_52, past]) / 2.0 if wide else np.nan
