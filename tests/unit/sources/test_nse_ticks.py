"""Recorded NSE snapshots as one-minute bars, on files small enough to be followed by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines.sources.nse_ticks import NseTicksSource
from pipelines.sources.protocol import FRAME_SCHEMAS, ParseOptions, RawFile, SourceError

NAME = "RELIANCE_09_April.csv"
#: 09:15 in India.
OPENS = datetime(2021, 4, 9, 3, 45, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Two minutes as a recorder leaves them. The first snapshot's 1,000 shares were traded before it; line 5 came late; lines 4 and 6
#: are of one second, 1,150 before 1,200; line 7 repeats line 6; from 09:16 nothing trades until line 10.
DAY = """timestamp,ltp,volume
2021-04-09 09:15:05,100.0,1000
2021-04-09 09:15:10,101.0,1100
2021-04-09 09:15:40,99.5,1200
2021-04-09 09:15:20,103.0,1120
2021-04-09 09:15:40,99.0,1150
2021-04-09 09:15:40,99.5,1200
1970-01-01 05:30:00,250.0,1200
2021-04-09 09:16:30,99.5,1200
2021-04-09 09:17:00,98.0,1230
"""


def parse(folder: Path, content: str, *, name: str = NAME, options: ParseOptions | None = None) -> pl.DataFrame:
    path = folder / "received"
    path.write_text(content)
    (table,) = NseTicksSource().parse(RawFile(path, name, ""), options or ParseOptions("XNSE", "Asia/Kolkata"))
    assert table.table == "bars_1m"
    assert dict(table.frame.schema) == dict(FRAME_SCHEMAS["bars_1m"])
    return table.frame


def bars(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    return frame.select("ts", "open", "high", "low", "close", "volume", "row_number").rows()


def test_a_day_by_hand(tmp_path: Path) -> None:
    frame = parse(tmp_path, DAY)
    assert bars(frame) == [
        (OPENS, 101.0, 103.0, 99.0, 99.5, 200.0, 3),
        (OPENS + timedelta(minutes=2), 98.0, 98.0, 98.0, 98.0, 30.0, 10),
        (EPOCH, 250.0, 250.0, 250.0, 250.0, 1200.0, 8),
    ]
    assert frame["symbol"].unique().to_list() == ["RELIANCE"]


def test_the_next_session_s_count_starts_anew(tmp_path: Path) -> None:
    later = "timestamp,ltp,volume\n2021-04-09 15:29:58,10,5000\n2021-04-09 15:29:59,11,5010\n2021-04-12 09:15:00,12,0\n"
    frame = parse(tmp_path, later + "2021-04-12 09:15:01,13,40\n")
    assert frame.select("close", "volume").rows() == [(11.0, 10.0), (13.0, 40.0)]


def test_snapshots_that_no_bar_can_be_made_of_are_handed_on_with_their_lines(tmp_path: Path) -> None:
    content = (
        "timestamp,ltp,volume\n2021-04-09 09:15:01,10,100\nyesterday,10,110\n2021-04-09 09:15:02,ten,120\n"
        "2021-04-09 09:15:03,0,130\n2021-04-09 09:15:04,10,-5\n2021-04-09 09:15:05\n2021-04-09 09:15:06,11,150\n"
    )
    frame = parse(tmp_path, content)
    assert bars(frame)[0] == (OPENS, 11.0, 11.0, 11.0, 11.0, 50.0, 8)
    assert frame.select("row_number", "parse_problem").rows()[1:] == [
        (3, "time: 'yesterday' is no date and time"),
        (4, "price: 'ten' is not a number"),
        (5, None),
        (6, None),
        (7, "line: 1 fields where 3 are expected"),
    ]
    assert frame.filter(pl.col("row_number") == 4)["raw_text"].to_list() == ["2021-04-09 09:15:02,ten,120"]


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("nse_ticks/9._09-April-2021/HDFCBANK_09_April.zip", "HDFCBANK"),
        ("RELIANCE_2021-05-14_.zip", "RELIANCE"),
        ("TATASTEEL2021-05-14_.csv", "TATASTEEL"),
        ("BAJAJ-AUTO_16_April.csv.gz", "BAJAJ-AUTO"),
        ("MM_09_April.csv", "M&M"),
        ("SBIN 14-May-2021.csv", "SBIN"),
        ("sbin_14052021_.zip", "SBIN"),
        ("M&M_1st.csv", None),
        ("INFY.csv", "INFY"),
        ("3MINDIA_09_April.csv", "3MINDIA"),
        ("today.csv", None),
    ],
)
def test_the_share_is_named_by_the_file_or_the_file_refused(tmp_path: Path, name: str, symbol: str | None) -> None:
    assert NseTicksSource().claims(name)
    if symbol is None:
        with pytest.raises(SourceError, match=r"the name does not tell the share; .*--symbol"):
            parse(tmp_path, DAY, name=name)
        return
    assert parse(tmp_path, DAY, name=name)["symbol"].unique().to_list() == [symbol]


def test_the_option_symbol_names_the_share_of_any_file(tmp_path: Path) -> None:
    frame = parse(tmp_path, DAY, name="today.csv", options=ParseOptions("XNSE", "Asia/Kolkata", symbol="sbin"))
    assert frame["symbol"].unique().to_list() == ["SBIN"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("date,open,high,low,close,volume\n2021-04-09,1,1,1,1,1\n", "row 1: no file of snapshots"),
        ("timestamp,ltp,volume\n", "only a header line"),
        ("timestamp,ltp,volume\nnever,1,1\n", "no row has a readable time"),
        ("timestamp,ltp,volume\n2021-04-09 09:15:01,10,100\n2021-04-09 09:", "stops in the middle of the row"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_is_wrong(tmp_path: Path, content: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        parse(tmp_path, content)


def test_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no options, not interval"):
        parse(tmp_path, DAY, options=ParseOptions("XNSE", "Asia/Kolkata", extra={"interval": "1m"}))
