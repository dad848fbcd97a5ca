"""Vendors' own layouts of delimited text."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipelines.sources.csv import CsvSource
from pipelines.sources.protocol import FRAME_SCHEMAS, ParsedTable, ParseOptions, RawFile, SourceError


def parse(folder: Path, content: str, *, name: str = "acme.csv", symbol: str | None = None, **extra: str) -> ParsedTable:
    path = folder / "received"
    path.write_text(content)
    (table,) = CsvSource().parse(RawFile(path, name, ""), ParseOptions("XNYS", "America/New_York", symbol=symbol, extra=extra))
    assert dict(table.frame.schema) == dict(FRAME_SCHEMAS[table.table])
    return table


# --- yfinance

_ONE = "Price,Close,High,Low,Open,Volume\nTicker,AMD,AMD,AMD,AMD,AMD\nDate,,,,,\n"


def test_the_three_header_rows_of_yfinance_are_one(tmp_path: Path) -> None:
    table = parse(tmp_path, _ONE + "2024-01-02,2,4,1,3,500\n2024-01-03,,4,1,3,500\n")
    assert table.frame.select("row_number", "symbol", "session_date", "open", "high", "low", "close", "volume").row(0) == (
        *(4, "AMD", date(2024, 1, 2)),
        *(3, 4, 1, 2, 500),
    )
    assert table.frame["parse_problem"].to_list() == [None, "close: empty"]
    assert (table.price_basis, "auto_adjust" in table.notes[0]) == ("adjusted", True)
    unadjusted = parse(
        tmp_path, _ONE.replace("Close,High", "Adj Close,High").replace("Volume", "Close") + "2024-01-02,2,4,1,3,500\n"
    )
    assert unadjusted.price_basis == "split_adjusted"


def test_several_tickers_of_yfinance_are_bars_of_each_with_numbers_of_their_own(tmp_path: Path) -> None:
    head = (
        "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\nTicker,A,B.NS,A,B.NS,A,B.NS,A,B.NS,A,B.NS\nDate"
        + "," * 10
        + "\n"
    )
    head = head.replace("B.NS", "B")
    frame = parse(tmp_path, head + "2024-01-02,2,20,4,40,1,10,3,30,5,50\n2024-01-03,2,,4,,1,,3,,5,\n").frame
    assert frame.select("row_number", "symbol", "close").rows() == [(4, "A", 2.0), (5, "A", 2.0), (9, "B", 20.0)]
    assert frame["parse_problem"].null_count() == 3


def test_minutes_of_yfinance_have_offsets(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-02 14:3{n}:00+00:00,2,4,1,3,5\n" for n in range(3))
    table = parse(tmp_path, _ONE.replace("Date,", "Datetime,") + rows)
    assert (table.table, table.frame["ts"][0]) == ("bars_1m", datetime(2024, 1, 2, 14, 30, tzinfo=UTC))


# --- Databento

_HEAD = "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"


def _raw(minute: int, close: int = 100_500_000_000, rtype: int = 33, publisher: int = 2) -> str:
    stamp = int(datetime(2024, 1, 2, 14, 30 + minute, tzinfo=UTC).timestamp()) * 10**9
    return f"{stamp},{rtype},{publisher},32,100000000000,101250000000,99000000000,{close},1200,ACME\n"


def test_databento_s_integers_are_prices_and_its_stamps_starts(tmp_path: Path) -> None:
    table = parse(tmp_path, _HEAD + _raw(0) + _raw(1, close=9223372036854775807))
    assert table.table == "bars_1m"
    assert table.frame.select("symbol", "ts", "open", "high", "close").row(0) == (
        *("ACME", datetime(2024, 1, 2, 14, 30, tzinfo=UTC)),
        *(100.0, 101.25, 100.5),
    )
    assert table.frame["parse_problem"].to_list() == [None, "close: empty"]


def test_databento_s_pretty_prices_and_days_are_read_as_written(tmp_path: Path) -> None:
    row = "2024-01-02T00:00:00.000000000Z,35,2,32,100.000000000,101.25,99,100.5,1200,ACME\n"
    table = parse(tmp_path, _HEAD + row)
    assert (table.table, table.frame["session_date"].item(), table.frame["high"].item()) == ("bars_daily", date(2024, 1, 2), 101.25)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (_HEAD + _raw(0, rtype=32), r"column rtype: holds 32; minutes \(33\) or days \(35\)"),
        (_HEAD + _raw(0) + _raw(1, rtype=35), "column rtype: holds 33, 35"),
        (_HEAD + _raw(0) + _raw(1, publisher=3), "column publisher_id: holds the feeds 2, 3"),
        (_HEAD.replace(",symbol", "") + _raw(0).replace(",ACME", ""), "has no column symbol"),
    ],
)
def test_what_databento_s_bars_cannot_be_is_refused(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        parse(tmp_path, content)


def test_the_option_symbol_names_databento_s_only_instrument(tmp_path: Path) -> None:
    table = parse(tmp_path, _HEAD.replace(",symbol", "") + _raw(0).replace(",ACME", ""), symbol="acme")
    assert table.frame["symbol"].to_list() == ["ACME"]


# --- Investing.com


def test_investing_com_s_suffixes_and_price(tmp_path: Path) -> None:
    head = '"Date","Price","Open","High","Low","Vol.","Change %"\n'
    rows = [("09/30/2024", "58.41M"), ("09/27/2024", "1.2B"), ("09/26/2024", "730.5K"), ("09/25/2024", "-")]
    table = parse(
        tmp_path, head + "".join(f'"{day}","5,762.48","5,726.52","5,765.14","5,703.53","{v}","0.42%"\n' for day, v in rows)
    )
    assert table.frame["volume"].to_list() == [58_410_000, 1_200_000_000, 730_500, None]
    assert table.frame.select("session_date", "close", "open").row(0) == (date(2024, 9, 30), 5762.48, 5726.52)
    assert table.price_basis == "split_adjusted"
