"""Intervals of a win rate.

Lives here: Wilson's interval, and the bootstrap that draws sessions.
Does not live here: what is counted (`performance.py`).
"""

from __future__ import annotations

import hashlib
import math
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
SAMPLES = 1000
#: Samples drawn at a time: with twenty years of sessions 20 MB.
_DRAWN = 500
_UNITS = 1e9


def wilson(wins: int, trials: int, level: float = LEVEL) -> tuple[float, float] | tuple[None, None]:
    """Score interval of a proportion without continuity correction; (None, None) without trials.

    Wilson (1927), JASA 22, 209–212; as method 3 of Newcombe (1998), Statistics in Medicine 17, 857–872.
    """
    if trials == 0:
        return None, None
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, spread = wins / trials, z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    # At 0 and at 1 the ends are exactly these; the arithmetic may miss them by a bit.
    return (0.0 if wins == 0 else centre - half), (1.0 if wins == trials else centre + half)


def by_session(totals: np.ndarray, counts: np.ndarray, content: str, samples: int = SAMPLES) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals of sum(total) / sum(count) over drawn sessions, one for each column: float64[k] low and high.

    totals, counts: float64[sessions, k]. Whole sessions are drawn with replacement, since signals of one day rise and fall together
    and are no independent trials; all columns share the draws, so that they compare. Samples that drew none of what a column counts
    are left out of it; NaN for columns with a count in fewer than two sessions. The seed is a hash of `content`: the same content
    gives the same interval.

    Cluster bootstrap: Davison and Hinkley (1997), Bootstrap Methods and their Application, section 3.8.
    """
    sessions = totals.shape[0]
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big")))
    # As whole billionths sums are exact, in whatever order a processor adds.
    whole = np.round(totals * _UNITS)
    # Many columns are the same: a signal left on its first day never overlaps, and nearly every one has a base.
    different, which = np.unique(np.concatenate([whole, counts], axis=1), axis=1, return_inverse=True)
    which = which.reshape(-1)
    parts = []
    for begin in range(0, samples, _DRAWN):
        size = min(_DRAWN, samples - begin)
        drawn = generator.integers(0, sessions, (size, sessions)) + np.arange(size)[:, None] * sessions
        times = np.bincount(drawn.ravel(), minlength=size * sessions).reshape(size, sessions).astype(np.float64)
        drawn_sums = (times @ different)[:, which]
        total, counted = np.split(drawn_sums, 2, axis=1)
        parts.append(np.divide(total, counted * _UNITS, out=np.full(counted.shape, np.nan), where=counted > 0))
    enough = np.count_nonzero(counts, axis=0) >= 2
    ends = np.full((2, totals.shape[1]), np.nan)
    if enough.any():
        ends[:, enough] = np.nanquantile(np.concatenate(parts)[:, enough], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return ends[0], ends[1]
