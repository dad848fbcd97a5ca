"""The lean source on small files, one scenario each."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.lean import LeanSource
from pipelines.sources.lean_reference import dividend_amount, split_ratio
from pipelines.sources.protocol import FRAME_SCHEMAS, ParsedTable, ParseOptions, RawFile, SourceError

MINUTE = "usa/minute/ibm/20131007_trade.zip"


def parse(folder: Path, name: str, content: str, *, exchange: str = "XNYS", timezone: str = "America/New_York") -> ParsedTable:
    path = folder / "received"
    path.write_bytes(content.encode() if name.endswith(".csv") else _zipped(content))
    (table,) = LeanSource().parse(RawFile(path, name, ""), ParseOptions(exchange, timezone))
    assert dict(table.frame.schema) == dict(FRAME_SCHEMAS[table.table])
    return table


def _zipped(content: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("any.csv", content)
    return target.getvalue()


def test_daily_prices_are_unscaled_and_volumes_are_shares(tmp_path: Path) -> None:
    table = parse(tmp_path, "usa/daily/ibm.zip", "19980102 00:00,1045000,1057500,1040600,1057500,2563200")
    row = table.frame.row(0, named=True)
    assert table.table == "bars_daily"
    assert (row["symbol"], row["session_date"], row["row_number"]) == ("IBM", date(1998, 1, 2), 1)
    assert (row["open"], row["high"], row["low"], row["close"], row["volume"]) == (104.5, 105.75, 104.06, 105.75, 2563200)


def test_minutes_count_from_local_midnight_of_the_files_date(tmp_path: Path) -> None:
    table = parse(tmp_path, MINUTE, "34200000,1,1,1,1,5\n34260000,1,1,1,1,5")
    assert table.table == "bars_1m"
    assert table.frame["ts"].to_list() == [datetime(2013, 10, 7, 13, 30, tzinfo=UTC), datetime(2013, 10, 7, 13, 31, tzinfo=UTC)]
    india = parse(
        tmp_path, "india/minute/yesbank/20190709_trade.zip", "33300000,1,1,1,1,5", exchange="XNSE", timezone="Asia/Kolkata"
    )
    assert india.frame.select("symbol", "ts").row(0) == ("YESBANK", datetime(2019, 7, 9, 3, 45, tzinfo=UTC))


def test_seconds_become_minutes_labelled_by_start(tmp_path: Path) -> None:
    content = "34200000,20000,30000,20000,25000,5\n34259000,25000,25000,10000,15000,7\n34260000,40000,40000,40000,40000,1"
    frame = parse(tmp_path, "usa/second/ibm/20131007_trade.zip", content).frame
    assert frame.select("row_number", "open", "high", "low", "close", "volume").rows() == [
        (1, 2, 3, 1, 1.5, 12),
        (3, 4, 4, 4, 4, 1),
    ]


def test_suspicious_ticks_are_left_out_and_unreadable_ones_kept_apart(tmp_path: Path) -> None:
    content = (
        "34200000.5,20000,5,P,1,0\n34200001,990000,5,P,1,1\n34200002,x,5,P,1,0\n34200003,30000,1,P,1,0\n34200004,30000,1,P,1,?"
    )
    frame = parse(tmp_path, "usa/tick/ibm/20131007_trade.zip", content).frame
    assert frame.select("row_number", "open", "high", "close", "volume").row(0) == (1, 2, 3, 3, 6)
    assert frame["ts"].null_count() == 2
    assert frame["parse_problem"].to_list()[1:] == ["price: 'x' is not a number", "suspicious: '?' is neither 0 nor 1"]
    assert frame["raw_text"][1] == "34200002,x,5,P,1,0"


def test_fields_that_cannot_be_read_are_null_with_a_problem(tmp_path: Path) -> None:
    frame = parse(
        tmp_path, MINUTE, "34200000,1,1,1,1,5\nnoon,1,1,1,1,5\n34200500,1,1,1,1,\n99999999999,1,1,1,1,5\n34260000,1,1,1,1,5"
    ).frame
    assert frame["ts"].null_count() == 3
    assert frame["parse_problem"].to_list() == [
        None,
        "date: 'noon' is no time of 2013-10-07 in America/New_York",
        "volume: empty; date: '34200500' is not a whole minute",
        "date: '99999999999' is no time of 2013-10-07 in America/New_York",
        None,
    ]
    daily = parse(tmp_path, "daily/ibm.zip", "19980102 00:00,1,1,1,1,1\n19980231 00:00,1,1,1,1,1").frame
    assert daily["parse_problem"][1] == "date: '19980231 00:00' is not YYYYMMDD 00:00"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("usa/minute/ibm/20131007_quote.zip", "holds quotes, not trades"),
        ("usa/hour/ibm.zip", "hour bars are not taken"),
        ("usa/minute/ibm/20131399_trade.zip", "no file of a Lean equity folder; known are daily/<ticker>.zip"),
        ("somewhere/ibm.zip", "no file of a Lean equity folder"),
        ("crypto/gdax/minute/btcusd/20161007_trade.zip", "crypto data is not taken"),
        (
            "india/minute/yesbank/20190709_trade.zip",
            "keeps time in Asia/Kolkata, but XNYS in America/New_York; choose the right --exchange",
        ),
        ("usa/daily/ibm.zip", "5 fields where 6"),
    ],
)
def test_files_that_are_no_trades_of_a_lean_equity_folder_are_refused(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        parse(tmp_path, name, "34200000,1,1,1,1\n34260000,1,1,1,1\n")


def test_a_file_cut_off_in_mid_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"row 2: the file stops"):
        parse(tmp_path, MINUTE, "34200000,1,1,1,1,5\n34260000,1,1")


def test_a_folder_gives_its_trades_and_reference_files_only() -> None:
    claimed = [
        name
        for name in (
            "equity/usa/daily/ibm.zip",
            MINUTE,
            "equity/usa/map_files/ibm.csv",
            "usa/factor_files/ibm.csv",
            "usa/minute/ibm/20131007_quote.zip",
            "usa/hour/ibm.zip",
            "equity/readme.md",
            "crypto/gdax/daily/btcusd.zip",
        )
        if LeanSource().claims(name)
    ]
    assert claimed == ["equity/usa/daily/ibm.zip", MINUTE, "equity/usa/map_files/ibm.csv", "usa/factor_files/ibm.csv"]


def test_factors_become_splits_and_dividends_on_the_next_session(tmp_path: Path) -> None:
    content = "20140101,0.45,0.25,1\n20140606,0.45,0.25,100\n20140806,0.45,0.5,200\n20141231,0.5,0.5,50\n20501231,1,1,0"
    table = parse(tmp_path, "factor_files/acme.csv", content)
    assert table.table == "corporate_actions"
    rows = table.frame.select("symbol", "ex_date", "action", "ratio", "amount").rows()
    assert rows == [
        ("ACME", date(2014, 6, 9), "split", 2.0, None),  # 6 June was a Friday
        ("ACME", date(2014, 8, 7), "dividend", None, 20.0),
        ("ACME", date(2015, 1, 2), "split", 2.0, None),  # over New Year
        # 25 a share as held before the split of that day: 12.5 for each of the two that it became.
        ("ACME", date(2015, 1, 2), "dividend", None, 12.5),
    ]


def test_factor_files_out_of_order_or_not_numeric_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="row 2: 2014-01-01 comes after 2015-01-01"):
        parse(tmp_path, "factor_files/acme.csv", "20150101,1,1,1\n20140101,1,1,1\n")
    with pytest.raises(SourceError, match="row 1: could not convert"):
        parse(tmp_path, "factor_files/acme.csv", "20150101,one,1,1\n20501231,1,1,0\n")
    with pytest.raises(SourceError, match="above zero"):
        parse(tmp_path, "factor_files/acme.csv", "20150101,0,1,1\n20501231,1,1,0\n")


def test_map_rows_become_periods_without_gap_or_overlap(tmp_path: Path) -> None:
    table = parse(tmp_path, "map_files/qqq.csv", "19990310,qqq,Q\n20041130,qqq,Q\n20110322,qqqq,Q\n20501231,qqq,Q\n")
    assert table.frame.select("permanent", "symbol", "valid_from", "valid_to").rows() == [
        ("QQQ", "QQQ", date(1999, 3, 10), date(2004, 11, 30)),
        ("QQQ", "QQQQ", date(2004, 12, 1), date(2011, 3, 22)),
        ("QQQ", "QQQ", date(2011, 3, 23), None),
    ]


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_split_survives_being_written_as_a_rounded_factor(new: int, old: int) -> None:
    factor = float(f"{old / new:.6g}")
    assert split_ratio(factor, 1.0) == pytest.approx(new / old, rel=1e-5)


@given(st.integers(1, 2000), st.integers(500, 50_000), st.floats(0.2, 1.0))
def test_a_dividend_survives_being_written_as_rounded_factors(cents: int, price_cents: int, after: float) -> None:
    dividend, price = cents / 100, price_cents / 100
    if dividend > price / 3:
        return
    after = round(after, 7)
    before = round(after * (1 - dividend / price), 7)
    # the two factors' last digits move the amount by at most this
    assert dividend_amount(price, before, after) == pytest.approx(dividend, abs=0.005 + price * 2e-7 / after)
