"""Dates, times of day and intervals in the csv source, one scenario each."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pipelines.sources.protocol import SourceError
from tests.support.csv_bars import KOLKATA, parse, utc


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
