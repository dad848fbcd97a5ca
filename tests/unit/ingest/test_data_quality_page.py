"""The page on data quality names every row rule."""

from pathlib import Path

import pytest

from pipelines.quality.row_rules import ROW_RULES

PAGE = Path(__file__).parents[3] / "docs" / "data-quality.md"


@pytest.mark.parametrize("table", sorted(ROW_RULES))
def test_every_row_rule_is_explained(table: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [rule.name for rule in ROW_RULES[table] if f"`{rule.name}`" not in text] == []
