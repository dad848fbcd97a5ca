"""NSE's futures and options, both layouts."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.sources.nse_derivatives import NseDerivativesSource
from pipelines.sources.protocol import ParseOptions, RawFile, SourceError

OLD_HEAD = (
    "INSTRUMENT,SYMBOL,EXPIRY_DT,STRIKE_PR,OPTION_TYP,OPEN,HIGH,LOW,CLOSE,SETTLE_PR,CONTRACTS,VAL_INLAKH,"
    "OPEN_INT,CHG_IN_OI,TIMESTAMP,\n"
)
OLD = (
    # A lot of 50: 10 lots at about 20,000 are 10,000,000 rupees, 100 lakhs.
    "FUTIDX,NIFTY,25-Jan-2024,0,XX,20000,20100,19900,20000,20000,10,100,1500,50,03-JAN-2024,\n"
    "OPTIDX,NIFTY,25-Jan-2024,20000,CE,100,120,90,110,110,4,40.21,2500,-100,03-JAN-2024,\n"
    "OPTIDX,NIFTY,25-Jan-2024,25000,PE,0,0,0,4800,4800,0,0,0,0,03-JAN-2024,\n"
    "FUTSTK,ODD,25-Jan-2024,0,XX,10,11,9,10,10,5,7,17,0,03-JAN-2024,\n"
)
UDIFF_HEAD = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,OptnTp,FinInstrmNm,"
    "OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,ChngInOpnIntrst,TtlTradgVol,TtlTrfVal,"
    "TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4\n"
)


def udiff(
    kind="IDF", symbol="NIFTY", strike="", option="", volume="500", source="NSE", segment="FO", prices="20000,20100,19900,20000"
):
    return (
        f"2024-07-08,2024-07-08,{segment},{source},{kind},1,,{symbol},,2024-07-25,2024-07-25,{strike},{option},NAME,{prices},20000,"
        f"19950,20000,20000,1500,50,{volume},10000000,77,F1,50,,,,,\n"
    )


def parse(folder: Path, content: str, name: str = "fo03JAN2024bhav.csv") -> pl.DataFrame:
    (folder / "received").write_text(content)
    (table,) = NseDerivativesSource().parse(RawFile(folder / "received", name, ""), ParseOptions("XNSE", "Asia/Kolkata"))
    assert table.table == "bars_other_series"
    return table.frame


def test_contracts_of_the_old_layout_are_named_and_counted_in_units(tmp_path: Path) -> None:
    frame = parse(tmp_path, OLD_HEAD + OLD)
    assert frame.select("row_number", "symbol", "series", "volume", "close").rows()[:2] == [
        (2, "NIFTY", "IDF 2024-01-25", 500.0, 20000.0),
        (3, "NIFTY", "IDO 2024-01-25 20000 CE", 200.0, 110.0),
    ]
    assert frame["session_date"].unique().to_list() == [date(2024, 1, 3)]
    assert frame.select("row_number", "parse_problem").row(2) == (
        *(5, "volume: the size of the lot is not told by open interest and turnover"),
    )


def test_udiff_has_units_and_the_same_names(tmp_path: Path) -> None:
    name = "BhavCopy_NSE_FO_0_0_0_20240708_F_0000.csv"
    rows = udiff() + udiff("STO", "SBIN", "812.50", "PE", "1500", prices="10,12,9,11") + udiff(volume="0", prices="0,0,0,20000")
    frame = parse(tmp_path, UDIFF_HEAD + rows, name)
    assert frame.select("symbol", "series", "volume", "trades", "prev_close").rows() == [
        ("NIFTY", "IDF 2024-07-25", 500.0, 77.0, 19950.0),
        ("SBIN", "STO 2024-07-25 812.5 PE", 1500.0, 77.0, 19950.0),
    ]
    for content, says in (
        (udiff(source="BSE"), "published by BSE, which is XBOM, not XNSE"),
        (udiff(segment="CM"), "holds the segment 'CM', not FO"),
    ):
        with pytest.raises(SourceError, match=says):
            parse(tmp_path, UDIFF_HEAD + content, name)
    with pytest.raises(SourceError, match="rows are of 2024-07-08, not of 2024-07-09"):
        parse(tmp_path, UDIFF_HEAD + rows, name.replace("0708", "0709"))


def test_contracts_stand_beside_the_bars_and_every_row_is_accounted_for(pipeline) -> None:
    delivery = pipeline.deliver("fo03JAN2024bhav.csv", OLD_HEAD + OLD, source="nse_derivatives", mic="XNSE")
    figures = pipeline.ingest(delivery)["bars_other_series"]
    assert figures == {"read": 3, "accepted": 2, "unchanged": 0, "restated": 0, "duplicates": 0, "quarantined": 1}
    assert pipeline.quarantined("XNSE") == [("bars_other_series", "unreadable_field")]
    assert pipeline.rows("bars_daily", "XNSE").is_empty()
