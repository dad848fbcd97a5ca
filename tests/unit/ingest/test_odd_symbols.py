"""One odd symbol costs its own rows and nothing else; bars and their instruments go in together or not at all."""

from datetime import date

import polars as pl
import pytest

from pipelines.ingest.publish import MissingInstrumentsError, publish_staged, run_gate
from pipelines.sources.registry import load_sources
from tests.support.pipeline import stage_request

ODD = {
    "a blank": "BRK B",
    "a quote": 'BRK"B',
    "an apostrophe": "BRK'B",
    "a byte order mark": "\ufeffBRK",
    "a bidirectional mark": "BRK\u202eB",
    "a soft hyphen": "BRK\u00adB",
    "letters beyond ASCII": "ÅBRK",
    "a control character": "BRK\x07",
    "a bracket": "[RED]BRK",
    "a copy's name": "BRK (2)",
    "five thousand letters": "B" * 5000,
    "a leading dot": ".BRK",
}


@pytest.mark.parametrize("symbol", ODD.values(), ids=ODD)
def test_rows_of_an_odd_symbol_are_set_aside_and_the_others_have_bars_and_instruments(pipeline, bars_csv, symbol: str) -> None:
    good = [(name, "2024-01-02", 10, 11, 9, 10, 100) for name in ("AAPL", "M&M", "BAJAJ-AUTO", "^SPX", "BRK.B")]
    figures = pipeline.ingest(pipeline.deliver("day.csv", bars_csv([*good, (symbol, "2024-01-02", 10, 11, 9, 10, 100)])))

    assert (figures["bars_daily"]["accepted"], figures["bars_daily"]["quarantined"]) == (5, 1)
    assert pipeline.quarantined() == [("bars_daily", "malformed_symbol")]
    assert set(pipeline.rows("instruments")["symbol"]) == set(pipeline.rows("bars_daily")["symbol"]) == {row[0] for row in good}
    assert set(pipeline.rows("instrument_aliases")["value"]) == {row[0] for row in good}


def test_minutes_of_an_odd_file_name_are_set_aside(pipeline) -> None:
    text = "date,open,high,low,close,volume\n2024-01-02 09:30,10,11,9,10,100\n"
    staged = pipeline.stage(pipeline.deliver("IBM (2).csv", text, symbol="IBM (2)"))
    assert staged.tables["bars_1m"].is_empty()
    assert staged.tables["instruments"].is_empty()
    assert staged.quarantine["rule"].to_list() == ["malformed_symbol"]


def test_an_action_or_a_rename_with_an_odd_ticker_makes_no_name(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("day.csv", bars_csv([("OLD", "2024-01-02", 10, 11, 9, 10, 100)])))
    text = (
        "symbol,ex_date,action,ratio,amount,successor\n"
        "OLD,2024-01-10,rename,,,NEW CO\nOLD,2024-01-11,split,2,,\nTWO X,2024-01-11,split,2,,\n"
    )
    figures = pipeline.ingest(pipeline.deliver("actions.csv", text, source="actions"))

    assert pipeline.rows("corporate_actions")["instrument_id"].to_list() == ["XNYS:OLD"]
    assert pipeline.rows("instrument_aliases").select("value", "valid_to").rows() == [("OLD", None)]
    assert pipeline.quarantined() == [
        ("corporate_actions", "malformed_symbol"),
        ("corporate_actions", "malformed_symbol"),
        ("instrument_aliases", "malformed_symbol"),
    ]
    assert figures["instrument_aliases"]["read"] == figures["instrument_aliases"]["quarantined"] == 1


@pytest.mark.slow
@pytest.mark.measured
def test_the_instrument_of_a_refused_session_stays_out_with_its_bars(pipeline, bars_csv) -> None:
    rows = [
        ("BOTH", "2024-01-02", 1.1e7, 1.1e7, 1.1e7, 1.1e7, 1),
        ("ONLY", "2024-01-02", 10, 11, 9, 10, 1),
        ("BOTH", "2024-01-03", 9e6, 9e6, 9e6, 9e6, 1),
    ]
    delivery = pipeline.deliver("bars.csv", bars_csv(rows))
    pipeline.ingest(delivery)
    pipeline.ingest(delivery)

    assert pipeline.rows("bars_daily")["instrument_id"].to_list() == ["XNYS:BOTH"]
    assert pipeline.rows("instruments").select("instrument_id", "valid_from").rows() == [("XNYS:BOTH", date(2024, 1, 3))]
    assert pipeline.rows("instrument_aliases")["value"].to_list() == ["BOTH"]


def test_an_instrument_that_refused_bars_alone_show_is_held_back_in_the_run_that_refuses_them(pipeline, bars_csv) -> None:
    rows = [("HUGE", "2024-01-02", 1.1e7, 1.1e7, 1.1e7, 1.1e7, 1), ("FINE", "2024-01-03", 10, 11, 9, 10, 1)]
    folder = stage_request(
        pipeline.lake,
        pipeline.order(pipeline.deliver("bars.csv", bars_csv(rows))),
        load_sources(),
        pipeline.settings.state_dir,
        pipeline.limits,
    )
    state = pipeline.settings.state_dir
    validation = run_gate(pipeline.lake, "XNYS", "instruments", folder, state)

    assert [(w.session, w.table, w.name) for w in validation.withheld] == [(date(2024, 1, 2), "bars_daily", "prices_are_bounded")]
    publish_staged(pipeline.lake, "XNYS", "instruments", folder, state, {"csv": 10})
    assert pipeline.rows("instruments")["symbol"].to_list() == ["FINE"]


def test_bars_are_not_published_before_their_instruments(pipeline, bars_csv) -> None:
    order = pipeline.order(pipeline.deliver("bars.csv", bars_csv([("AAPL", "2024-01-02", 10, 11, 9, 10, 1)])))
    state = pipeline.settings.state_dir
    folder = stage_request(pipeline.lake, order, load_sources(), state, pipeline.limits)
    for table in ("instruments", "bars_daily"):
        run_gate(pipeline.lake, "XNYS", table, folder, state)
    with pytest.raises(MissingInstrumentsError, match=r"XNYS:AAPL.*publish instruments first"):
        publish_staged(pipeline.lake, "XNYS", "bars_daily", folder, state, {"csv": 10})
    assert pipeline.table("bars_daily").version() is None

    publish_staged(pipeline.lake, "XNYS", "instruments", folder, state, {"csv": 10})
    assert publish_staged(pipeline.lake, "XNYS", "bars_daily", folder, state, {"csv": 10}).accepted == 1


@pytest.mark.slow
@pytest.mark.measured
def test_a_refused_session_takes_the_other_tables_of_its_delivery_along_and_no_other_delivery(pipeline) -> None:
    """A bhavcopy whose shares are scaled is no source of its debt either; minutes of another file are none of its business."""
    head = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
    text = (
        head
        + "HUGE,EQ,20000000,20000000,20000000,20000000,20000000,20000000,5,,03-JAN-2019,7,,\n"
        + "HUGE,N1,10,11,10,10.5,10,10,5,,03-JAN-2019,7,,\n"
    )
    bhavcopy = pipeline.deliver("cm03JAN2019bhav.csv", text, source="nse_bhavcopy", mic="XNSE")
    minutes = "symbol,date,open,high,low,close,volume\nFINE,2019-01-03 09:15,10,11,9,10,1\n"
    figures = pipeline.ingest(bhavcopy, pipeline.deliver("minutes.csv", minutes, mic="XNSE"))

    assert pipeline.rows("bars_daily", "XNSE").is_empty()
    assert pipeline.rows("bars_other_series", "XNSE").is_empty()
    assert pipeline.quarantined("XNSE") == [
        ("bars_daily", "session_refused:prices_are_bounded"),
        ("bars_other_series", "session_refused:prices_are_bounded"),
    ]
    assert figures["bars_other_series"]["quarantined"] == 1
    reason = pipeline.rows("quarantine", "XNSE").filter(pl.col("table_name") == "bars_other_series")["reason"].item()
    assert "bars_daily" in reason
    assert pipeline.rows("bars_1m", "XNSE")["symbol"].to_list() == ["FINE"]
    assert pipeline.rows("instruments", "XNSE")["symbol"].to_list() == ["FINE"]
