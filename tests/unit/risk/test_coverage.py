"""The tests of coverage on counts with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.risk.coverage import Transitions, conditional_coverage, independence, kupiec, transitions_of


def test_exactly_the_promised_share_has_ratio_zero():
    assert kupiec(1000, 50, 0.95) == pytest.approx((0.0, 1.0), abs=1e-5)


def test_no_breach_at_all_in_a_year():
    # −2 × 250 × log(0.99) = 5.0252 for none of 250 at 99 %; chi-square with 1 degree: p = 0.0250.
    assert kupiec(250, 0, 0.99) == pytest.approx((5.0252, 0.0250), abs=1e-4)


def test_breaches_in_a_row_speak_against_independence():
    scattered, bunched = np.zeros(250, dtype=bool), np.zeros(250, dtype=bool)
    scattered[10::20] = True
    bunched[100:112] = True
    assert conditional_coverage(scattered, 0.95).p_value > 0.3
    assert conditional_coverage(bunched, 0.95).p_value < 1e-6


def test_pairs_are_counted_in_order():
    assert transitions_of(np.array([0, 0, 1, 1, 0], dtype=bool)) == Transitions(n00=1, n01=1, n10=1, n11=1)


@given(st.integers(1, 2000), st.floats(0, 1), st.sampled_from([0.9, 0.95, 0.99]))
def test_ratios_and_p_values_stay_in_range(observations, share, confidence):
    result = kupiec(observations, int(share * observations), confidence)
    assert result.statistic >= 0
    assert 0 <= result.p_value <= 1


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_any_record_of_breaches_can_be_judged(record):
    result = conditional_coverage(np.array(record), 0.95)
    assert 0 <= result.p_value <= 1
    assert independence(transitions_of(np.array(record))).statistic >= 0


@pytest.mark.parametrize(("observations", "breaches", "confidence"), [(0, 0, 0.95), (10, 11, 0.95), (10, 1, 95)])
def test_impossible_counts_are_refused(observations, breaches, confidence):
    with pytest.raises(ValueError, match=r"kupiec|confidence"):
        kupiec(observations, breaches, confidence)
