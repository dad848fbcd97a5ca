"""Intervals of a win rate, and how likely chance alone makes an edge.

Lives here: Wilson's interval, the bootstrap that draws blocks of sessions, and false-discovery rates.
Does not live here: what is counted (`performance.py`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Spread:
    """Of each column: float64[k] ends of its interval, and the two-sided p-value that its ratio is 0; NaN where not known."""

    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray


def by_session(totals: np.ndarray, counts: np.ndarray, held: int, content: str, samples: int = SAMPLES) -> Spread:
    """Spread of sum(total) / sum(count) over drawn blocks of sessions, one for each column.

    totals, counts: float64[sessions, k], a row for every session of the exchange from the first signal to the last, also those
    without one. held: sessions that an outcome spans. Signals of one day rise and fall together and outcomes of `held` sessions
    overlap with those of the days after, so that blocks of 2 × held sessions are drawn, wrapped around the end. All columns share
    the draws, so that they compare. Samples that drew none of what a column counts are left out. NaN for columns whose signals
    lie in fewer than two blocks. The seed is a hash of `content`: the same content gives the same interval.

    The ends are the percentiles, moved away from the ratio by two factors. Blocks of finite length miss part of the variance that
    overlap makes, a known part for outcomes that share h − k of h sessions (Künsch 1989, Annals of Statistics 17, section 3). And
    few blocks say little of the spread between blocks, as in Student's t with one degree of freedom less than there are blocks.
    Circular blocks: Politis and Romano (1992), by `arch`.
    """
    from scipy import stats

    length = 2 * held
    ratio = _ratios(totals.sum(axis=0, keepdims=True), counts.sum(axis=0, keepdims=True))[0]
    # As whole billionths sums are exact, in whatever order a processor adds.
    whole = np.round(totals * _UNITS)
    # Many columns are the same: nearly every signal has a base.
    different, which = np.unique(np.concatenate([whole, counts], axis=1), axis=1, return_inverse=True)
    which = which.reshape(-1)
    parts = []
    for times in _times_drawn(totals.shape[0], length, content, samples):
        total, counted = np.split((times @ different)[:, which], 2, axis=1)
        parts.append(_ratios(total / _UNITS, counted))
    drawn = np.concatenate(parts)
    blocks = np.array([np.unique(np.flatnonzero(column) // length).size for column in counts.T])
    known = blocks >= 2
    low, high, p_value = (np.full(totals.shape[1], np.nan) for _ in range(3))
    if known.any():
        missed = 1.0 / math.sqrt(_variance_seen(held, length))
        widened = missed * stats.t.ppf((1 + LEVEL) / 2, blocks[known] - 1) / NormalDist().inv_cdf((1 + LEVEL) / 2)
        ends = np.nanquantile(drawn[:, known], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        low[known], high[known] = ratio[known] + (ends - ratio[known]) * widened
        error = np.nanstd(drawn[:, known], axis=0) * missed
        distance = np.divide(np.abs(ratio[known]), error, out=np.full(error.size, np.nan), where=error > 0)
        p_value[known] = 2.0 * stats.t.sf(distance, blocks[known] - 1)
    return Spread(low, high, p_value)


def false_discovery(p_values: np.ndarray) -> np.ndarray:
    """Least false-discovery rate at which each of many tests counts as a find: float64[n], NaN where the p-value is.

    Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57; right for tests that are independent or depend
    positively, as track records on the same bars do.
    """
    from scipy import stats

    out = np.full(p_values.size, np.nan)
    known = ~np.isnan(p_values)
    if known.any():
        out[known] = stats.false_discovery_control(p_values[known], method="bh")
    return out


def _times_drawn(sessions: int, length: int, content: str, samples: int) -> Iterator[np.ndarray]:
    """How often each session is drawn in each sample: float64[at most _DRAWN, sessions], until there are `samples`."""
    from arch.bootstrap import CircularBlockBootstrap

    seed = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big")
    bootstrap = CircularBlockBootstrap(length, np.arange(sessions), seed=np.random.Generator(np.random.PCG64(seed)))
    for begin in range(0, samples, _DRAWN):
        size = min(_DRAWN, samples - begin)
        drawn = np.stack([bootstrap.update_indices() for _ in range(size)]) + np.arange(size)[:, None] * sessions
        yield np.bincount(drawn.ravel(), minlength=size * sessions).reshape(size, sessions).astype(np.float64)


def _variance_seen(held: int, length: int) -> float:
    """Share of the variance of a mean that blocks see where outcomes k sessions apart share 1 − k / held of their sessions."""
    apart = np.arange(1, held)
    overlap = 1.0 - apart / held
    return float((1.0 + 2.0 * (overlap * (1.0 - apart / length)).sum()) / (1.0 + 2.0 * overlap.sum()))


def _ratios(total: np.ndarray, counted: np.ndarray) -> np.ndarray:
    return np.divide(total, counted, out=np.full(counted.shape, np.nan), where=counted > 0)
