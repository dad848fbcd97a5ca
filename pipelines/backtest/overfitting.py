"""The probability of backtest overfitting: how often the best of several parameter sets is a poor one on what it was not chosen by.

Lives here: combinatorially symmetric cross-validation (CSCV) on sums of returns by block.
Does not live here: which parameter sets were ever tried (`trials`), figures of a single run (`statistics`).

Bailey, Borwein, López de Prado and Zhu (2017), The Probability of Backtest Overfitting, Journal of Computational Finance 20(4):
the sessions are cut into 16 blocks; of every way to choose half of them, the set with the best Sharpe ratio there is ranked by its
Sharpe ratio in the other half. A Sharpe ratio of any choice of blocks follows from three sums of each block, so no return is kept.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

#: Blocks, as the paper has them: 12,870 ways to choose half.
BLOCKS = 16
#: Figures held at once: what bounds the memory of many parameter sets.
_AT_ONCE = 2_000_000


def overfitting_probability(sessions: np.ndarray, total: np.ndarray, squares: np.ndarray) -> float | None:
    """Share of the choices at which the best set ranks in the lower half of the sets elsewhere. None for fewer than two sets.

    sessions, total, squares: float64[N sets, B blocks]: how many returns a block has, their sum and the sum of their squares. B is
    even and at least 2; ValueError otherwise.
    """
    sets, blocks = total.shape
    if blocks < 2 or blocks % 2:
        raise ValueError(f"overfitting_probability: {blocks} blocks; an even number is cut into halves.")
    if sets < 2:
        return None
    every = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(every), blocks))
    np.put_along_axis(chosen, every, 1.0, axis=1)
    poor, step = 0, max(1, _AT_ONCE // sets)
    for start in range(0, len(every), step):
        inside = chosen[start : start + step]
        best = _ratios(inside, sessions, total, squares).argmax(axis=1)
        outside = _ratios(1.0 - inside, sessions, total, squares)
        of_best = np.take_along_axis(outside, best[:, None], axis=1)
        rank = (outside < of_best).sum(axis=1) + ((outside == of_best).sum(axis=1) + 1) / 2
        poor += int((rank / (sets + 1) <= 0.5).sum())
    return poor / len(every)


def cut_into_blocks(parts: np.ndarray, blocks: int = BLOCKS) -> np.ndarray:
    """Sums of neighbouring parts (such as months), as even as can be: [N, P] → [N, blocks], for P of at least `blocks`."""
    sizes = [len(part) for part in np.array_split(np.arange(parts.shape[1]), blocks)]
    return np.add.reduceat(parts, np.cumsum([0, *sizes[:-1]]), axis=1)


def _ratios(chosen: np.ndarray, sessions: np.ndarray, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Sharpe ratio per session of each set over each choice of blocks; 0 where its returns do not vary."""
    count, sums, powers = chosen @ sessions.T, chosen @ total.T, chosen @ squares.T
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / count
        variance = (powers - sums * mean) / (count - 1.0)
        # Of constant returns rounding leaves a little.
        varies = variance > 1e-14 * (powers / count)
        return np.where(varies, mean / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
