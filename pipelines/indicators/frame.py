"""The rows of the working frame that every kernel reads, and the array types.

A frame is float64[ROWS, capacity]: one instrument's tail followed by its new bars, in the price basis of the newest bar,
one row per input. The first seven rows are the bars themselves; the rest are features shared by several indicators, filled
once per segment. Free of numba, so that the registry loads without it.

Not here: how the rows are filled (`kernels.workspace`).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Span = tuple[int, int, int, int]
"""What part of a frame a kernel works on: first, stop, count, intraday (see `kernels`)."""

OPEN, HIGH, LOW, CLOSE, VOLUME, TURNOVER, SESSION = range(7)
INPUT_ROWS = 7
INPUT_NAMES = ("open", "high", "low", "close", "volume", "turnover")

TRUE_RANGE = 7
"""Wilder's true range, new bars only; the first bar of an instrument has none before it and gets high − low."""
HIGH_9, LOW_9, HIGH_14, LOW_14, HIGH_20, LOW_20, HIGH_26, LOW_26, HIGH_52, LOW_52 = range(8, 18)
"""Highest high and lowest low of so many bars including the current one; whole only from that many bars on."""
SPARE_1, SPARE_2 = 18, 19
ROWS = 20
