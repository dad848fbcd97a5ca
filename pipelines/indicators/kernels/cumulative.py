"""The session so far, minute by minute: running extremes, last price, volume and the latest moment anything became known.

Not here: reading minutes or laying out rows (`pipelines.indicators.cumulative`).
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


@kernel
def usual_day(
    group_offsets: Ints,
    curve_offsets: Ints,
    minute_offsets: Ints,
    volume: Ints,
    high: Floats,
    low: Floats,
    volume_divisor: Floats,
    price_factor: Floats,
    usual: tuple[Floats, Floats, Floats],
) -> None:
    """Fill `usual` (mean volume, median volume, mean range by each minute), laid out by `minute_offsets`, for every group.

    group_offsets: which curves make a group; curve_offsets: where each curve's minutes lie. Volumes are divided and rounded, ranges
    multiplied and taken as whole ten-thousandths, so that sums are exact; a curve that is shorter, or has not traded yet, does not
    count for a minute's range.
    """
    mean_volume, median_volume, mean_range = usual
    for group in range(group_offsets.size - 1):
        first, last = group_offsets[group], group_offsets[group + 1]
        start = minute_offsets[group]
        volumes = np.empty(last - first, dtype=np.int64)
        for at in range(minute_offsets[group + 1] - start):
            traded, ranges = np.int64(0), np.int64(0)
            ranged, held = 0, 0
            for curve in range(first, last):
                place = curve_offsets[curve] + at
                if place >= curve_offsets[curve + 1]:
                    continue
                volumes[held] = np.int64(np.floor(volume[place] / volume_divisor[curve] + 0.5))
                traded += volumes[held]
                held += 1
                if high[place] >= low[place]:
                    ranges += np.int64(np.floor((high[place] - low[place]) * price_factor[curve] * 10_000 + 0.5))
                    ranged += 1
            ordered = np.sort(volumes[:held])
            middle = (ordered[(held - 1) // 2] + ordered[held // 2]) / 2 if held else np.nan
            mean_volume[start + at] = traded / held if held else np.nan
            median_volume[start + at] = middle
            mean_range[start + at] = ranges / ranged / 10_000 if ranged else np.nan
