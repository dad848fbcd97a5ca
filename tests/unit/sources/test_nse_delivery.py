"""NSE's delivery positions complete the bars of their day."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.sources.nse_delivery import NseDeliverySource
from pipelines.sources.protocol import ParseOptions, RawFile, SourceError

NAME = "MTO_03012024.DAT"
ROWS = ("20,1,AAA,EQ,1000,400,40.00", "20,2,AAA,BL,50,50,100.00", "20,3,NEW,EQ,10,10,100.00")
BARS = (
    "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
    "AAA,EQ,10,11,10,10.5,10.6,9.9,1000,10500,03-JAN-2024,7,INE000A01014,\n"
    "AAA,BL,10,10,10,10,10,9.9,50,500,03-JAN-2024,1,INE000A01014,\n"
)


def mto(*rows: str, promised: int | None = None, day: str = "03012024") -> str:
    count = len(rows) if promised is None else promised
    head = f"Security Wise Delivery Position - Compulsory Rolling Settlement\n10,MTO,{day},471778636,{count:07}\n"
    names = (
        "Trade Date <03-JAN-2024>,Settlement Type <N>\nRecord Type,Sr No,Name of Security,Quantity Traded,Deliverable Quantity,%\n"
    )
    return head + names + "".join(f"{row}\n" for row in rows)


def parse(folder: Path, content: str, name: str = NAME):
    (folder / "received").write_text(content)
    return NseDeliverySource().parse(RawFile(folder / "received", name, ""), ParseOptions("XNSE", "Asia/Kolkata"))


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (mto(*ROWS, promised=1790), NAME, "promises 1,790 records and holds 3; it is cut off"),
        (mto(*ROWS)[:-30], NAME, "promises 3 records and holds|stops"),
        (mto(*ROWS), "MTO_04012024.DAT", "rows are of 2024-01-03, not of 2024-01-04"),
        ("a,b\n1,2\n", NAME, "no delivery file of NSE"),
        (mto(*ROWS, day="99999999"), NAME, "'99999999' is no date"),
    ],
)
def test_a_cut_or_other_file_is_refused(tmp_path: Path, content: str, name: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        parse(tmp_path, content, name)


@pytest.mark.parametrize("together", [True, False])
def test_delivered_units_complete_the_bar_of_share_series_and_day(pipeline, together: bool) -> None:
    bars = pipeline.deliver("cm03JAN2024bhav.csv", BARS, source="nse_bhavcopy", mic="XNSE")
    positions = pipeline.deliver(NAME, mto(*ROWS), source="nse_delivery", mic="XNSE")
    if together:
        figures = pipeline.ingest(bars, positions)
        assert figures["bars_daily"]["duplicates"] == 1
    else:
        pipeline.ingest(bars)
        figures = pipeline.ingest(positions)
        assert figures["bars_daily"]["restated"] == 1
    (bar,) = pipeline.rows("bars_daily", "XNSE").to_dicts()
    assert (bar["close"], bar["volume"], bar["trades"], bar["delivery_qty"]) == (10.5, 1000, 7, 400)
    (other,) = pipeline.rows("bars_other_series", "XNSE").to_dicts()
    assert (other["series"], other["close"], other["delivery_qty"]) == ("BL", 10.0, 50)
    (held,) = pipeline.rows("quarantine", "XNSE").to_dicts()
    assert "no bar of the share, series and day to complete" in held["reason"]
    for table in ("bars_daily", "bars_other_series"):
        assert figures[table]["read"] == sum(count for verb, count in figures[table].items() if verb != "read")
