"""The session so far, minute by minute: running extremes, last price, volume and the latest moment anything became known.

Not here: reading minutes or laying out rows (`pipelines.indicators.curves`).
"""

import numpy as np

from pipelines.indicators.frame import Floats, Ints
from pipelines.indicators.jit import kernel


@kernel
def running_day(
    bar_offsets: Ints,
    minute_offsets: Ints,
    minute: Ints,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Ints,
    known: Ints,
    running: tuple[Floats, Floats, Floats, Ints, Ints],
) -> None:
    """Fill `running` (high, low, last price, volume, known), each laid out by `minute_offsets`, for every session.

    minute: position of each bar in its session, from 0, ascending. known: microseconds since 1970. A minute without a bar repeats
    what stood before it; before the first bar prices are NaN, volume and known 0.
    """
    highs, lows, lasts, volumes, knowns = running
    for session in range(bar_offsets.size - 1):
        bar, end = bar_offsets[session], bar_offsets[session + 1]
        top, bottom, last = np.nan, np.nan, np.nan
        traded, latest = 0, 0
        start = minute_offsets[session]
        for at in range(minute_offsets[session + 1] - start):
            while bar < end and minute[bar] == at:
                top = high[bar] if not top >= high[bar] else top
                bottom = low[bar] if not bottom <= low[bar] else bottom
                last = close[bar]
                traded += volume[bar]
                latest = max(latest, known[bar])
                bar += 1
            highs[start + at], lows[start + at], lasts[start + at] = top, bottom, last
            volumes[start + at], knowns[start + at] = traded, latest
