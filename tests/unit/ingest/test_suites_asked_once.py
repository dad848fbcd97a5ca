"""A suite that is asked once gives what it would give each time: other figures, tables and files of suites are asked about anew."""

import polars as pl
import pytest

from pipelines.ingest import suites
from pipelines.ingest.suites import ExpectationResult, asked_once

FIGURES = pl.DataFrame({"session": ["2024-01-02"], "rows": [1]})


def test_the_same_figures_are_judged_once_and_all_else_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def judge(table: str, figures: pl.DataFrame) -> tuple[ExpectationResult, ...]:
        asked.append((table, int(figures["rows"][0])))
        return (ExpectationResult(f"{table} {len(asked)}", "e", "critical", success=True, unexpected=0, sessions=(), sample=""),)

    suite = asked_once(judge)
    first = suite("bars_daily", FIGURES)
    assert suite("bars_daily", FIGURES.clone()) == first
    assert asked == [("bars_daily", 1)]

    others = [("bars_1m", FIGURES), ("bars_daily", FIGURES.with_columns(rows=2)), ("bars_daily", FIGURES.cast({"rows": pl.Int32}))]
    assert len({first, *(suite(table, figures) for table, figures in others)}) == 4
    assert asked[1:] == [("bars_1m", 1), ("bars_daily", 2), ("bars_daily", 1)]

    monkeypatch.setattr(suites, "suite_hash", lambda table: "another file")
    assert suite("bars_daily", FIGURES) != first
