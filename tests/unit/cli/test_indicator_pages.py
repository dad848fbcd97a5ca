"""The lists and the page of indicators say what the registry holds."""

from pathlib import Path

import pytest

from pipelines.cli.indicator_pages import UnknownIndicatorError, describe, indicator_rows, page
from pipelines.indicators.builtin import COLUMNS, INDICATORS
from pipelines.indicators.custom.families import FAMILIES
from pipelines.indicators.registry import Registry

BUILT_IN = Registry(INDICATORS, COLUMNS)


def test_the_committed_page_is_current() -> None:
    committed = (Path(__file__).parents[3] / "docs" / "indicators.md").read_text(encoding="utf-8")
    assert committed == page(), "run make generate"


def test_every_column_and_family_is_on_the_page() -> None:
    text = page()
    assert [column for column in COLUMNS if f"`{column}`:" not in text] == []
    assert [name for name in FAMILIES if f"| `{name}` |" not in text] == []


def test_rows_name_columns_parameters_warm_up_and_range() -> None:
    rows = {row["name"]: row for row in indicator_rows(BUILT_IN)}
    assert sorted(column for row in rows.values() for column in row["columns"]) == sorted(COLUMNS)
    assert rows["willr"] == {
        "name": "willr",
        "columns": ["willr_14"],
        "parameters": {"window": 14},
        "warm_up": 14,
        "range": "−100 … 0",
    }


@pytest.mark.parametrize("name", ["bollinger", "bb_upper_20"])
def test_an_indicator_is_found_by_its_name_and_by_a_column(name: str) -> None:
    found = describe(name, BUILT_IN)
    assert found["columns"]["bb_upper_20"].startswith("Mean of 20 closes plus 2")
    assert found["state"] == "none"
    assert found["warm-up"] == "first value on bar 20 of the instrument"


def test_a_family_tells_what_can_be_chosen() -> None:
    assert describe("rsi", BUILT_IN)["to choose"] == "window 2 … 1000"
    assert describe("stoch_rsi", BUILT_IN)["to choose"] == "window 2 … 1000; smooth 1 … 100 (default 3)"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownIndicatorError, match="no indicator 'bolinger'; did you mean 'bollinger'"):
        describe("bolinger", BUILT_IN)
