"""Columns, rows, symbols and options in the csv source on small files, one scenario each."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources.protocol import SourceError
from tests.support.csv_bars import KOLKATA, parse


def test_columns_in_any_order_and_spelling_are_found(tmp_path: Path) -> None:
    table = parse(tmp_path, "Vol, Close/Last, LOW, High , open,Trade Date,Adj Close\n12, 3.5,1,4,2,2024-01-02,9\n")
    assert table.table == "bars_daily"
    row = table.frame.row(0, named=True)
    assert (row["symbol"], row["session_date"]) == ("ACME", date(2024, 1, 2))
    assert (row["open"], row["high"], row["low"], row["close"], row["volume"]) == (2, 4, 1, 3.5, 12)
    assert row["parse_problem"] is None
    assert row["raw_text"] is None


def test_an_unreadable_field_is_null_and_named_and_its_line_kept(tmp_path: Path) -> None:
    frame = parse(tmp_path, "date,open,high,low,close,volume\n2024-01-02,1,2,1,abc,5\n2024-01-03,1,2,1,2,5\n").frame
    assert frame["close"].to_list() == [None, 2]
    assert frame["parse_problem"].to_list() == ["close: 'abc' is not a number", None]
    assert frame["raw_text"].to_list() == ["2024-01-02,1,2,1,abc,5", None]


def test_every_problem_of_a_row_is_listed(tmp_path: Path) -> None:
    frame = parse(tmp_path, "date,open,high,low,close,volume\n2024-01-02,1,2,1,2,5\n2024-02-30,1,,inf,2,x\n").frame
    assert frame["parse_problem"][1] == (
        "high: empty; low: 'inf' is not a number; volume: 'x' is not a number; date: '2024-02-30' is not a date or time"
    )


def test_blank_lines_are_no_rows_but_a_line_of_separators_is(tmp_path: Path) -> None:
    frame = parse(tmp_path, "date,open,high,low,close,volume\n\n2024-01-02,1,2,1,2,5\n   \n,,,,,\n").frame
    assert frame["row_number"].to_list() == [3, 5]
    last = frame.row(1, named=True)
    assert (last["session_date"], last["open"], last["volume"], last["symbol"]) == (None, None, None, "ACME")
    assert "date: empty" in last["parse_problem"]


def test_a_line_with_another_number_of_fields_keeps_nothing_but_its_text(tmp_path: Path) -> None:
    frame = parse(
        tmp_path, "date,open,high,low,close\n2024-01-02,1,2,1,2\n2024-01-03,1,234,2,1,2\n2024-01-04,1,2\n2024-01-05,1,1,1,1\n"
    ).frame
    assert frame["open"].to_list() == [1, None, None, 1]
    assert frame["parse_problem"].to_list() == [
        None,
        "line: 6 fields where 5 are expected",
        "line: 3 fields where 5 are expected",
        None,
    ]
    assert frame["raw_text"][1] == "2024-01-03,1,234,2,1,2"


def test_trailing_commas_do_no_harm(tmp_path: Path) -> None:
    frame = parse(tmp_path, "date,open,high,low,close,\n2024-01-02,1,2,1,2,\n").frame
    assert frame["parse_problem"].to_list() == [None]


@pytest.mark.parametrize("ending", ["2024-01-03,1,2", "2024-01-0", "2024-01-03,1,2,1,"])
def test_a_file_that_stops_in_mid_row_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(SourceError, match=r"acme.csv, row 3: the file stops in the middle of the row"):
        parse(tmp_path, "date,open,high,low,close\n2024-01-02,1,2,1,2\n" + ending)


def test_a_missing_final_newline_is_fine(tmp_path: Path) -> None:
    assert parse(tmp_path, "date,open,high,low,close\n2024-01-02,1,2,1,2").frame.height == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"date,open,high,low,close\n", "only a header line"),
        (b"2024-01-02,1,2,1,2\n", "no column names"),
        (b"date,open,high,low,price_close\n2024-01-02,1,2,1,2\n", "no column for close"),
        (b"date,open,high,low,close,close\n2024-01-02,1,2,1,2,2\n", "'close' is there twice"),
        (b"<html><body>Forbidden</body></html>\n", "no column names"),
        (b"date,open,high,low,close\nyesterday,1,2,1,2\n", "no row has a readable date; the first is 'yesterday'"),
        (b"\xff\xfed\x00a\x00", "no UTF-8"),
        (b"PK\x03\x04broken", "cannot be unpacked"),
        (b"\x1f\x8b\x08broken", "cannot be unpacked"),
        (b"date,open,high\x00,low,close\n", "NUL"),
    ],
)
def test_a_file_that_is_no_table_of_bars_is_refused_by_name_and_reason(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        parse(tmp_path, content)
    assert "acme.csv" in str(caught.value)


def test_packed_files_are_read_as_they_are(tmp_path: Path) -> None:
    content = b"date,open,high,low,close\n2024-01-02,1,2,1,2\n"
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("inner.csv", content)
    plain = parse(tmp_path, content, name="acme.csv").frame
    assert parse(tmp_path, gzip.compress(content), name="acme.csv.gz").frame.equals(plain)
    assert parse(tmp_path, zipped.getvalue(), name="in/acme.zip").frame.equals(plain)


def test_a_zip_of_several_files_and_a_cut_off_one_are_refused(tmp_path: Path) -> None:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.csv", "date")
        archive.writestr("b.csv", "date")
    with pytest.raises(SourceError, match="holds 2 files"):
        parse(tmp_path, zipped.getvalue())
    with pytest.raises(SourceError, match="fetch it again"):
        parse(tmp_path, zipped.getvalue()[:-30])
    with pytest.raises(SourceError, match="fetch it again"):
        parse(tmp_path, gzip.compress(b"date,open,high,low,close\n2024-01-02,1,2,1,2\n" * 50)[:-10])


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_a_byte_order_mark_and_windows_lines(tmp_path: Path, separator: str) -> None:
    lines = ["date,open,high,low,close", "2024-01-02,1.5,2,1,2", ""]
    content = "\ufeff" + "\r\n".join(lines).replace(",", separator)
    assert parse(tmp_path, content).frame["open"].to_list() == [1.5]


def test_quoted_groups_of_digits_are_numbers(tmp_path: Path) -> None:
    frame = parse(tmp_path, 'date,open,high,low,close,volume\n2024-01-02,"1,234.50",$2000,1,2,"12,34,567"\n').frame
    assert frame.select("open", "high", "volume").row(0) == (1234.5, 2000, 1234567)


def test_a_comma_that_may_be_decimal_is_asked_about(tmp_path: Path) -> None:
    content = "date;open;high;low;close\n2024-01-02;1,234;2;1;2\n"
    with pytest.raises(SourceError, match=r"row 2, column open: the comma of '1,234' may be a decimal comma"):
        parse(tmp_path, content)
    assert parse(tmp_path, content, decimal=",").frame["open"][0] == 1.234
    assert parse(tmp_path, content, decimal=".").frame["open"][0] == 1234


def test_scaled_prices_are_the_nearest_doubles(tmp_path: Path) -> None:
    frame = parse(tmp_path, "date,open,high,low,close,volume\n2024-01-02,948500,948500,939000,6448000,7\n", price_scale=10000).frame
    assert frame.select("open", "close", "volume").row(0) == (94.85, 644.8, 7)


def test_newest_first_keeps_the_files_order_and_line_numbers(tmp_path: Path) -> None:
    frame = parse(tmp_path, "date,open,high,low,close\n2024-01-03,1,1,1,1\n2024-01-02,1,1,1,1\n").frame
    assert frame["session_date"].to_list() == [date(2024, 1, 3), date(2024, 1, 2)]
    assert frame["row_number"].to_list() == [2, 3]


def test_symbols_come_from_the_column_the_option_or_the_file_name(tmp_path: Path) -> None:
    with_column = "symbol,date,open,high,low,close\naapl,2024-01-02,1,1,1,1\nM&M,2024-01-02,1,1,1,1\n"
    without = "date,open,high,low,close\n2024-01-02,1,1,1,1\n"
    assert parse(tmp_path, with_column).frame["symbol"].to_list() == ["AAPL", "M&M"]
    assert parse(tmp_path, without, name="x/brk.b.csv.gz").frame["symbol"].to_list() == ["BRK.B"]
    assert parse(tmp_path, without, symbol="spy").frame["symbol"].to_list() == ["SPY"]
    with pytest.raises(SourceError, match="holds 2 symbols"):
        parse(tmp_path, with_column, symbol="SPY")


def test_tickers_that_look_like_nothing_are_tickers(tmp_path: Path) -> None:
    rows = "".join(f"{symbol},2024-01-02,1,1,1,1\n" for symbol in ("NA", "NULL", "NaN", ""))
    frame = parse(tmp_path, "symbol,date,open,high,low,close\n" + rows).frame
    assert frame["symbol"].to_list() == ["NA", "NULL", "NAN", None]
    assert frame["parse_problem"].to_list() == [None, None, None, "symbol: empty"]


def test_a_file_without_a_header_can_be_given_one(tmp_path: Path) -> None:
    frame = parse(tmp_path, "2024-01-02,1,2,0.5,1.5,9\n", columns="date,open,high,low,close,volume").frame
    assert frame.select("row_number", "low", "volume").row(0) == (1, 0.5, 9)


def test_wrong_options_are_refused_with_the_right_ones(tmp_path: Path) -> None:
    content = "date,open,high,low,close\n2024-01-02,1,1,1,1\n"
    with pytest.raises(SourceError, match="did you mean date_order"):
        parse(tmp_path, content, dateorder="dmy")
    with pytest.raises(SourceError, match="must be one of start, end"):
        parse(tmp_path, content, label="middle")
    with pytest.raises(SourceError, match="above zero"):
        parse(tmp_path, content, price_scale="0")
    with pytest.raises(SourceError, match="time zone 'Mars/Base' is not known"):
        parse(tmp_path, content, timezone="Mars/Base")


@pytest.mark.slow
@pytest.mark.measured
@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet='0123456789.,-/:; "abTZ\n', max_size=40), max_size=12))
def test_any_text_gives_rows_or_a_source_error_and_loses_no_line(tmp_path_factory: pytest.TempPathFactory, rows: list[str]) -> None:
    body = "\n".join(rows)
    content = f"date,open,high,low,close,volume\n2024-01-02,1,2,1,2,5\n{body}\n"
    try:
        frame = parse(tmp_path_factory.mktemp("any"), content, interval="1d").frame
    except SourceError:
        return
    expected = [n for n, line in enumerate(content.split("\n")[1:], start=2) if line.strip()]
    assert frame["row_number"].to_list() == expected
    unread = frame.filter(pl.col("session_date").is_null() | pl.col("close").is_null())
    assert unread["parse_problem"].null_count() == 0


@pytest.mark.parametrize(
    ("mic", "written", "meant"),
    [
        ("XNSE", "RELIANCE.NS", "RELIANCE"),
        ("XNSE", "reliance.ns", "RELIANCE"),
        ("XNSE", "M&M.NS", "M&M"),
        ("XNSE", "NSE:SBIN-EQ", "SBIN"),
        ("XNSE", "NSE:BAJAJ-AUTO-EQ", "BAJAJ-AUTO"),
        ("XNSE", "BAJAJ-AUTO", "BAJAJ-AUTO"),
        ("XNYS", "AAPL.US", "AAPL"),
        ("XNYS", "BRK.B", "BRK.B"),
        ("XNYS", "BRK.B.US", "BRK.B"),
        ("XNYS", "NASDAQ:AAPL", "AAPL"),
        ("XNYS", ".US", ".US"),
    ],
)
def test_what_a_vendor_adds_for_the_exchange_is_no_part_of_the_symbol(tmp_path: Path, mic: str, written: str, meant: str) -> None:
    row = "2024-01-02,1,2,1,2,5\n"
    column = parse(tmp_path, f"symbol,date,open,high,low,close,volume\n{written},{row}", exchange=mic)
    file = parse(tmp_path, f"date,open,high,low,close,volume\n{row}", exchange=mic, name=f"{written}.csv")
    option = parse(tmp_path, f"date,open,high,low,close,volume\n{row}", exchange=mic, symbol=written)
    assert [t.frame["symbol"].item() for t in (column, file, option)] == [meant] * 3


def test_a_symbol_of_another_exchange_is_a_problem_of_its_row(tmp_path: Path) -> None:
    text = "symbol,date,open,high,low,close,volume\nTCS.NS,2024-01-02,1,2,1,2,5\nTCS.BO,2024-01-02,1,2,1,2,5\n"
    frame = parse(tmp_path, text, exchange="XNSE").frame
    assert frame["parse_problem"].to_list() == [None, "symbol: 'TCS.BO' is of XBOM, not of XNSE"]


@pytest.mark.parametrize(
    ("header", "basis", "said"),
    [
        ("Date,Open,High,Low,Close,Adj Close,Volume", "split_adjusted", "Adj Close: adjusted afterwards and not read"),
        ("Date,Open,High,Low,Close,Volume,Adj Close", None, "Adj Close: adjusted afterwards and not read"),
        ("Date,Open,High,Low,Close,Volume,Dividends,Stock Splits", "adjusted", "unless auto_adjust was off"),
        ("date,open,high,low,close,volume,adjusted_close", None, "adjusted_close: adjusted afterwards"),
        ("date,open,high,low,close,volume", None, ""),
    ],
)
def test_adjusted_closes_and_the_basis_of_plain_ones_are_said(tmp_path: Path, header: str, basis: str | None, said: str) -> None:
    row = ",".join(["2024-01-02", *["2"] * header.count(",")])
    table = parse(tmp_path, f"{header}\n{row}\n")
    assert table.price_basis == basis
    assert said in " ".join(table.notes)
    assert parse(tmp_path, f"{header}\n{row}\n", price_basis="as_traded").price_basis == "as_traded"
    assert parse(tmp_path, f"{header}\n{row}\n", price_basis="as_traded").notes == ()


def test_a_column_is_placed_by_an_option_as_in_parquet(tmp_path: Path) -> None:
    extra = {"column.close": "Settle", "column.moment": "When"}
    table = parse(tmp_path, "When,Open,High,Low,Close,Settle\n2024-01-02,1,3,1,2,2.5\n", **extra)
    assert table.frame["close"].item() == 2.5
    with pytest.raises(SourceError, match=r"option column.close='Gone': no such column; it has When, Open"):
        parse(tmp_path, "When,Open,High,Low,Close\n2024-01-02,1,3,1,2\n", **{"column.close": "Gone"})


def test_another_exchange_s_udiff_is_refused_by_its_own_column(tmp_path: Path) -> None:
    """BSE's bhavcopy has the columns of NSE's, whichever source reads it."""
    text = "TradDt,Src,TckrSymb,OpnPric,HghPric,LwPric,ClsPric,TtlTradgVol\n2024-07-08,NSE,ACME,10,11,9,10.5,100\n"
    india = {"exchange": "XNSE", "timezone": KOLKATA}
    assert parse(tmp_path, text, **india).frame.height == 1
    with pytest.raises(SourceError, match=r"row 3, column Src: published by BSE, which is XBOM, not XNSE"):
        parse(tmp_path, text + "2024-07-08,BSE,ACME,10,11,9,10.5,100\n", **india)
