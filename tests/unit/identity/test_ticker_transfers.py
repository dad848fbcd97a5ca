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
def files(road, bars_csv):
    dividends = f"symbol,ex_date,action,amount\nTWICE,{D2},dividend,1\nTWICE,{D4},dividend,2\n"
    reuse = f"symbol,ex_date,action,successor,reason\nTWICE,{D3},ticker_reuse,,another company\n"
    return {
        "before": road.deliver("a.csv", bars_csv(daily("TWICE", D1, D2))),
        "since": road.deliver("b.csv", bars_csv(daily("TWICE", D3, D4))),
        "minutes": road.deliver(
            "m.csv", bars_csv([("TWICE", f"{day} 09:3{n}", 10, 11, 9, 10, 5) for day in (D2, D3) for n in (0, 1)])
        ),
        "dividends": road.deliver("actions.csv", dividends, source="actions"),
        "reuse": road.deliver("actions_reuse.csv", reuse, source="actions", received_at=LATER),
    }


def holders(road, table: str, day: str = "session_date") -> list[tuple[date, str]]:
    return sorted(road.rows(table).select(day, "instrument_id").unique().rows())


def assert_parted(road) -> None:
    assert holders(road, "bars_daily") == [(D1, "XNYS:TWICE"), (D2, "XNYS:TWICE"), (D3, NEW), (D4, NEW)]
    assert holders(road, "bars_1m") == [(D2, "XNYS:TWICE"), (D3, NEW)]
    assert holders(road, "corporate_actions", "ex_date") == [(D2, "XNYS:TWICE"), (D4, NEW)]
    names = road.rows("instrument_aliases").filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    assert {row[0]: row[1:] for row in names.select("instrument_id", "valid_from", "valid_to").rows()} == {
        "XNYS:TWICE": (D1, D2),
        NEW: (D3, None),
    }
    listed = road.rows("instruments").select("instrument_id", "valid_from", "valid_to", "is_active")
    assert sorted(listed.rows()) == [("XNYS:TWICE", D1, D2, False), (NEW, D3, None, True)]
    assert road.quarantined() == []


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
def test_a_ticker_used_again_is_two_instruments_in_any_order(road, files, order) -> None:
    for step in order:
        road.ingest(*(files[name] for name in step.split("+")))
    assert_parted(road)


def ingest_all(road, files) -> None:
    road.ingest(*(files[name] for name in ("before", "since", "minutes", "dividends")))


def test_parting_is_a_restatement_of_both_instruments(road, files) -> None:
    ingest_all(road, files)
    built = plan_build(road.lake, "XNYS", None).inputs
    road.ingest(files["reuse"])
    moved = road.rows("bars_daily").filter(pl.col("instrument_id") == NEW)
    assert set(moved["known_at"]) == {LATER}
    kept = road.rows("bars_daily_superseded")
    assert set(kept["instrument_id"]) == {"XNYS:TWICE"}
    assert set(kept["superseded_at"]) == {LATER}
    plan = plan_build(road.lake, "XNYS", built)
    assert dict(plan.daily.select("instrument_id", "to_session").rows()) == {"XNYS:TWICE": D4, NEW: D4}
    assert plan.daily["from_session"].max() <= D3


def test_a_parting_that_is_withdrawn_is_one_history_again(road, files) -> None:
    ingest_all(road, files)
    days = {"bars_daily": "session_date", "corporate_actions": "ex_date"}
    before = {name: holders(road, name, day) for name, day in days.items()}
    road.ingest(files["reuse"])
    withdraw(road.lake, "XNYS", Withdrawal(files["reuse"].batch_id, "it was one company", "tester", LATER))
    assert {name: holders(road, name, day) for name, day in days.items()} == before
    assert holders(road, "bars_1m") == [(D2, "XNYS:TWICE"), (D3, "XNYS:TWICE")]
    active = road.rows("instruments").filter("is_active")
    assert active["instrument_id"].to_list() == ["XNYS:TWICE"]


def test_the_new_instrument_may_have_a_name_of_its_own(road, bars_csv) -> None:
    road.ingest(road.deliver("a.csv", bars_csv(daily("TWICE", D1, D3))))
    road.ingest(road.deliver("actions.csv", f"symbol,ex_date,action,successor\nTWICE,{D3},ticker_reuse,SECOND\n", source="actions"))
    assert holders(road, "bars_daily") == [(D1, "XNYS:TWICE"), (D3, "XNYS:SECOND")]


def test_what_cannot_be_parted_says_why(road, bars_csv) -> None:
    road.ingest(road.deliver("a.csv", bars_csv([*daily("TWICE", D1, D3), *daily("OTHER", D1)])))
    road.ingest(road.deliver("map_files/told.csv", "20200102,told,N\n20501231,told,N\n", source="lean"))
    for symbol, day, name, says in (
        ("NONE", D3, None, "no instrument of XNYS has the ticker NONE"),
        ("TWICE", D1, None, "no bars of TWICE before 2024-01-02"),
        ("TWICE", D4, None, "no bars of TWICE from 2024-01-05 on"),
        ("TWICE", D3, "O THER", "cannot name an instrument"),
        ("TWICE", D3, "OTHER", "XNYS:OTHER is an instrument already"),
        ("TOLD", D3, None, "ticker history on record"),
    ):
        with pytest.raises(SplitError, match=says):
            find_split(road.lake, "XNYS", symbol, day, name)
    assert find_split(road.lake, "XNYS", "twice", D3, None).new_id == NEW


def test_a_share_with_one_isin_is_not_parted(road) -> None:
    header = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
    for day in (D1, D3):
        line = f"TWICE,EQ,10,11,10,10.5,10,10,{100 + day.day},,{day:%d-%b-%Y},7,INE933K01021,\n"
        road.ingest(road.deliver(f"cm{day:%d%b%Y}bhav.csv", header + line, source="nse_bhavcopy", mic="XNSE"))
    with pytest.raises(SplitError, match="ISIN INE933K01021"):
        find_split(road.lake, "XNSE", "TWICE", D3, None)
    reuse = road.deliver("actions.csv", f"symbol,ex_date,action\nTWICE,{D3},ticker_reuse\n", source="actions", mic="XNSE")
    road.ingest(reuse)
    assert road.quarantined("XNSE") == [("instrument_aliases", "identity_ambiguous")]
    assert set(road.rows("bars_daily", "XNSE")["instrument_id"]) == {"XNSE:TWICE"}
