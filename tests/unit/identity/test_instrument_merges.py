"""A link that comes after the bars: two identities become one history, as if the link had come first.

Companies, days and prices are made up; every expected row is what the same files give when the link comes first.
"""

from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.build.plan import plan_build
from pipelines.storage.delta import LakeTable
from tests.support.suites import no_expectations

D1, D2, D3, D4 = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4), date(2024, 1, 5)
LATER = datetime(2025, 4, 1, 12, tzinfo=UTC)
HEADER = "symbol,ex_date,action,successor\n"
ISIN, OTHER_ISIN = "INE933K01021", "INE538A01037"
CM = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"


def bars(days: dict[date, str]) -> list[tuple[object, ...]]:
    return [(symbol, day.isoformat(), 10, 11, 9, 10, day.day) for day, symbol in days.items()]


def minute(symbol: str, day: date) -> tuple[object, ...]:
    return (symbol, f"{day} 09:30", 10, 11, 9, 10, 5)


def rename(road, old: str, new: str, day: date, **options):
    content = f"{HEADER}{old},{day},rename,{new}\n"
    return road.deliver(f"actions_{old}_{new}.csv", content, source="actions", received_at=LATER, **options)


def owners(road, table: str = "bars_daily", mic: str = "XNYS") -> list[tuple[date, str, str]]:
    return sorted(road.rows(table, mic).select("session_date", "symbol", "instrument_id").rows())


def active(road, mic: str = "XNYS") -> dict[str, bool]:
    rows = road.rows("instruments", mic).group_by("instrument_id").agg(pl.col("is_active").any())
    return dict(rows.rows())


@pytest.fixture(scope="module")
def told_apart(module_road, bars_csv):
    """OLD until 3 January, NEW from the 4th, daily and by the minute, each with an identity of its own; and a dividend of NEW."""
    road = replace(module_road, suite=no_expectations)
    road.ingest(road.deliver("d.csv", bars_csv(bars({D1: "OLD", D2: "OLD", D3: "NEW", D4: "NEW"}))))
    road.ingest(road.deliver("m.csv", bars_csv([minute("OLD", D2), minute("NEW", D3)])))
    road.ingest(road.deliver("actions.csv", f"symbol,ex_date,action,amount\nNEW,{D4},dividend,1\n", source="actions"))
    assert {owner for *_, owner in owners(road)} == {"XNYS:OLD", "XNYS:NEW"}
    return road


@pytest.fixture
def split_in_two(told_apart, road):
    return road.go_on_from(told_apart)


def test_a_rename_told_late_makes_one_history_of_bars_minutes_and_actions(split_in_two) -> None:
    road = split_in_two
    road.ingest(rename(road, "OLD", "NEW", D3))
    assert owners(road) == [(D1, "OLD", "XNYS:OLD"), (D2, "OLD", "XNYS:OLD"), (D3, "NEW", "XNYS:OLD"), (D4, "NEW", "XNYS:OLD")]
    assert owners(road, "bars_1m") == [(D2, "OLD", "XNYS:OLD"), (D3, "NEW", "XNYS:OLD")]
    assert set(road.rows("corporate_actions")["instrument_id"]) == {"XNYS:OLD"}
    assert active(road) == {"XNYS:OLD": True, "XNYS:NEW": False}
    assert road.rows("instruments").filter(pl.col("is_active"))["symbol"].to_list() == ["NEW"]
    names = road.rows("instrument_aliases").filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    assert names.sort("valid_from").select("instrument_id", "value", "valid_from", "valid_to").rows() == [
        ("XNYS:OLD", "OLD", D1, D2),
        ("XNYS:OLD", "NEW", D3, None),
    ]


def test_moved_rows_are_a_restatement_and_stay_readable_as_they_were(split_in_two) -> None:
    road = split_in_two
    before = road.rows("bars_daily").filter(pl.col("instrument_id") == "XNYS:NEW")
    road.ingest(rename(road, "OLD", "NEW", D3))
    kept = road.rows("bars_daily_superseded")
    assert kept.select(before.columns).sort("session_date").equals(before.sort("session_date"))
    assert set(kept["superseded_at"]) == {LATER}
    moved = road.rows("bars_daily").filter(pl.col("session_date") >= D3)
    assert set(moved["known_at"]) == {LATER}
    # Where they were read stays what it was.
    assert set(moved["batch_id"]) == set(before["batch_id"])


def test_both_identities_are_rebuilt(split_in_two) -> None:
    road = split_in_two
    built = plan_build(road.lake, "XNYS", None).inputs
    road.ingest(rename(road, "OLD", "NEW", D3))
    plan = plan_build(road.lake, "XNYS", built)
    assert plan.daily.select("instrument_id", "from_session", "to_session").rows() == [("XNYS:NEW", D3, D4), ("XNYS:OLD", D3, D4)]
    assert plan.minute.select("instrument_id", "from_session", "to_session").rows() == [("XNYS:NEW", D3, D3), ("XNYS:OLD", D3, D3)]


def test_the_same_rename_again_and_the_bars_again_change_nothing(split_in_two, bars_csv) -> None:
    road = split_in_two
    late = rename(road, "OLD", "NEW", D3)
    road.ingest(late)
    tables = ("bars_daily", "bars_1m", "bars_daily_superseded", "corporate_actions", "instruments", "instrument_aliases")
    versions = {name: road.table(name).version() for name in tables}
    road.ingest(late)
    again = road.ingest(road.deliver("d.csv", bars_csv(bars({D1: "OLD", D2: "OLD", D3: "NEW", D4: "NEW"}))))
    assert again["bars_daily"]["unchanged"] == 4
    assert {name: road.table(name).version() for name in tables} == versions


@pytest.mark.parametrize("stops_after", ["instruments", "instrument_aliases", "corporate_actions", "bars_daily"])
def test_an_interrupted_move_is_completed_by_the_same_order(split_in_two, monkeypatch, stops_after: str) -> None:
    road = split_in_two
    late = rename(road, "OLD", "NEW", D3)
    commit = LakeTable.update_in_parts

    def failing(table, change, metadata):
        version = commit(table, change, metadata)
        if table.schema.name == stops_after:
            raise OSError("the machine stops here")
        return version

    with monkeypatch.context() as patch:
        patch.setattr(LakeTable, "update_in_parts", failing)
        with pytest.raises(OSError, match="stops here"):
            road.ingest(late)
    road.ingest(late)
    assert {owner for *_, owner in owners(road)} == {"XNYS:OLD"}
    assert {owner for *_, owner in owners(road, "bars_1m")} == {"XNYS:OLD"}
    assert set(road.rows("corporate_actions")["instrument_id"]) == {"XNYS:OLD"}
    assert active(road) == {"XNYS:OLD": True, "XNYS:NEW": False}


def test_later_bars_under_the_new_ticker_join_the_history(split_in_two, bars_csv) -> None:
    road = split_in_two
    road.ingest(rename(road, "OLD", "NEW", D3))
    figures = road.ingest(road.deliver("more.csv", bars_csv(bars({date(2024, 1, 8): "NEW"}))))
    assert figures["bars_daily"]["accepted"] == 1
    assert {owner for *_, owner in owners(road)} == {"XNYS:OLD"}


def test_a_rename_that_stored_bars_contradict_waits_for_a_person(road, bars_csv) -> None:
    both = [*bars({D1: "OLD", D2: "OLD", D3: "OLD"}), *bars({D3: "NEW", D4: "NEW"})]
    road.ingest(road.deliver("d.csv", bars_csv(both)))
    before = owners(road)
    figures = road.ingest(rename(road, "OLD", "NEW", D3))
    assert owners(road) == before
    assert ("instrument_aliases", "identity_ambiguous") in road.quarantined()
    counts = figures["instrument_aliases"]
    assert counts["read"] == sum(value for name, value in counts.items() if name != "read")
    assert "both have bars of 2024-01-04" in road.rows("quarantine")["reason"][0]
    # Bars of either go on as before.
    assert road.ingest(road.deliver("e.csv", bars_csv(bars({date(2024, 1, 8): "NEW"}))))["bars_daily"]["accepted"] == 1


def test_who_had_the_ticker_before_the_rename_keeps_those_days(road, bars_csv) -> None:
    rows = [*bars({D1: "NEW"}), *bars({D1: "OLD", D2: "OLD"}), *bars({D3: "NEW"})]
    road.ingest(road.deliver("d.csv", bars_csv(rows)))
    road.ingest(rename(road, "OLD", "NEW", D3))
    assert owners(road) == [(D1, "NEW", "XNYS:NEW"), (D1, "OLD", "XNYS:OLD"), (D2, "OLD", "XNYS:OLD"), (D3, "NEW", "XNYS:OLD")]
    held = road.rows("instruments").filter(pl.col("instrument_id") == "XNYS:NEW").select("valid_from", "valid_to", "is_active")
    assert held.rows() == [(D1, D2, False)]


def test_two_renames_told_in_the_wrong_order_are_one_history(road, bars_csv) -> None:
    road.ingest(road.deliver("d.csv", bars_csv(bars({D1: "OLD", D2: "MID", D3: "NEW"}))))
    road.ingest(rename(road, "MID", "NEW", D3))
    assert {owner for *_, owner in owners(road)} == {"XNYS:OLD", "XNYS:MID"}
    road.ingest(rename(road, "OLD", "MID", D2))
    assert owners(road) == [(D1, "OLD", "XNYS:OLD"), (D2, "MID", "XNYS:OLD"), (D3, "NEW", "XNYS:OLD")]


def test_a_ticker_history_that_comes_late_moves_the_days_before(road, bars_csv) -> None:
    """Lean files a company under its last ticker: the earlier one's rows are those that move."""
    road.ingest(road.deliver("d.csv", bars_csv(bars({D1: "FB", D2: "FB", D3: "META"}))))
    history = f"20120518,fb,Q\n{D2:%Y%m%d},fb,Q\n20501231,meta,Q\n"
    road.ingest(road.deliver("map_files/meta.csv", history, source="lean", received_at=LATER))
    assert {owner for *_, owner in owners(road)} == {"XNYS:META"}
    assert active(road) == {"XNYS:META": True, "XNYS:FB": False}
    spans = (
        road.rows("instruments").filter(pl.col("instrument_id") == "XNYS:META").sort("valid_from").select("valid_from", "valid_to")
    )
    assert spans.rows() == [(D1, D2), (D3, None)]


def test_a_ticker_that_two_companies_used_is_parted_when_its_history_comes(road, bars_csv) -> None:
    """GOOG was class A until 2 April 2014 and class C from the 3rd on; bars of both came first."""
    days = {date(2014, 4, 1): "GOOG", date(2014, 4, 2): "GOOG", date(2014, 4, 3): "GOOG"}
    road.ingest(road.deliver("goog.csv", bars_csv(bars(days))))
    one = "20040819,goog,Q\n20140402,goog,Q\n20501231,googl,Q\n"
    two = "20140327,goocv,Q\n20140402,goocv,Q\n20501231,goog,Q\n"
    files = [road.deliver(f"map_files/{n}.csv", text, source="lean") for n, text in (("googl", one), ("goog", two))]
    road.ingest(*files)
    assert [owner for *_, owner in owners(road)] == ["XNYS:GOOGL", "XNYS:GOOGL", "XNYS:GOOG"]
    assert active(road) == {"XNYS:GOOG": True, "XNYS:GOOGL": True}


def day_file(road, day: date, rows: list[tuple[str, str]]):
    lines = [f"{s},EQ,10,11,10,10.5,10,10,{100 + day.toordinal() % 97},,{day:%d-%b-%Y},7,{isin},\n" for s, isin in rows]
    return road.deliver(f"cm{day:%d%b%Y}bhav.csv", CM + "".join(lines), source="nse_bhavcopy", mic="XNSE")


def test_an_isin_that_comes_late_joins_what_was_known_by_ticker_alone(road) -> None:
    road.ingest(day_file(road, D1, [("BAJAJCORP", ISIN)]))
    road.ingest(day_file(road, D2, [("BAJAJCON", "")]))
    assert {owner for *_, owner in owners(road, mic="XNSE")} == {"XNSE:BAJAJCORP", "XNSE:BAJAJCON"}
    road.ingest(day_file(road, D3, [("BAJAJCON", ISIN)]))
    assert {owner for *_, owner in owners(road, mic="XNSE")} == {"XNSE:BAJAJCORP"}
    assert active(road, "XNSE") == {"XNSE:BAJAJCORP": True, "XNSE:BAJAJCON": False}
    assert road.quarantined("XNSE") == []


def test_an_isin_joins_nothing_that_traded_beside_its_share(road) -> None:
    road.ingest(day_file(road, D1, [("BAJAJCORP", ISIN), ("BAJAJCON", "")]))
    road.ingest(day_file(road, D2, [("BAJAJCON", ISIN)]))
    assert owners(road, mic="XNSE") == [(D1, "BAJAJCON", "XNSE:BAJAJCON"), (D1, "BAJAJCORP", "XNSE:BAJAJCORP")]
    assert road.quarantined("XNSE") == [("bars_daily", "identity_ambiguous")]


def test_a_rename_between_shares_with_isins_of_two_issuers_waits_for_a_person(road) -> None:
    road.ingest(day_file(road, D1, [("OLD", ISIN)]))
    road.ingest(day_file(road, D2, [("NEW", OTHER_ISIN)]))
    road.ingest(rename(road, "OLD", "NEW", D2, mic="XNSE"))
    assert {owner for *_, owner in owners(road, mic="XNSE")} == {"XNSE:OLD", "XNSE:NEW"}
    assert ("instrument_aliases", "identity_ambiguous") in road.quarantined("XNSE")


def delisted(road, symbol: str, day: date):
    return road.deliver("actions_end.csv", f"symbol,ex_date,action\n{symbol},{day},delisting\n", source="actions")


def test_a_delisting_ends_the_instrument_and_leaves_its_bars(road, bars_csv) -> None:
    road.ingest(road.deliver("d.csv", bars_csv(bars({D1: "GONE", D2: "GONE"}))))
    road.ingest(delisted(road, "GONE", D3))
    assert road.rows("instruments").select("instrument_id", "valid_from", "valid_to", "is_active").rows() == [
        ("XNYS:GONE", D1, D2, False)
    ]
    assert [owner for *_, owner in owners(road)] == ["XNYS:GONE", "XNYS:GONE"]
    again = road.ingest(delisted(road, "GONE", D3))
    assert again["instruments"]["restated"] == again["instrument_aliases"]["restated"] == 0


@pytest.mark.parametrize("together", [True, False])
def test_a_ticker_that_is_used_again_is_named_after_its_first_session(road, bars_csv, together: bool) -> None:
    first = road.deliver("d.csv", bars_csv(bars({D1: "GONE"})))
    second = road.deliver("e.csv", bars_csv([*bars({D3: "GONE", D4: "GONE"})]))
    third = road.deliver("m.csv", bars_csv([minute("GONE", D4)]))
    road.ingest(first)
    groups = [[delisted(road, "GONE", D2), second, third]] if together else [[delisted(road, "GONE", D2)], [second], [third]]
    for group in groups:
        road.ingest(*group)
    assert [owner for *_, owner in owners(road)] == ["XNYS:GONE", "XNYS:GONE:2024-01-04", "XNYS:GONE:2024-01-04"]
    assert [owner for *_, owner in owners(road, "bars_1m")] == ["XNYS:GONE:2024-01-04"]
    assert active(road) == {"XNYS:GONE": False, "XNYS:GONE:2024-01-04": True}


def test_a_delisting_learned_before_the_bars_holds_too(road, bars_csv) -> None:
    road.ingest(delisted(road, "GONE", D2))
    road.ingest(road.deliver("d.csv", bars_csv(bars({D1: "GONE", D3: "GONE"}))))
    assert [owner for *_, owner in owners(road)] == ["XNYS:GONE", "XNYS:GONE:2024-01-04"]
    assert active(road) == {"XNYS:GONE": False, "XNYS:GONE:2024-01-04": True}


def test_a_delisting_of_what_trades_on_waits_for_a_person(road, bars_csv) -> None:
    road.ingest(road.deliver("d.csv", bars_csv(bars({D1: "ALIVE", D3: "ALIVE"}))))
    road.ingest(delisted(road, "ALIVE", D2))
    assert active(road) == {"XNYS:ALIVE": True}
    assert road.quarantined() == [("corporate_actions", "identity_ambiguous")]
