"""Are the breaches of a value at risk as many, and as scattered, as its confidence promises?

Lives here: the likelihood-ratio tests of Kupiec and Christoffersen, on counts. Does not live here: the value at risk (`var`).

Both compare −2 log(likelihood under the promise / likelihood as observed) with a chi-square distribution; a small p-value speaks
against the model. p-values are asymptotic: with a handful of breaches they are a hint, not a proof.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class CoverageTest(NamedTuple):
    """A likelihood ratio and its asymptotic p-value."""

    statistic: float
    p_value: float


class Transitions(NamedTuple):
    """Pairs of neighbouring sessions by breach on the first and on the second: `n01` counts 'no breach, then a breach'."""

    n00: int
    n01: int
    n10: int
    n11: int


def kupiec(observations: int, breaches: int, confidence: float) -> CoverageTest:
    """Proportion of failures, 1 degree of freedom: is the share of breaches 1 − confidence?

    Kupiec (1995), Techniques for Verifying the Accuracy of Risk Measurement Models, Journal of Derivatives 3(2).
    Raises ValueError for no observations, more breaches than observations, or a confidence outside 0 to 1.
    """
    if not 0 <= breaches <= observations or observations == 0:
        raise ValueError(
            f"kupiec: {breaches} breaches of {observations} observations; expected 0 ≤ breaches ≤ observations, above 0."
        )
    expected = _tail(confidence)
    promised = _log_likelihood(observations - breaches, breaches, expected)
    observed = _log_likelihood(observations - breaches, breaches, breaches / observations)
    return _test(promised, observed)


def independence(transitions: Transitions) -> CoverageTest:
    """Is a breach as likely after a breach as after none? 1 degree of freedom.

    Christoffersen (1998), Evaluating Interval Forecasts, International Economic Review 39(4).
    """
    n00, n01, n10, n11 = transitions
    together = _log_likelihood(n00 + n10, n01 + n11, _share(n01 + n11, n00 + n01 + n10 + n11))
    apart = _log_likelihood(n00, n01, _share(n01, n00 + n01)) + _log_likelihood(n10, n11, _share(n11, n10 + n11))
    return _test(together, apart)


def conditional_coverage(breached: np.ndarray, confidence: float) -> CoverageTest:
    """Right share and independent at once, 2 degrees of freedom: the sum of both ratios (Christoffersen 1998).

    breached: bool[T], in order of sessions, at least one.
    """
    share = kupiec(breached.size, int(breached.sum()), confidence)
    total = share.statistic + independence(transitions_of(breached)).statistic
    return CoverageTest(total, math.exp(-total / 2))


def transitions_of(breached: np.ndarray) -> Transitions:
    """Count the pairs of neighbouring sessions: bool[T] to four counts that sum to T − 1."""
    first, second = breached[:-1].astype(bool), breached[1:].astype(bool)
    counts = [(~first & ~second), (~first & second), (first & ~second), (first & second)]
    return Transitions(*(int(pairs.sum()) for pairs in counts))


def _test(restricted: float, free: float) -> CoverageTest:
    # The ratio is 0 or more; a rounding error may take it a hair below. erfc(√(x / 2)) is the tail of chi-square with 1 degree.
    statistic = max(2.0 * (free - restricted), 0.0)
    return CoverageTest(statistic, math.erfc(math.sqrt(statistic / 2)))


def _log_likelihood(misses: int, hits: int, probability: float) -> float:
    # 0 × log 0 is 0: what never happened and cannot happen is certain.
    return (misses * math.log1p(-probability) if misses else 0.0) + (hits * math.log(probability) if hits else 0.0)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _tail(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, as in 0.99.")
    return 1.0 - confidence
