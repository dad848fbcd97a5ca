"""Range, direction and bands with windows given at run time: ATR, NATR, ADX, Aroon, Supertrend, SAR, Ichimoku, Bollinger, Keltner,
Donchian.

The same formulas as in `trend` and `bands`; at the windows compiled in there both give the same bits.

Not here: which windows are wanted (`pipelines.indicators.custom`).
"""

import numpy as np

from pipelines.indicators.frame import CLOSE, HIGH, LOW, TRUE_RANGE, Floats, Ints, Span
from pipelines.indicators.jit import kernel
from pipelines.indicators.kernels.averages import ema_step
from pipelines.indicators.kernels.momentum import wilder_step
from pipelines.indicators.kernels.rolling import block_sums, block_variances, highest, lowest
from pipelines.indicators.kernels.trend import wilder_sum_step
from pipelines.indicators.parameters import ZERO


@kernel
def atr(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute Wilder's mean of the true range, in percent of the close where asked; options: window, 1 for percent else 0."""
    first, stop, count, _ = span
    window, percent = int(options[0]), options[1] > 0.0
    close, true_range, value = frame[CLOSE], frame[TRUE_RANGE], state[0]
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        if order > 0:
            value = wilder_step(value, true_range[i], order, window)
        if order < window:
            out[0, i - first] = np.nan
        elif percent:
            out[0, i - first] = 100.0 * (value / close[i]) if abs(close[i]) > ZERO else 0.0
        else:
            out[0, i - first] = value
        if i == marks[mark]:
            snapshots[mark, 0] = value
            mark += 1
    state[0] = value


@kernel
def adx(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute ADX and both directional lines (0 … 100); a bar without range leaves the ADX as it was; options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    high, low, true_range = frame[HIGH], frame[LOW], frame[TRUE_RANGE]
    spread, plus, minus, trend = state[0], state[1], state[2], state[3]
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        k = i - first
        if order > 0:
            up, down = high[i] - high[i - 1], low[i - 1] - low[i]
            spread = wilder_sum_step(spread, true_range[i], order, window)
            plus = wilder_sum_step(plus, up if up > 0.0 and up > down else 0.0, order, window)
            minus = wilder_sum_step(minus, down if down > 0.0 and down > up else 0.0, order, window)
        moved = spread > ZERO
        plus_line = 100.0 * (plus / spread) if moved else 0.0
        minus_line = 100.0 * (minus / spread) if moved else 0.0
        total = plus_line + minus_line
        crossed = moved and total > ZERO
        strength = 100.0 * (abs(minus_line - plus_line) / total) if crossed else 0.0
        if window <= order < 2 * window:
            trend += strength
            if order == 2 * window - 1:
                trend /= window
        elif order >= window and crossed:
            trend = wilder_step(trend, strength, order, window)
        out[0, k] = trend if order >= 2 * window - 1 else np.nan
        out[1, k] = plus_line if order >= window else np.nan
        out[2, k] = minus_line if order >= window else np.nan
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2], snapshots[mark, 3] = spread, plus, minus, trend
            mark += 1
    state[0], state[1], state[2], state[3] = spread, plus, minus, trend


@kernel
def aroon(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute Aroon up and down (0 … 100), of equal extremes the latest; options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    high, low = frame[HIGH], frame[LOW]
    top, bottom = highest(high, window + 1, stop), lowest(low, window + 1, stop)
    highs, lows = -1, -1
    for i in range(first, stop):
        k = i - first
        if count + k < window:
            out[0, k] = np.nan
            out[1, k] = np.nan
            continue
        if high[i] == top[i]:
            highs = i
        elif highs < i - window:
            highs = i - 1
            while high[highs] != top[i]:
                highs -= 1
        if low[i] == bottom[i]:
            lows = i
        elif lows < i - window:
            lows = i - 1
            while low[lows] != bottom[i]:
                lows -= 1
        out[0, k] = (window - (i - highs)) * (100.0 / window)
        out[1, k] = (window - (i - lows)) * (100.0 / window)


@kernel
def supertrend(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the line (price) and its direction (±1) as `trend.supertrend`; options: window, multiplier."""
    first, stop, count, _ = span
    window, multiplier = int(options[0]), options[1]
    high, low, close, true_range = frame[HIGH], frame[LOW], frame[CLOSE], frame[TRUE_RANGE]
    value, upper, lower, direction = state[0], state[1], state[2], state[3]
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        k = i - first
        if order > 0:
            value = wilder_step(value, true_range[i], order, window)
        if order >= window:
            middle = (high[i] + low[i]) / 2.0
            new_upper = middle + multiplier * value
            new_lower = middle - multiplier * value
            if order == window:
                upper, lower = new_upper, new_lower
                direction = 1.0 if close[i] >= middle else -1.0
            if new_upper < upper or close[i - 1] > upper:
                upper = new_upper
            if new_lower > lower or close[i - 1] < lower:
                lower = new_lower
            direction = 1.0 if close[i] > (lower if direction > 0.0 else upper) else -1.0
        out[0, k] = np.nan if order < window else (lower if direction > 0.0 else upper)
        out[1, k] = np.nan if order < window else direction
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2], snapshots[mark, 3] = value, upper, lower, direction
            mark += 1
    state[0], state[1], state[2], state[3] = value, upper, lower, direction


@kernel
def psar(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the parabolic stop in force at the bar as `trend.psar`; options: step, limit."""
    first, stop, count, _ = span
    step, limit = options[0], options[1]
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
                speed = step
                ceiling, floor = high[i], low[i]
            ceiling, floor = max(ceiling, high[i]), min(floor, low[i])
            reached = high[i] if side > 0.0 else low[i]
            if (low[i] <= sar) if side > 0.0 else (high[i] >= sar):
                side = -side
                sar = max(extreme, ceiling) if side < 0.0 else min(extreme, floor)
                out[0, i - first] = sar
                speed = step
                extreme = low[i] if side < 0.0 else high[i]
            else:
                out[0, i - first] = sar
                if (reached > extreme) if side > 0.0 else (reached < extreme):
                    extreme = reached
                    speed = min(speed + step, limit)
            sar += speed * (extreme - sar)
            sar = min(sar, floor) if side > 0.0 else max(sar, ceiling)
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1], snapshots[mark, 2], snapshots[mark, 3] = side, sar, extreme, speed
            mark += 1
    state[0], state[1], state[2], state[3] = side, sar, extreme, speed


@kernel
def ichimoku(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute tenkan, kijun and both spans as drawn at the bar, computed `kijun` bars before it; options: tenkan, kijun, span_b."""
    first, stop, count, _ = span
    tenkan, kijun, span_b = int(options[0]), int(options[1]), int(options[2])
    high, low = frame[HIGH], frame[LOW]
    high_1, low_1 = highest(high, tenkan, stop), lowest(low, tenkan, stop)
    high_2, low_2 = highest(high, kijun, stop), lowest(low, kijun, stop)
    high_3, low_3 = highest(high, span_b, stop), lowest(low, span_b, stop)
    for i in range(first, stop):
        before = count + i - first
        k = i - first
        past = i - kijun
        out[0, k] = (high_1[i] + low_1[i]) / 2.0 if before >= tenkan - 1 else np.nan
        out[1, k] = (high_2[i] + low_2[i]) / 2.0 if before >= kijun - 1 else np.nan
        if before >= kijun + max(kijun, tenkan) - 1:
            out[2, k] = ((high_1[past] + low_1[past]) / 2.0 + (high_2[past] + low_2[past]) / 2.0) / 2.0
        else:
            out[2, k] = np.nan
        out[3, k] = (high_3[past] + low_3[past]) / 2.0 if before >= kijun + span_b - 1 else np.nan


@kernel
def bollinger(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute upper, middle and lower: mean ± population deviations; options: window, deviations."""
    first, stop, count, _ = span
    window, deviations = int(options[0]), options[1]
    block_sums(frame[CLOSE], first, stop, count, window, out[1])
    block_variances(frame[CLOSE], first, stop, count, window, out[2])
    for k in range(stop - first):
        mean = out[1, k] / window
        width = deviations * np.sqrt(out[2, k])
        out[0, k], out[1, k], out[2, k] = mean + width, mean, mean - width


@kernel
def keltner(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute upper and lower: EMA of the close ± multiples of Wilder's ATR; options: window, atr_window, multiplier."""
    first, stop, count, _ = span
    window, atr_window, multiplier = int(options[0]), int(options[1]), options[2]
    close, true_range = frame[CLOSE], frame[TRUE_RANGE]
    mean, value = state[0], state[1]
    warm = max(window - 1, atr_window)
    mark = 0
    for i in range(first, stop):
        order = count + i - first
        k = i - first
        mean = ema_step(mean, close[i], order, window)
        if order > 0:
            value = wilder_step(value, true_range[i], order, atr_window)
        out[0, k] = mean + multiplier * value if order >= warm else np.nan
        out[1, k] = mean - multiplier * value if order >= warm else np.nan
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1] = mean, value
            mark += 1
    state[0], state[1] = mean, value


@kernel
def donchian(frame: Floats, span: Span, options: Floats, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute the extremes of the bars BEFORE the current one; options: window."""
    first, stop, count, _ = span
    window = int(options[0])
    top, bottom = highest(frame[HIGH], window, stop), lowest(frame[LOW], window, stop)
    for i in range(first, stop):
        defined = count + i - first >= window
        out[0, i - first] = top[i - 1] if defined else np.nan
        out[1, i - first] = bottom[i - 1] if defined else np.nan
