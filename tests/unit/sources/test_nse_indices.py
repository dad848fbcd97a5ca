"""NSE's daily file of indices, and index series without volume."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.sources.nse_indices import NseIndicesSource, index_symbol
from pipelines.sources.protocol import ParseOptions, RawFile, SourceError

HEAD = (
    "Index Name,Index Date,Open Index Value,High Index Value,Low Index Value,Closing Index Value,Points Change,Change(%),Volume,"
    "Turnover (Rs. Cr.),P/E,P/B,Div Yield\n"
)
ROWS = (
    "Nifty 50,26-03-2025,23700.95,23736.5,23451.7,23486.85,-181.8,-.77,297466911,27458.1,20.99,3.59,1.3\n"
    "India VIX,26-03-2025,13.64,13.7,13.1,13.47,-.16,-1.2,-,-,-,-,-\n"
    "Nifty 1D Rate Index,26-03-2025,-,-,-,2345.67,.4,.02,,,-,-,-\n"
)
NAME = "ind_close_all_26032025.csv"


def parse(folder: Path, content: str, name: str = NAME, **options) -> pl.DataFrame:
    (folder / "received").write_text(content)
    (table,) = NseIndicesSource().parse(RawFile(folder / "received", name, ""), ParseOptions("XNSE", "Asia/Kolkata", **options))
    return table.frame


def test_indices_with_and_without_volume_are_bars(tmp_path: Path) -> None:
    frame = parse(tmp_path, HEAD + ROWS)
    assert frame.select("symbol", "open", "high", "low", "close", "volume").rows() == [
        ("NIFTY50", 23700.95, 23736.5, 23451.7, 23486.85, 297466911.0),
        ("INDIAVIX", 13.64, 13.7, 13.1, 13.47, 0.0),
        ("NIFTY1DRATEINDEX", 2345.67, 2345.67, 2345.67, 2345.67, 0.0),
    ]
    assert frame["session_date"].unique().to_list() == [date(2025, 3, 26)]
    assert frame["parse_problem"].null_count() == 3


@pytest.mark.parametrize("name", ["S&P CNX Nifty", "CNX Nifty", "Nifty 50", "NIFTY 50"])
def test_an_index_has_one_symbol_through_its_renames(name: str) -> None:
    assert index_symbol(name) == "NIFTY50"


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (HEAD + ROWS, "ind_close_all_27032025.csv", "rows are of 2025-03-26, not of the one session 2025-03-27"),
        (HEAD + ROWS + ROWS.replace("26-03", "25-03"), "x.csv", "rows are of 2025-03-25, 2025-03-26"),
        ("a,b\n1,2\n", NAME, "no file of NSE's indices"),
        (HEAD, NAME, "only a header line"),
    ],
)
def test_other_files_and_sessions_are_refused(tmp_path: Path, content: str, name: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        parse(tmp_path, content, name)


def test_an_index_file_goes_through_the_row_rules(pipeline) -> None:
    staged = pipeline.stage(
        pipeline.deliver(NAME.replace("2025", "2024"), HEAD + ROWS.replace("2025", "2024"), source="nse_indices", mic="XNSE")
    )
    assert staged.quarantine.select("rule", "reason").rows() == []
    assert staged.tables["bars_daily"].height == 3


def test_minutes_of_an_index_have_no_volume_by_option(pipeline) -> None:
    from pipelines.sources.csv import CsvSource

    path = pipeline.settings.home / "nifty.csv"
    path.write_text("Instrument,Date,Time,Open,High,Low,Close\nNIFTY,20240103,09:15,1,2,1,2\nNIFTY,20240103,09:16,1,2,1,2\n")
    raw = RawFile(path, "nifty.csv", "")
    (table,) = CsvSource().parse(raw, ParseOptions("XNSE", "Asia/Kolkata", extra={"volume": "none"}))
    assert table.frame["volume"].to_list() == [0.0, 0.0]
