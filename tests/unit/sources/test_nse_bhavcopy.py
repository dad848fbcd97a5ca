"""NSE's end-of-day files on small made-up ones, one scenario each."""

import io
import zipfile
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.nse_bhavcopy import NseBhavcopySource
from pipelines.sources.protocol import FRAME_SCHEMAS, ParseOptions, RawFile, SourceError

CM = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
FULL = (
    "SYMBOL, SERIES, DATE1, PREV_CLOSE, OPEN_PRICE, HIGH_PRICE, LOW_PRICE, LAST_PRICE, CLOSE_PRICE, AVG_PRICE, TTL_TRD_QNTY, "
    "TURNOVER_LACS, NO_OF_TRADES, DELIV_QTY, DELIV_PER\n"
)
UDIFF = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,OptnTp,FinInstrmNm,"
    "OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,ChngInOpnIntrst,TtlTradgVol,TtlTrfVal,"
    "TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4\n"
)
CM_NAME, FULL_NAME = "cm01JAN2019bhav.csv", "sec_bhavdata_full_03102024.csv"
UDIFF_NAME = "BhavCopy_NSE_CM_0_0_0_20241003_F_0000.csv"


def cm(symbol="ACME", series="EQ", day="01-JAN-2019", volume="1000", value="10500", isin="INE000A01014") -> str:
    return f"{symbol},{series},10,11,10,10.5,10.6,9.9,{volume},{value},{day},7,{isin},\n"


def full(symbol="ACME", series="EQ", day="03-Oct-2024", volume="100000", turnover="10.50", delivered="400", trades="7") -> str:
    prices = "9.90, 10.00, 11.00, 10.00, 10.60, 10.50, 10.50"
    return f"{symbol}, {series}, {day}, {prices}, {volume}, {turnover}, {trades}, {delivered}, 40\n"


def udiff(symbol="ACME", series="EQ", segment="CM") -> str:
    return (
        f"2024-10-03,2024-10-03,{segment},NSE,STK,1,INE000A01014,{symbol},{series},,,,,ACME LIMITED,"
        "10.00,11.00,10.00,10.50,10.60,9.90,,10.50,,,1000,10500.25,7,F1,1,,,,,\n"
    )


def parse(folder: Path, name: str, content: str | bytes, **options) -> tuple[pl.DataFrame, pl.DataFrame]:
    path = folder / "received"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    bars, others = NseBhavcopySource().parse(RawFile(path, name, ""), ParseOptions("XNSE", "Asia/Kolkata", **options))
    assert (bars.table, others.table) == ("bars_daily", "bars_other_series")
    assert dict(bars.frame.schema) == dict(others.frame.schema) == dict(FRAME_SCHEMAS["bars_daily"])
    return bars.frame, others.frame


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (CM_NAME, CM + cm(), (date(2019, 1, 1), 1000, 10_500.0, 7, 9.9, None, "INE000A01014")),
        (FULL_NAME, FULL + full(), (date(2024, 10, 3), 100_000, 1_050_000.0, 7, 9.9, 400, None)),
        (UDIFF_NAME, UDIFF + udiff(), (date(2024, 10, 3), 1000, 10_500.25, 7, 9.9, None, "INE000A01014")),
    ],
    ids=["cm", "full", "udiff"],
)
def test_the_header_tells_the_layout(tmp_path: Path, name: str, content: str, expected: tuple[object, ...]) -> None:
    bars, others = parse(tmp_path, name, content)
    row = bars.row(0, named=True)
    assert (row["symbol"], row["series"], row["open"], row["high"], row["low"], row["close"]) == ("ACME", "EQ", 10, 11, 10, 10.5)
    columns = ("session_date", "volume", "turnover", "trades", "prev_close", "delivery_qty", "isin")
    assert tuple(row[c] for c in columns) == expected
    assert (bars["parse_problem"][0], others.height) == (None, 0)


def test_a_zip_of_one_file_reads_as_the_file(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(UDIFF_NAME, UDIFF + udiff())
    assert parse(tmp_path, UDIFF_NAME + ".zip", packed.getvalue())[0].equals(parse(tmp_path, UDIFF_NAME, UDIFF + udiff())[0])


def test_the_oldest_files_without_trades_and_isin_are_read(tmp_path: Path) -> None:
    header = CM.replace(",TOTALTRADES,ISIN,", "")
    bars, _ = parse(tmp_path, "cm01JAN2002bhav.csv", header + "ACME,EQ,10,11,10,10.5,10.6,9.9,1000,10500,01-JAN-2002\n")
    assert bars.select("close", "turnover", "trades", "isin").row(0) == (10.5, 10_500, None, None)


def test_the_main_series_is_eq_else_be_else_bz_and_other_prints_stand_apart(tmp_path: Path) -> None:
    content = CM + "".join(
        cm(symbol, series)
        for symbol, series in [
            ("A", "BL"),
            ("A", "EQ"),
            ("A", "N1"),
            ("B", "BZ"),
            ("B", "BE"),
            ("C", "BZ"),
            ("D", "SM"),
            ("A", "T0"),
        ]
    )
    bars, others = parse(tmp_path, CM_NAME, content)
    assert bars.select("symbol", "series").rows() == [("A", "EQ"), ("B", "BE"), ("C", "BZ")]
    assert others.select("symbol", "series").rows() == [("A", "BL"), ("A", "N1"), ("B", "BZ"), ("D", "SM"), ("A", "T0")]
    small, _ = parse(tmp_path, CM_NAME, content, extra={"main_series": "EQ,SM"})
    assert small.select("symbol", "series").rows() == [("A", "EQ"), ("D", "SM")]


@pytest.mark.parametrize(("written", "rupees"), [("1050000.00", 1_050_000), ("10.50", 1_050_000)])
def test_turnover_is_rupees_whether_the_file_has_rupees_or_lakhs(tmp_path: Path, written: str, rupees: float) -> None:
    bars, _ = parse(tmp_path, FULL_NAME, FULL + full(turnover=written))
    assert bars["turnover"][0] == rupees


def test_a_turnover_in_no_known_unit_refuses_the_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"TURNOVER_LACS.*0\.001.*neither about 1 \(rupees\)"):
        parse(tmp_path, FULL_NAME, FULL + full(turnover="1050"))


def test_zeros_that_mean_missing_are_null_and_true_zeros_stay(tmp_path: Path) -> None:
    old = FULL + full(delivered="0", trades="0") + full("B", delivered="0", trades="0")
    bars, _ = parse(tmp_path, FULL_NAME, old)
    assert bars.select("trades", "delivery_qty").rows() == [(None, None), (None, None)]
    bars, _ = parse(tmp_path, FULL_NAME, FULL + full(delivered="0") + full("B", delivered="-") + full("C"))
    assert bars["delivery_qty"].to_list() == [0, None, 400]


@pytest.mark.parametrize("day", ["12-MAY-2021", "12-May-2021", "2021-05-12"])
def test_dates_are_compared_as_dates(tmp_path: Path, day: str) -> None:
    bars, _ = parse(tmp_path, "sec_bhavdata_full_12052021.csv", FULL + full(day=day))
    assert bars["session_date"][0] == date(2021, 5, 12)


def test_unreadable_fields_keep_their_row_with_the_reason(tmp_path: Path) -> None:
    content = CM + cm() + cm("B", day="31-FEB-2019") + cm("C", volume="many") + cm("D", isin="INE0") + cm("", "EQ") + "E,EQ,1\n"
    bars, others = parse(tmp_path, CM_NAME, content)
    assert bars.height + others.height == 6
    problems = pl.concat([bars, others]).sort("row_number")["parse_problem"].to_list()
    assert problems == [
        None,
        "date: '31-FEB-2019' is not a date",
        "volume: 'many' is not a number",
        "isin: 'INE0' is no ISIN",
        "symbol: empty",
        "line: 3 fields where 14 are expected",
    ]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (CM_NAME, "", "the file is empty"),
        (CM_NAME, CM, "only a header line and no rows"),
        (CM_NAME, CM + cm() + cm("B")[:40], "stops in the middle of the row"),
        (CM_NAME, CM + cm() + cm("B")[:-6], "stops in the middle of the row"),
        (CM_NAME, "date,open,high,low,close\n2019-01-01,1,1,1,1\n", "no bhavcopy of NSE"),
        (CM_NAME, CM.replace("CLOSE,LAST", "CLOSED,LAST") + cm(), "lacks the column CLOSE"),
        ("cm02JAN2019bhav.csv", CM + cm(), "name says 2019-01-02 but its rows are of 2019-01-01"),
        ("cm31FEB2019bhav.csv", CM + cm(), "'31FEB2019' in its name is no date"),
        (CM_NAME, CM + cm() + cm("B", day="02-JAN-2019"), "rows of 2 sessions, 2019-01-01 to 2019-01-02"),
        (CM_NAME, CM + cm(day="soon"), "no row has a readable date; the first is 'soon'"),
        (UDIFF_NAME, UDIFF + udiff(segment="FO"), "holds the segment 'FO'"),
        (CM_NAME, b"PK\x03\x04 broken", "damaged or cut off"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    with pytest.raises(SourceError, match=says) as error:
        parse(tmp_path, name, content)
    assert str(error.value).startswith(name)


def test_a_file_under_any_name_is_dated_by_its_rows_or_held_to_the_session_asked_for(tmp_path: Path) -> None:
    assert parse(tmp_path, "monday.csv", CM + cm())[0]["session_date"][0] == date(2019, 1, 1)
    with pytest.raises(SourceError, match="its rows are of 2019-01-01, not of 2019-01-02"):
        parse(tmp_path, "monday.csv", CM + cm(), session=date(2019, 1, 2))


@pytest.mark.parametrize("extra", [{"serie": "EQ"}, {"main_series": "EQ,,BE"}, {"main_series": "EQ,eq"}])
def test_a_wrong_option_is_refused(tmp_path: Path, extra: dict[str, str]) -> None:
    with pytest.raises(SourceError, match=r"main_series"):
        parse(tmp_path, CM_NAME, CM + cm(), extra=extra)


def test_only_the_exchange_s_own_names_are_claimed() -> None:
    claims = NseBhavcopySource().claims
    assert all(claims(f"2024/{name}{packed}") for name in (CM_NAME, FULL_NAME, UDIFF_NAME) for packed in ("", ".zip"))
    assert not any(claims(name) for name in ("RELIANCE.csv", "cm01JAN2019bhav.pdf", "BhavCopy_NSE_FO_0_0_0_20241003_F_0000.csv"))


@pytest.mark.slow
@pytest.mark.measured
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["EQ", "BE", "BZ", "BL", "N1", ""])), min_size=1, max_size=12))
def test_every_row_comes_out_once_and_a_symbol_has_one_main_series(pairs: list[tuple[str, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        bars, others = parse(Path(folder), CM_NAME, CM + "".join(cm(symbol, series) for symbol, series in pairs))
    rows = sorted([*bars["row_number"], *others["row_number"]])
    assert rows == list(range(2, len(pairs) + 2))
    named = bars.filter(pl.col("series").is_not_null())
    assert (named.group_by("symbol").agg(pl.col("series").n_unique())["series"] == 1).all()
    assert set(named["series"]) <= {"EQ", "BE", "BZ"}


def test_another_exchange_s_udiff_is_refused_by_its_own_column(tmp_path: Path) -> None:
    assert parse(tmp_path, UDIFF_NAME, UDIFF + udiff())[0].height == 1
    with pytest.raises(SourceError, match=r"row 2, column Src: published by BSE, which is XBOM, not XNSE"):
        parse(tmp_path, UDIFF_NAME, UDIFF + udiff().replace(",NSE,", ",BSE,"))
