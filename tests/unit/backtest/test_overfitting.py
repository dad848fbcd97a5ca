"""The probability of backtest overfitting: against its definition carried out on the returns, and against known truths."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from pipelines.backtest.overfitting import cut_into_blocks, overfitting_probability


def sums(returns: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sessions, sums and sums of squares by block of returns [T sessions, N sets]."""
    parts = np.array_split(returns, blocks)
    counts = np.array([[len(part) for part in parts]] * returns.shape[1], dtype=float)
    return counts, np.array([part.sum(axis=0) for part in parts]).T, np.array([(part**2).sum(axis=0) for part in parts]).T


def by_definition(returns: np.ndarray, blocks: int) -> float:
    """Algorithm 2.3 of the paper, step by step, on the returns themselves."""
    parts, below = np.array_split(returns, blocks), []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[k] for k in chosen])
        outside = np.concatenate([parts[k] for k in range(blocks) if k not in chosen])
        ratios = [half.mean(axis=0) / half.std(axis=0, ddof=1) for half in (inside, outside)]
        best = int(np.argmax(ratios[0]))
        rank = 1 + sum(ratio < ratios[1][best] for ratio in ratios[1])
        omega = rank / (returns.shape[1] + 1)
        below.append(np.log(omega / (1 - omega)) <= 0)
    return float(np.mean(below))


@pytest.mark.parametrize(("seed", "sets", "sessions", "blocks"), [(1, 5, 300, 8), (2, 12, 237, 6), (3, 2, 100, 10), (4, 7, 64, 4)])
def test_sums_by_block_give_what_the_returns_themselves_give(seed, sets, sessions, blocks):
    returns = np.random.default_rng(seed).normal(0.0002, 0.01, (sessions, sets))
    assert overfitting_probability(*sums(returns, blocks)) == by_definition(returns, blocks)


def test_a_set_that_is_the_best_everywhere_is_not_overfitted():
    returns = np.random.default_rng(1).normal(0, 0.01, (640, 20))
    returns[:, 7] += 0.01
    assert overfitting_probability(*sums(returns, 16)) == 0.0


def test_sets_that_only_take_turns_are_overfitted_with_certainty():
    """Each of 16 sets gains in one block and loses in the others: the best of any half is among the worst of the other."""
    noise = np.random.default_rng(1).normal(0, 1e-4, (320, 16))
    returns = noise - 0.01 + 0.05 * np.kron(np.eye(16), np.ones((20, 1)))
    assert overfitting_probability(*sums(returns, 16)) == 1.0


def test_the_best_of_many_sets_of_noise_ranks_anywhere_elsewhere():
    found = [overfitting_probability(*sums(np.random.default_rng(k).normal(0, 0.01, (512, 200)), 8)) for k in range(12)]
    assert 0.35 < np.mean(found) < 0.65


def test_sets_without_a_single_trade_rank_as_ratios_of_zero():
    returns = np.random.default_rng(1).normal(-0.005, 0.01, (640, 3))
    returns[:, 0] = 0.0
    assert overfitting_probability(*sums(returns, 16)) == 0.0


def test_one_set_is_no_choice_and_an_odd_number_of_blocks_has_no_halves():
    returns = np.random.default_rng(1).normal(0, 0.01, (64, 1))
    assert overfitting_probability(*sums(returns, 4)) is None
    with pytest.raises(ValueError, match="5 blocks"):
        overfitting_probability(*sums(returns, 5))


def test_months_are_cut_into_blocks_as_even_as_can_be():
    months = np.arange(38, dtype=float).reshape(2, 19)
    blocks = cut_into_blocks(months, 4)
    assert [part.sum() for part in np.array_split(months[0], 4)] == blocks[0].tolist()
    assert [part.sum() for part in np.array_split(months[1], 4)] == blocks[1].tolist()
