"""Two files of one NSE session that complete each other: the one has deliveries, the other ISINs and turnover to the rupee."""

from datetime import UTC, datetime

import pytest

FULL = (
    "SYMBOL, SERIES, DATE1, PREV_CLOSE, OPEN_PRICE, HIGH_PRICE, LOW_PRICE, LAST_PRICE, CLOSE_PRICE, AVG_PRICE, TTL_TRD_QNTY, "
    "TURNOVER_LACS, NO_OF_TRADES, DELIV_QTY, DELIV_PER\n"
)
UDIFF = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,OptnTp,FinInstrmNm,"
    "OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,ChngInOpnIntrst,TtlTradgVol,TtlTrfVal,"
    "TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4\n"
)
ISIN = "INE000A01014"
LATER = datetime(2025, 4, 1, tzinfo=UTC)


def full(pipeline, close: str = "10.50"):
    line = f"ACME, EQ, 03-Oct-2024, 9.90, 10.00, 11.00, 10.00, 10.60, {close}, 10.50, 100000, 10.50, 7, 400, 40\n"
    return pipeline.deliver("sec_bhavdata_full_03102024.csv", FULL + line, source="nse_bhavcopy", mic="XNSE")


def udiff(pipeline, close: str = "10.50", arrived: datetime = LATER):
    line = (
        f"2024-10-03,2024-10-03,CM,NSE,STK,1,{ISIN},ACME,EQ,,,,,ACME LIMITED,10.00,11.00,10.00,{close},10.60,9.90,,10.50,,,"
        "100000,1050123.25,7,F1,1,,,,,\n"
    )
    name = "BhavCopy_NSE_CM_0_0_0_20241003_F_0000.csv"
    return pipeline.deliver(name, UDIFF + line, source="nse_bhavcopy", mic="XNSE", received_at=arrived)


def bar(pipeline) -> tuple[object, ...]:
    return pipeline.rows("bars_daily", "XNSE").select("close", "trades", "delivery_qty").row(0)


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("way", ["full, then udiff", "udiff, then full", "together"])
def test_whatever_comes_first_the_bar_has_deliveries_and_the_share_its_isin(pipeline, way: str) -> None:
    one, two = full(pipeline), udiff(pipeline)
    orders = {"full, then udiff": [[one], [two]], "udiff, then full": [[two], [one]], "together": [[one, two]]}[way]
    for order in orders:
        pipeline.ingest(*order)
    assert bar(pipeline) == (10.5, 7, 400)
    assert pipeline.rows("bars_daily", "XNSE").height == 1
    assert pipeline.quarantined("XNSE") == []
    assert pipeline.rows("instruments", "XNSE").select("instrument_id", "isin").rows() == [("XNSE:ACME", ISIN)]
    # Either again changes nothing.
    versions = [pipeline.table(name, "XNSE").version() for name in ("bars_daily", "instruments", "instrument_aliases")]
    assert pipeline.ingest(one)["bars_daily"]["unchanged"] == 1
    assert pipeline.ingest(two)["bars_daily"]["unchanged"] == 1
    assert [pipeline.table(name, "XNSE").version() for name in ("bars_daily", "instruments", "instrument_aliases")] == versions


def test_what_is_filled_in_is_a_restatement_known_from_its_arrival(pipeline) -> None:
    pipeline.ingest(udiff(pipeline))
    figures = pipeline.ingest(full(pipeline))["bars_daily"]
    assert (figures["restated"], figures["unchanged"], figures["quarantined"]) == (1, 0, 0)
    was = pipeline.rows("bars_daily_superseded", "XNSE")
    assert was.select("delivery_qty", "superseded_at").rows() == [(None, pipeline.rows("bars_daily", "XNSE")["known_at"][0])]


def test_a_row_that_says_otherwise_restates_and_what_it_lacks_stays(pipeline) -> None:
    pipeline.ingest(full(pipeline))
    figures = pipeline.ingest(udiff(pipeline, close="10.80"))["bars_daily"]
    assert figures["restated"] == 1
    assert bar(pipeline) == (10.8, 7, 400)


def test_in_one_delivery_rows_that_contradict_are_both_set_aside(pipeline) -> None:
    one = full(pipeline)
    pipeline.ingest(one, udiff(pipeline, close="10.80", arrived=one.received_at))
    assert pipeline.quarantined("XNSE") == [("bars_daily", "conflicting_duplicate")] * 2


def test_of_two_deliveries_replayed_together_the_later_stands(pipeline) -> None:
    pipeline.ingest(full(pipeline), udiff(pipeline, close="10.80"))
    assert bar(pipeline)[0] == 10.8
    assert pipeline.quarantined("XNSE") == []


def test_a_turnover_beyond_the_rounding_of_lakhs_contradicts(pipeline, monkeypatch) -> None:
    monkeypatch.setattr("pipelines.quality.duplicates.ROUNDED", {"turnover": 100.0})
    one = full(pipeline)
    pipeline.ingest(one, udiff(pipeline, arrived=one.received_at))
    assert len(pipeline.quarantined("XNSE")) == 2
    assert pipeline.rows("bars_daily", "XNSE").is_empty()
