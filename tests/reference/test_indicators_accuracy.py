"""Every comparison of docs/indicator-accuracy.md holds, and the page prints what is measured."""

import pytest

from benchmarks.reference_cases import CASES, Case
from benchmarks.references import PAGE, measure, page


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.id}-{case.table}")
@pytest.mark.usefixtures("shared")
def test_column_agrees_with_the_reference_within_its_rounding(case: Case) -> None:
    outcome = measure(case)
    assert outcome.bars > 1
    assert outcome.allowed, f"largest difference {outcome.largest:g}, undefined on the same bars: {outcome.same_nulls}"


@pytest.mark.usefixtures("shared")
def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page([measure(case) for case in CASES]), "run python -m benchmarks.references"


def test_no_case_stands_twice() -> None:
    ids = [f"{case.id}-{case.table}" for case in CASES]
    assert len(ids) == len(set(ids))
