"""The options' canonical form and the shape of parsed tables."""

from __future__ import annotations

from datetime import date

import polars as pl

from pipelines.sources.protocol import FRAME_SCHEMAS, ParseOptions, conform


def test_equal_options_have_equal_canonical_text_whatever_their_order() -> None:
    one = ParseOptions("XNYS", "America/New_York", "SPY", date(2024, 1, 2), {"a": "1", "b": "2"})
    two = ParseOptions("XNYS", "America/New_York", "SPY", date(2024, 1, 2), {"b": "2", "a": "1"})
    assert one.canonical_json() == two.canonical_json()
    assert one.canonical_json() == (
        '{"exchange":"XNYS","extra":{"a":"1","b":"2"},"session":"2024-01-02","symbol":"SPY","timezone":"America/New_York"}'
    )
    assert ParseOptions("XNYS").canonical_json() != ParseOptions("XNSE").canonical_json()


def test_conform_fills_missing_columns_casts_and_drops_others() -> None:
    frame = pl.DataFrame({"symbol": ["A"], "volume": [3], "parse_problem": [None], "raw_text": ["a line"], "extra": [1]})
    table = conform("bars_daily", frame)
    assert dict(table.frame.schema) == dict(FRAME_SCHEMAS["bars_daily"])
    assert table.frame.select("symbol", "volume", "open", "raw_text").row(0) == ("A", 3.0, None, None)
