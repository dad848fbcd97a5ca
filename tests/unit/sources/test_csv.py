"""The csv source on small files, one scenario each."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sources.csv import CsvSource
from pipelines.sources.protocol import FRAME_SCHEMAS, ParsedTable, ParseOptions, RawFile, SourceError

NEW_YORK = "America/New_York"
KOLKATA = "Asia/Kolkata"


def parse(folder: Path, content: str | bytes, *, name: str = "acme.csv", **options: object) -> ParsedTable:
    path = folder / "received"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    extra = {k: str(options.pop(k)) for k in list(options) if k not in ("symbol", "session", "timezone", "exchange")}
    given_options = {"exchange": "XNYS", "timezone": NEW_YORK, **options}
    (table,) = CsvSource().parse(RawFile(path, name, ""), ParseOptions(extra=extra, **given_options))  # type: ignore[arg-type]
    assert dict(table.frame.schema) == dict(FRAME_SCHEMAS[table.table])
    return table


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_columns_in_any_order_and_spelling_are_found(tmp_path: Path) -> None:
    table = parse(tmp_path, "Vol, Close/Last, LOW, High , open,Trade Date,Adj Close\n12, 3.5,1,4,2,2024-01-02,9\n")
    assert table.table == "bars_daily"
    row = table.frame.row(0, named=True)
    assert (row["symbol"], row["session_date"]) == ("ACME", date(2024, 1, 2))
    assert (row["open"], row["high"], row["low"], row["close"], row["volume"]) == (2, 4, 1, 3.5, 12)
    assert row["parse_problem"] is None
    assert row["raw_text"] is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-01-31", date(2024, 1, 31)),
        ("01/31/2024", date(2024, 1, 31)),
        ("31/01/2024", date(2024, 1, 31)),
        ("31-Jan-2024", date(2024, 1, 31)),
        ("31-JAN-24", date(2024, 1, 31)),
        ('"Jan 31, 2024"', date(2024, 1, 31)),
        ("20240131", date(2024, 1, 31)),
        ("2024/1/31", date(2024, 1, 31)),
        ("31.01.2024", date(2024, 1, 31)),
        ("2024-01-31T00:00:00Z", date(2024, 1, 31)),
        ("2024-01-31 00:00:00-05:00", date(2024, 1, 31)),
        ("1706659200", date(2024, 1, 31)),
        ("1706659200000", date(2024, 1, 31)),
        ("1706659200000000000", date(2024, 1, 31)),
        ("1706677200", date(2024, 1, 31)),  # midnight in New York
        ("2024-01-31T05:00:00Z", date(2024, 1, 31)),  # the same
    ],
)
def test_a_date_in_any_usual_spelling_is_the_same_day(tmp_path: Path, written: str, meant: date) -> None:
    table = parse(tmp_path, f"date,open,high,low,close,volume\n{written},1,1,1,1,1\n")
    assert (table.table, table.frame["session_date"].to_list()) == ("bars_daily", [meant])


def test_day_and_month_that_the_file_does_not_tell_apart_are_refused_with_the_option_named(tmp_path: Path) -> None:
    content = "date,open,high,low,close\n03/04/2024,1,1,1,1\n05/04/2024,1,1,1,1\n"
    with pytest.raises(SourceError, match=r"'03/04/2024' may be day first or month first; set the option date_order=dmy"):
        parse(tmp_path, content)
    assert parse(tmp_path, content, date_order="dmy").frame["session_date"][0] == date(2024, 4, 3)
    assert parse(tmp_path, content, date_order="mdy").frame["session_date"][0] == date(2024, 3, 4)


def test_one_row_that_tells_day_from_month_decides_for_the_file(tmp_path: Path) -> None:
    table = parse(tmp_path, "date,open,high,low,close\n03/04/2024,1,1,1,1\n15/04/2024,1,1,1,1\n")
    assert table.frame["session_date"].to_list() == [date(2024, 4, 3), date(2024, 4, 15)]


def test_both_orders_in_one_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="day first and month first"):
        parse(tmp_path, "date,open,high,low,close\n15/04/2024,1,1,1,1\n04/15/2024,1,1,1,1\n")


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


def test_minutes_are_the_exchanges_time_and_labelled_by_start(tmp_path: Path) -> None:
    content = "Date,Time,Open,High,Low,Close\n20240102,09:15,1,1,1,1\n20240102,09:16,1,1,1,1\n"
    table = parse(tmp_path, content, timezone=KOLKATA)
    assert table.table == "bars_1m"
    assert table.frame["ts"].to_list() == [utc("2024-01-02T03:45"), utc("2024-01-02T03:46")]
    ends = parse(tmp_path, content, timezone=KOLKATA, label="end")
    assert ends.frame["ts"].to_list() == [utc("2024-01-02T03:44"), utc("2024-01-02T03:45")]


@pytest.mark.parametrize("clock", ["0915", "915", "91500", "09:15:00", "9:15 AM"])
def test_a_separate_time_column_in_any_usual_spelling(tmp_path: Path, clock: str) -> None:
    frame = parse(tmp_path, f"date,time,open,high,low,close\n2024-01-02,{clock},1,1,1,1\n", timezone=KOLKATA).frame
    assert frame["ts"].to_list() == [utc("2024-01-02T03:45")]


def test_a_written_offset_beats_the_exchanges_zone(tmp_path: Path) -> None:
    frame = parse(tmp_path, "ts,open,high,low,close\n2022-07-25T09:15:00+05:30,1,1,1,1\n").frame
    assert frame["ts"].to_list() == [utc("2022-07-25T03:45")]


def test_labels_at_the_last_second_belong_to_their_minute(tmp_path: Path) -> None:
    frame = parse(
        tmp_path, "ts,open,high,low,close\n2024-01-02 09:15:59,1,1,1,1\n2024-01-02 09:16:59,1,1,1,1\n", timezone=KOLKATA
    ).frame
    assert frame["ts"].to_list() == [utc("2024-01-02T03:45"), utc("2024-01-02T03:46")]


def test_newest_first_keeps_the_files_order_and_line_numbers(tmp_path: Path) -> None:
    frame = parse(tmp_path, "date,open,high,low,close\n2024-01-03,1,1,1,1\n2024-01-02,1,1,1,1\n").frame
    assert frame["session_date"].to_list() == [date(2024, 1, 3), date(2024, 1, 2)]
    assert frame["row_number"].to_list() == [2, 3]


def test_times_that_clocks_skip_or_repeat_have_no_instant(tmp_path: Path) -> None:
    rows = ["2024-03-10 01:59", "2024-03-10 02:30", "2024-03-10 03:00", "2024-11-03 01:30", "2024-11-03 01:30-04:00"]
    content = "ts,open,high,low,close\n" + "".join(f"{row},1,1,1,1\n" for row in rows)
    frame = parse(tmp_path, content, interval="1m").frame
    assert frame["ts"].to_list() == [utc("2024-03-10T06:59"), None, utc("2024-03-10T07:00"), None, utc("2024-11-03T05:30")]
    assert frame["parse_problem"][1] == (
        "date: '2024-03-10 02:30' has no single instant in America/New_York (clocks change); write the offset"
    )


def test_three_minute_bars_and_ticks_are_refused(tmp_path: Path) -> None:
    header = "ts,open,high,low,close\n"
    with pytest.raises(SourceError, match=r"rows are 0:03:00 apart, not one minute"):
        parse(tmp_path, header + "".join(f"2024-01-02 09:{m:02d},1,1,1,1\n" for m in range(15, 45, 3)))
    with pytest.raises(SourceError, match="look like ticks"):
        parse(tmp_path, header + "2024-01-02 09:15:03.120,1,1,1,1\n2024-01-02 09:15:07,1,1,1,1\n")


def test_sparse_minutes_are_taken_when_said_so(tmp_path: Path) -> None:
    content = "ts,open,high,low,close\n2024-01-02 09:35,1,1,1,1\n2024-01-02 09:40,1,1,1,1\n"
    assert parse(tmp_path, content, interval="1m").frame.height == 2


def test_one_timed_row_a_day_is_asked_about(tmp_path: Path) -> None:
    content = "ts,open,high,low,close\n2024-01-02 16:00,1,1,1,1\n2024-01-03 16:00,1,1,1,1\n"
    with pytest.raises(SourceError, match="interval=1d or interval=1m"):
        parse(tmp_path, content)
    assert parse(tmp_path, content, interval="1d").frame["session_date"].to_list() == [date(2024, 1, 2), date(2024, 1, 3)]


def test_a_stray_second_in_a_minute_file_is_a_problem_of_its_row(tmp_path: Path) -> None:
    frame = parse(
        tmp_path, "ts,open,high,low,close\n" + "".join(f"2024-01-02 09:{m},1,1,1,1\n" for m in ("15", "16", "17:20"))
    ).frame
    assert frame["parse_problem"].to_list() == [None, None, "date: '2024-01-02 09:17:20' is not a whole minute"]


def test_a_row_without_its_time_is_no_bar_of_midnight(tmp_path: Path) -> None:
    content = "date,time,open,high,low,close\n2024-01-02,09:30,1,1,1,1\n2024-01-02,,1,1,1,1\n2024-01-02,09:31,1,1,1,1\n"
    frame = parse(tmp_path, content).frame
    assert frame["ts"].null_count() == 1
    assert frame["parse_problem"].to_list() == [None, "date or time: empty", None]
    one_column = parse(tmp_path, content.replace("date,time", "date").replace("02,,", "02,").replace("02,09", "02 09")).frame
    assert one_column["ts"].null_count() == 1
    assert one_column["parse_problem"][1] == "date: '2024-01-02' has no time of day"
    daily = parse(tmp_path, "date,time,open,high,low,close\n2024-01-02,,1,1,1,1\n")
    assert (daily.table, daily.frame["parse_problem"].to_list()) == ("bars_daily", [None])


def test_times_without_dates_need_the_session(tmp_path: Path) -> None:
    content = "time,open,high,low,close\n09:15,1,1,1,1\n09:16,1,1,1,1\n"
    with pytest.raises(SourceError, match="--session"):
        parse(tmp_path, content)
    frame = parse(tmp_path, content, session=date(2024, 1, 2), timezone=KOLKATA).frame
    assert frame["ts"][0] == utc("2024-01-02T03:45")


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


def _closes(days: list[date], symbol: str = "A") -> str:
    return "".join(f"{symbol},{day},1,2,1,2,5\n" for day in days)


_COARSE_HEADER = "symbol,date,open,high,low,close,volume\n"


@pytest.mark.parametrize(
    ("interval", "days"),
    [
        (
            "weekly",
            [date(2024, 1, 1), date(2024, 1, 8), date(2024, 1, 16), date(2024, 1, 22), date(2024, 1, 29), date(2024, 1, 31)],
        ),
        ("monthly", [date(2023, 11, 1), date(2023, 12, 1), date(2024, 1, 2), date(2024, 2, 1), date(2024, 3, 1)]),
        ("monthly", [date(2023, 11, 30), date(2023, 12, 29), date(2024, 1, 31), date(2024, 2, 29)]),
        ("quarterly", [date(2023, 3, 31), date(2023, 6, 30), date(2023, 9, 29), date(2023, 12, 29)]),
        ("yearly", [date(2020, 12, 31), date(2021, 12, 31), date(2022, 12, 30), date(2023, 12, 29)]),
    ],
)
def test_a_table_of_a_coarser_interval_is_recognised_and_refused(tmp_path: Path, interval: str, days: list[date]) -> None:
    text = _COARSE_HEADER + _closes(days)
    with pytest.raises(SourceError, match=f"these are {interval} bars.*interval=1d"):
        parse(tmp_path, text)
    assert parse(tmp_path, text, interval="1d").frame.height == len(days)


def test_a_share_that_seldom_trades_and_a_few_rows_are_daily(tmp_path: Path) -> None:
    seldom = [date(2024, 1, 1), date(2024, 1, 8), date(2024, 1, 10), date(2024, 1, 24), date(2024, 2, 27), date(2024, 2, 28)]
    assert parse(tmp_path, _COARSE_HEADER + _closes(seldom)).table == "bars_daily"
    assert parse(tmp_path, _COARSE_HEADER + _closes(seldom[:2])).table == "bars_daily"
    daily = [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4), date(2024, 1, 5), date(2024, 1, 8)]
    assert parse(tmp_path, _COARSE_HEADER + _closes(daily) + _closes(daily[:1], "B")).table == "bars_daily"


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
