"""Intervals of a win rate, and how likely chance alone makes an edge.

Lives here: Wilson's interval, the bootstrap that draws blocks of sessions, and false-discovery rates.
Does not live here: what is counted (`performance.py`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
SAMPLES = 1000
#: Samples drawn at a time: with twenty years of sessions up to 10 MB.
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
    Circular blocks: Politis and Romano (1992).
    """
    from scipy import special

    length = 2 * held
    ratio = _ratios(totals.sum(axis=0, keepdims=True), counts.sum(axis=0, keepdims=True))[0]
    # As whole billionths sums are exact, in whatever order a processor adds.
    whole = np.round(totals * _UNITS)
    # Many columns are the same: nearly every signal has a base.
    different, which = _different_columns(np.concatenate([whole, counts], axis=1))
    total, counted = np.split(sums_drawn(different, length, content, samples)[:, which], 2, axis=1)
    drawn = _ratios(total / _UNITS, counted)
    blocks = np.array([np.unique(np.flatnonzero(column) // length).size for column in counts.T])
    known = blocks >= 2
    low, high, p_value = (np.full(totals.shape[1], np.nan) for _ in range(3))
    if known.any():
        missed = 1.0 / math.sqrt(_variance_seen(held, length))
        widened = missed * special.stdtrit(blocks[known] - 1, (1 + LEVEL) / 2) / NormalDist().inv_cdf((1 + LEVEL) / 2)
        ends = np.nanquantile(drawn[:, known], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        low[known], high[known] = ratio[known] + (ends - ratio[known]) * widened
        error = np.nanstd(drawn[:, known], axis=0) * missed
        distance = np.divide(np.abs(ratio[known]), error, out=np.full(error.size, np.nan), where=error > 0)
        p_value[known] = 2.0 * special.stdtr(blocks[known] - 1, -distance)
    return Spread(low, high, p_value)


def false_discovery(p_values: np.ndarray) -> np.ndarray:
    """Least false-discovery rate at which each of many tests counts as a find: float64[n], NaN where the p-value is.

    Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57; right for tests that are independent or depend
    positively, as track records on the same bars do.
    """
    out = np.full(p_values.size, np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    ordered = known[np.argsort(p_values[known])]
    rates = p_values[ordered] * (ordered.size / np.arange(1, ordered.size + 1))
    out[ordered] = np.minimum(np.minimum.accumulate(rates[::-1])[::-1], 1.0)
    return out


def sums_drawn(values: np.ndarray, length: int, content: str, samples: int) -> np.ndarray:
    """Sums over the sessions that each sample draws: float64[samples, k] of whole numbers float64[sessions, k].

    A sample is as many sessions as there are, in blocks of `length` from a session drawn at random on, wrapped around the end; the
    last block is cut. What a block adds is known before it is drawn, so that only its first session is looked up.
    """
    # Here: numba takes as long to import as polars, and most who ask for a record want no interval.
    from pipelines.backtest.signal_performance.kernel import sums_of_rows

    sessions = values.shape[0]
    blocks = -(-sessions // length)
    of_block, of_last = (_window_sums(values, size) for size in (min(length, sessions), sessions - (blocks - 1) * length))
    seed = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big")
    generator = np.random.Generator(np.random.PCG64(seed))
    parts = []
    for begin in range(0, samples, _DRAWN):
        starts = generator.integers(sessions, size=(min(_DRAWN, samples - begin), blocks))
        parts.append(sums_of_rows(of_block, starts[:, :-1]) + of_last[starts[:, -1]])
    return np.concatenate(parts)


def _different_columns(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each column once, in order of its first place, and for every column of `values` which of them it is."""
    seen: dict[bytes, int] = {}
    which = np.array([seen.setdefault(column.tobytes(), len(seen)) for column in values.T], dtype=np.int64)
    _, first = np.unique(which, return_index=True)
    return values[:, first], which


def _window_sums(values: np.ndarray, size: int) -> np.ndarray:
    """Of each session, the sum over the `size` sessions from it on, wrapped around the end; of whole numbers, so exact."""
    wrapped = np.concatenate([values, values[:size]]).astype(np.int64)
    summed = np.concatenate([np.zeros((1, values.shape[1]), np.int64), wrapped.cumsum(axis=0)])
    return (summed[size : size + values.shape[0]] - summed[: values.shape[0]]).astype(np.float64)


def _variance_seen(held: int, length: int) -> float:
    """Share of the variance of a mean that blocks see where outcomes k sessions apart share 1 − k / held of their sessions."""
    apart = np.arange(1, held)
    overlap = 1.0 - apart / held
    return float((1.0 + 2.0 * (overlap * (1.0 - apart / length)).sum()) / (1.0 + 2.0 * overlap.sum()))


def _ratios(total: np.ndarray, counted: np.ndarray) -> np.ndarray:
    return np.divide(total, counted, out=np.full(counted.shape, np.nan), where=counted > 0)
