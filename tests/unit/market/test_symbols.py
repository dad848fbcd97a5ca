"""One pattern of a ticker, held by the row rules and by the suite of the table that has them."""

import json

import polars as pl
import pytest

from pipelines.market.symbols import LONGEST_SYMBOL, SYMBOL_PATTERN, is_well_formed
from pipelines.package_data import shipped


def well_formed(*symbols: str | None) -> list[bool | None]:
    return pl.select(is_well_formed(pl.Series(symbols, dtype=pl.String))).to_series().to_list()


def test_the_suite_of_instruments_demands_what_the_row_rules_do() -> None:
    suite = json.loads((shipped("expectations") / "instruments.json").read_text(encoding="utf-8"))["expectations"]
    (regex,) = [e["kwargs"]["regex"] for e in suite if e["kwargs"].get("column") == "symbol" and "regex" in e["kwargs"]]
    assert regex == SYMBOL_PATTERN


@pytest.mark.parametrize(
    "symbol", ["A", "M&M", "BAJAJ-AUTO", "BRK.B", "BRK/B", "BF-B", "3IINFOLTD", "^SPX", "GC=F", "NIFTY24JAN21500CE"]
)
def test_tickers_of_exchanges_and_vendors_are_well_formed(symbol: str) -> None:
    assert well_formed(symbol) == [True]


def test_a_line_break_a_blank_and_what_is_too_long_are_not() -> None:
    assert well_formed("A\n", "A\nB", "A B", "A ", "", "^", "A" * LONGEST_SYMBOL, "A" * (LONGEST_SYMBOL + 1), None) == [
        False,
        False,
        False,
        False,
        False,
        False,
        True,
        False,
        None,
    ]
