"""A ticker that passes to another company on a day which a person states: both are instruments of their own, in any order.

Companies, days and prices are made up.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.build.plan import plan_build
from pipelines.identity.ticker_transfers import SplitError, find_split
from pipelines.ingest.withdrawal import Withdrawal, withdraw

D1, D2, D3, D4 = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4), date(2024, 1, 5)
LATER = datetime(2025, 4, 1, 12, tzinfo=UTC)
NEW = "XNYS:TWICE:2024-01-04"


def daily(symbol: str, *days: date) -> list[tuple[object, ...]]:
    return [(symbol, day.isoformat(), 10, 11, 9, 10, day.day) for day in days]


@pytest.fixture
def files(pipeline, bars_csv):
    dividends = f"symbol,ex_date,action,amount\nTWICE,{D2},dividend,1\nTWICE,{D4},dividend,2\n"
    reuse = f"symbol,ex_date,action,successor,reason\nTWICE,{D3},ticker_reuse,,another company\n"
    return {
        "before": pipeline.deliver("a.csv", bars_csv(daily("TWICE", D1, D2))),
        "since": pipeline.deliver("b.csv", bars_csv(daily("TWICE", D3, D4))),
        "minutes": pipeline.deliver(
            "m.csv", bars_csv([("TWICE", f"{day} 09:3{n}", 10, 11, 9, 10, 5) for day in (D2, D3) for n in (0, 1)])
        ),
        "dividends": pipeline.deliver("actions.csv", dividends, source="actions"),
        "reuse": pipeline.deliver("actions_reuse.csv", reuse, source="actions", received_at=LATER),
    }


def holders(pipeline, table: str, day: str = "session_date") -> list[tuple[date, str]]:
    return sorted(pipeline.rows(table).select(day, "instrument_id").unique().rows())


def assert_parted(pipeline) -> None:
    assert holders(pipeline, "bars_daily") == [(D1, "XNYS:TWICE"), (D2, "XNYS:TWICE"), (D3, NEW), (D4, NEW)]
    assert holders(pipeline, "bars_1m") == [(D2, "XNYS:TWICE"), (D3, NEW)]
    assert holders(pipeline, "corporate_actions", "ex_date") == [(D2, "XNYS:TWICE"), (D4, NEW)]
    names = pipeline.rows("instrument_aliases").filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    assert {row[0]: row[1:] for row in names.select("instrument_id", "valid_from", "valid_to").rows()} == {
        "XNYS:TWICE": (D1, D2),
        NEW: (D3, None),
    }
    listed = pipeline.rows("instruments").select("instrument_id", "valid_from", "valid_to", "is_active")
    assert sorted(listed.rows()) == [("XNYS:TWICE", D1, D2, False), (NEW, D3, None, True)]
    assert pipeline.quarantined() == []


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize(
    "order",
    [
        ("before", "since", "minutes", "dividends", "reuse"),
        ("reuse", "before", "since", "minutes", "dividends"),
        ("before", "reuse", "dividends", "minutes", "since"),
        ("before+since+minutes+dividends+reuse",),
        ("before+since", "dividends+minutes", "reuse"),
    ],
    ids=" | ".join,
)
def test_a_ticker_used_again_is_two_instruments_in_any_order(pipeline, files, order) -> None:
    for step in order:
        pipeline.ingest(*(files[name] for name in step.split("+")))
    assert_parted(pipeline)


def ingest_all(pipeline, files) -> None:
    pipeline.ingest(*(files[name] for name in ("before", "since", "minutes", "dividends")))


@pytest.mark.slow
@pytest.mark.measured
def test_parting_is_a_restatement_of_both_instruments(pipeline, files) -> None:
    ingest_all(pipeline, files)
    built = plan_build(pipeline.lake, "XNYS", None).inputs
    pipeline.ingest(files["reuse"])
    moved = pipeline.rows("bars_daily").filter(pl.col("instrument_id") == NEW)
    assert set(moved["known_at"]) == {LATER}
    kept = pipeline.rows("bars_daily_superseded")
    assert set(kept["instrument_id"]) == {"XNYS:TWICE"}
    assert set(kept["superseded_at"]) == {LATER}
    plan = plan_build(pipeline.lake, "XNYS", built)
    assert dict(plan.daily.select("instrument_id", "to_session").rows()) == {"XNYS:TWICE": D4, NEW: D4}
    assert plan.daily["from_session"].max() <= D3


@pytest.mark.slow
@pytest.mark.measured
def test_a_parting_that_is_withdrawn_is_one_history_again(pipeline, files) -> None:
    ingest_all(pipeline, files)
    days = {"bars_daily": "session_date", "corporate_actions": "ex_date"}
    before = {name: holders(pipeline, name, day) for name, day in days.items()}
    pipeline.ingest(files["reuse"])
    withdraw(pipeline.lake, "XNYS", Withdrawal(files["reuse"].batch_id, "it was one company", "tester", LATER))
    assert {name: holders(pipeline, name, day) for name, day in days.items()} == before
    assert holders(pipeline, "bars_1m") == [(D2, "XNYS:TWICE"), (D3, "XNYS:TWICE")]
    active = pipeline.rows("instruments").filter("is_active")
    assert active["instrument_id"].to_list() == ["XNYS:TWICE"]


def test_the_new_instrument_may_have_a_name_of_its_own(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("a.csv", bars_csv(daily("TWICE", D1, D3))))
    pipeline.ingest(
        pipeline.deliver("actions.csv", f"symbol,ex_date,action,successor\nTWICE,{D3},ticker_reuse,SECOND\n", source="actions")
    )
    assert holders(pipeline, "bars_daily") == [(D1, "XNYS:TWICE"), (D3, "XNYS:SECOND")]


def test_what_cannot_be_parted_says_why(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("a.csv", bars_csv([*daily("TWICE", D1, D3), *daily("OTHER", D1)])))
    pipeline.ingest(pipeline.deliver("map_files/told.csv", "20200102,told,N\n20501231,told,N\n", source="lean"))
    for symbol, day, name, says in (
        ("NONE", D3, None, "no instrument of XNYS has the ticker NONE"),
        ("TWICE", D1, None, "no bars of TWICE before 2024-01-02"),
        ("TWICE", D4, None, "no bars of TWICE from 2024-01-05 on"),
        ("TWICE", D3, "O THER", "cannot name an instrument"),
        ("TWICE", D3, "OTHER", "XNYS:OTHER is an instrument already"),
        ("TOLD", D3, None, "ticker history on record"),
    ):
        with pytest.raises(SplitError, match=says):
            find_split(pipeline.lake, "XNYS", symbol, day, name)
    assert find_split(pipeline.lake, "XNYS", "twice", D3, None).new_id == NEW


def test_a_share_with_one_isin_is_not_parted(pipeline) -> None:
    header = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
    for day in (D1, D3):
        line = f"TWICE,EQ,10,11,10,10.5,10,10,{100 + day.day},,{day:%d-%b-%Y},7,INE933K01021,\n"
        pipeline.ingest(pipeline.deliver(f"cm{day:%d%b%Y}bhav.csv", header + line, source="nse_bhavcopy", mic="XNSE"))
    with pytest.raises(SplitError, match="ISIN INE933K01021"):
        find_split(pipeline.lake, "XNSE", "TWICE", D3, None)
    reuse = pipeline.deliver("actions.csv", f"symbol,ex_date,action\nTWICE,{D3},ticker_reuse\n", source="actions", mic="XNSE")
    pipeline.ingest(reuse)
    assert pipeline.quarantined("XNSE") == [("instrument_aliases", "identity_ambiguous")]
    assert set(pipeline.rows("bars_daily", "XNSE")["instrument_id"]) == {"XNSE:TWICE"}
