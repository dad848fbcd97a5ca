"""Indicators that weigh price by volume: OBV, VWAP, MFI. A bar's missing volume is NaN.

Sources: J. Granville (OBV); G. Quong and A. Soudack (MFI); VWAP as exchanges print it, turnover over volume.

Not here: indicators of price alone.
"""

import numpy as np

from pipelines.indicators.frame import CLOSE, HIGH, LOW, SESSION, TURNOVER, VOLUME, Floats, Ints, Span
from pipelines.indicators.jit import kernel
from pipelines.indicators.kernels.rolling import block_sums
from pipelines.indicators.parameters import MFI_WINDOW

SAME = 1e-12
"""Two sums high + low + close this close (relative) are the same price: far below any tick, far above rounding."""


@kernel
def obv(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute obv (volume), which begins with the first bar's volume, on one-minute bars with each session's first.

    A bar without volume leaves the total as it is and shows NaN.
    """
    first, stop, count, intraday = span
    close, volume, session = frame[CLOSE], frame[VOLUME], frame[SESSION]
    total = state[0]
    mark = 0
    for i in range(first, stop):
        known = not np.isnan(volume[i])
        if count + i - first == 0 or (intraday and session[i] != session[i - 1]):
            total = volume[i] if known else 0.0
        else:
            side = 1.0 * (close[i] > close[i - 1]) - 1.0 * (close[i] < close[i - 1])
            total += side * (volume[i] if known else 0.0)
        out[0, i - first] = total if known else np.nan
        if i == marks[mark]:
            snapshots[mark, 0] = total
            mark += 1
    state[0] = total


@kernel
def vwap(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute vwap (price): daily turnover / volume; on one-minute bars Σ typical·volume / Σ volume of the session so far.

    NaN while nothing was traded. One-minute bars without volume count as nothing traded.
    """
    first, stop, count, intraday = span
    high, low, close, volume = frame[HIGH], frame[LOW], frame[CLOSE], frame[VOLUME]
    turnover, session = frame[TURNOVER], frame[SESSION]
    money, shares = state[0], state[1]
    mark = 0
    for i in range(first, stop):
        if intraday:
            if count + i - first == 0 or session[i] != session[i - 1]:
                money, shares = 0.0, 0.0
            if volume[i] > 0.0:
                money += (high[i] + low[i] + close[i]) / 3.0 * volume[i]
                shares += volume[i]
            out[0, i - first] = money / shares if shares > 0.0 else np.nan
        else:
            out[0, i - first] = turnover[i] / volume[i] if volume[i] > 0.0 else np.nan
        if i == marks[mark]:
            snapshots[mark, 0], snapshots[mark, 1] = money, shares
            mark += 1
    state[0], state[1] = money, shares


@kernel
def mfi(frame: Floats, span: Span, state: Floats, marks: Ints, snapshots: Floats, out: Floats) -> None:
    """Compute mfi_14 (0 … 100): share of the money flow on bars whose typical price rose; 0 below a flow of 1, as TA-Lib.

    Flows of windows that hold a bar without volume are NaN. Equal typical prices are found within a tolerance, because sums of
    the same ticks in another order differ in their last bit and would change the side.
    """
    first, stop, count, _ = span
    n = stop - first
    back = min(first, MFI_WINDOW - 1)
    high, low, close, volume = frame[HIGH], frame[LOW], frame[CLOSE], frame[VOLUME]
    rising, falling = np.zeros(back + n), np.zeros(back + n)
    for i in range(max(first - back, 1), stop):
        total = high[i] + low[i] + close[i]
        before = high[i - 1] + low[i - 1] + close[i - 1]
        flow = total / 3.0 * volume[i]
        change = total - before
        same = abs(change) <= SAME * abs(total)
        j = i - first + back
        rising[j] = flow if change > 0.0 and not same else flow * 0.0
        falling[j] = flow if change < 0.0 and not same else flow * 0.0
    up, down = np.empty(n), np.empty(n)
    block_sums(rising, back, back + n, count, MFI_WINDOW, up)
    block_sums(falling, back, back + n, count, MFI_WINDOW, down)
    for k in range(n):
        flow = up[k] + down[k]
        if count + k < MFI_WINDOW or np.isnan(flow):
            out[0, k] = np.nan
        else:
            out[0, k] = 100.0 * (up[k] / flow) if flow >= 1.0 else 0.0
