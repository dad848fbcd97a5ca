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


def rename(pipeline, old: str, new: str, day: date, **options):
    content = f"{HEADER}{old},{day},rename,{new}\n"
    return pipeline.deliver(f"actions_{old}_{new}.csv", content, source="actions", received_at=LATER, **options)


def owners(pipeline, table: str = "bars_daily", mic: str = "XNYS") -> list[tuple[date, str, str]]:
    return sorted(pipeline.rows(table, mic).select("session_date", "symbol", "instrument_id").rows())


def active(pipeline, mic: str = "XNYS") -> dict[str, bool]:
    rows = pipeline.rows("instruments", mic).group_by("instrument_id").agg(pl.col("is_active").any())
    return dict(rows.rows())


@pytest.fixture(scope="module")
def told_apart(module_pipeline, bars_csv):
    """OLD until 3 January, NEW from the 4th, daily and by the minute, each with an identity of its own; and a dividend of NEW."""
    pipeline = replace(module_pipeline, suite=no_expectations)
    pipeline.ingest(pipeline.deliver("d.csv", bars_csv(bars({D1: "OLD", D2: "OLD", D3: "NEW", D4: "NEW"}))))
    pipeline.ingest(pipeline.deliver("m.csv", bars_csv([minute("OLD", D2), minute("NEW", D3)])))
    pipeline.ingest(pipeline.deliver("actions.csv", f"symbol,ex_date,action,amount\nNEW,{D4},dividend,1\n", source="actions"))
    assert {owner for *_, owner in owners(pipeline)} == {"XNYS:OLD", "XNYS:NEW"}
    return pipeline


@pytest.fixture
def split_in_two(told_apart, pipeline):
    return pipeline.go_on_from(told_apart)


@pytest.mark.slow
@pytest.mark.measured
def test_a_rename_told_late_makes_one_history_of_bars_minutes_and_actions(split_in_two) -> None:
    pipeline = split_in_two
    pipeline.ingest(rename(pipeline, "OLD", "NEW", D3))
    assert owners(pipeline) == [(D1, "OLD", "XNYS:OLD"), (D2, "OLD", "XNYS:OLD"), (D3, "NEW", "XNYS:OLD"), (D4, "NEW", "XNYS:OLD")]
    assert owners(pipeline, "bars_1m") == [(D2, "OLD", "XNYS:OLD"), (D3, "NEW", "XNYS:OLD")]
    assert set(pipeline.rows("corporate_actions")["instrument_id"]) == {"XNYS:OLD"}
    assert active(pipeline) == {"XNYS:OLD": True, "XNYS:NEW": False}
    assert pipeline.rows("instruments").filter(pl.col("is_active"))["symbol"].to_list() == ["NEW"]
    names = pipeline.rows("instrument_aliases").filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    assert names.sort("valid_from").select("instrument_id", "value", "valid_from", "valid_to").rows() == [
        ("XNYS:OLD", "OLD", D1, D2),
        ("XNYS:OLD", "NEW", D3, None),
    ]


def test_moved_rows_are_a_restatement_and_stay_readable_as_they_were(split_in_two) -> None:
    pipeline = split_in_two
    before = pipeline.rows("bars_daily").filter(pl.col("instrument_id") == "XNYS:NEW")
    pipeline.ingest(rename(pipeline, "OLD", "NEW", D3))
    kept = pipeline.rows("bars_daily_superseded")
    assert kept.select(before.columns).sort("session_date").equals(before.sort("session_date"))
    assert set(kept["superseded_at"]) == {LATER}
    moved = pipeline.rows("bars_daily").filter(pl.col("session_date") >= D3)
    assert set(moved["known_at"]) == {LATER}
    # Where they were read stays what it was.
    assert set(moved["batch_id"]) == set(before["batch_id"])


def test_both_identities_are_rebuilt(split_in_two) -> None:
    pipeline = split_in_two
    built = plan_build(pipeline.lake, "XNYS", None).inputs
    pipeline.ingest(rename(pipeline, "OLD", "NEW", D3))
    plan = plan_build(pipeline.lake, "XNYS", built)
    assert plan.daily.select("instrument_id", "from_session", "to_session").rows() == [("XNYS:NEW", D3, D4), ("XNYS:OLD", D3, D4)]
    assert plan.minute.select("instrument_id", "from_session", "to_session").rows() == [("XNYS:NEW", D3, D3), ("XNYS:OLD", D3, D3)]


@pytest.mark.slow
@pytest.mark.measured
def test_the_same_rename_again_and_the_bars_again_change_nothing(split_in_two, bars_csv) -> None:
    pipeline = split_in_two
    late = rename(pipeline, "OLD", "NEW", D3)
    pipeline.ingest(late)
    tables = ("bars_daily", "bars_1m", "bars_daily_superseded", "corporate_actions", "instruments", "instrument_aliases")
    versions = {name: pipeline.table(name).version() for name in tables}
    pipeline.ingest(late)
    again = pipeline.ingest(pipeline.deliver("d.csv", bars_csv(bars({D1: "OLD", D2: "OLD", D3: "NEW", D4: "NEW"}))))
    assert again["bars_daily"]["unchanged"] == 4
    assert {name: pipeline.table(name).version() for name in tables} == versions


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("stops_after", ["instruments", "instrument_aliases", "corporate_actions", "bars_daily"])
def test_an_interrupted_move_is_completed_by_the_same_order(split_in_two, monkeypatch, stops_after: str) -> None:
    pipeline = split_in_two
    late = rename(pipeline, "OLD", "NEW", D3)
    commit = LakeTable.update_in_parts

    def failing(table, change, metadata):
        version = commit(table, change, metadata)
        if table.schema.name == stops_after:
            raise OSError("the machine stops here")
        return version

    with monkeypatch.context() as patch:
        patch.setattr(LakeTable, "update_in_parts", failing)
        with pytest.raises(OSError, match="stops here"):
            pipeline.ingest(late)
    pipeline.ingest(late)
    assert {owner for *_, owner in owners(pipeline)} == {"XNYS:OLD"}
    assert {owner for *_, owner in owners(pipeline, "bars_1m")} == {"XNYS:OLD"}
    assert set(pipeline.rows("corporate_actions")["instrument_id"]) == {"XNYS:OLD"}
    assert active(pipeline) == {"XNYS:OLD": True, "XNYS:NEW": False}


def test_later_bars_under_the_new_ticker_join_the_history(split_in_two, bars_csv) -> None:
    pipeline = split_in_two
    pipeline.ingest(rename(pipeline, "OLD", "NEW", D3))
    figures = pipeline.ingest(pipeline.deliver("more.csv", bars_csv(bars({date(2024, 1, 8): "NEW"}))))
    assert figures["bars_daily"]["accepted"] == 1
    assert {owner for *_, owner in owners(pipeline)} == {"XNYS:OLD"}


@pytest.mark.slow
@pytest.mark.measured
def test_a_rename_that_stored_bars_contradict_waits_for_a_person(pipeline, bars_csv) -> None:
    both = [*bars({D1: "OLD", D2: "OLD", D3: "OLD"}), *bars({D3: "NEW", D4: "NEW"})]
    pipeline.ingest(pipeline.deliver("d.csv", bars_csv(both)))
    before = owners(pipeline)
    figures = pipeline.ingest(rename(pipeline, "OLD", "NEW", D3))
    assert owners(pipeline) == before
    assert ("instrument_aliases", "identity_ambiguous") in pipeline.quarantined()
    counts = figures["instrument_aliases"]
    assert counts["read"] == sum(value for name, value in counts.items() if name != "read")
    assert "both have bars of 2024-01-04" in pipeline.rows("quarantine")["reason"][0]
    # Bars of either go on as before.
    assert pipeline.ingest(pipeline.deliver("e.csv", bars_csv(bars({date(2024, 1, 8): "NEW"}))))["bars_daily"]["accepted"] == 1


def test_who_had_the_ticker_before_the_rename_keeps_those_days(pipeline, bars_csv) -> None:
    rows = [*bars({D1: "NEW"}), *bars({D1: "OLD", D2: "OLD"}), *bars({D3: "NEW"})]
    pipeline.ingest(pipeline.deliver("d.csv", bars_csv(rows)))
    pipeline.ingest(rename(pipeline, "OLD", "NEW", D3))
    assert owners(pipeline) == [(D1, "NEW", "XNYS:NEW"), (D1, "OLD", "XNYS:OLD"), (D2, "OLD", "XNYS:OLD"), (D3, "NEW", "XNYS:OLD")]
    held = pipeline.rows("instruments").filter(pl.col("instrument_id") == "XNYS:NEW").select("valid_from", "valid_to", "is_active")
    assert held.rows() == [(D1, D2, False)]


@pytest.mark.slow
@pytest.mark.measured
def test_two_renames_told_in_the_wrong_order_are_one_history(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("d.csv", bars_csv(bars({D1: "OLD", D2: "MID", D3: "NEW"}))))
    pipeline.ingest(rename(pipeline, "MID", "NEW", D3))
    assert {owner for *_, owner in owners(pipeline)} == {"XNYS:OLD", "XNYS:MID"}
    pipeline.ingest(rename(pipeline, "OLD", "MID", D2))
    assert owners(pipeline) == [(D1, "OLD", "XNYS:OLD"), (D2, "MID", "XNYS:OLD"), (D3, "NEW", "XNYS:OLD")]


def test_a_ticker_history_that_comes_late_moves_the_days_before(pipeline, bars_csv) -> None:
    """Lean files a company under its last ticker: the earlier one's rows are those that move."""
    pipeline.ingest(pipeline.deliver("d.csv", bars_csv(bars({D1: "FB", D2: "FB", D3: "META"}))))
    history = f"20120518,fb,Q\n{D2:%Y%m%d},fb,Q\n20501231,meta,Q\n"
    pipeline.ingest(pipeline.deliver("map_files/meta.csv", history, source="lean", received_at=LATER))
    assert {owner for *_, owner in owners(pipeline)} == {"XNYS:META"}
    assert active(pipeline) == {"XNYS:META": True, "XNYS:FB": False}
    spans = (
        pipeline.rows("instruments")
        .filter(pl.col("instrument_id") == "XNYS:META")
        .sort("valid_from")
        .select("valid_from", "valid_to")
    )
    assert spans.rows() == [(D1, D2), (D3, None)]


def test_a_ticker_that_two_companies_used_is_parted_when_its_history_comes(pipeline, bars_csv) -> None:
    """GOOG was class A until 2 April 2014 and class C from the 3rd on; bars of both came first."""
    days = {date(2014, 4, 1): "GOOG", date(2014, 4, 2): "GOOG", date(2014, 4, 3): "GOOG"}
    pipeline.ingest(pipeline.deliver("goog.csv", bars_csv(bars(days))))
    one = "20040819,goog,Q\n20140402,goog,Q\n20501231,googl,Q\n"
    two = "20140327,goocv,Q\n20140402,goocv,Q\n20501231,goog,Q\n"
    files = [pipeline.deliver(f"map_files/{n}.csv", text, source="lean") for n, text in (("googl", one), ("goog", two))]
    pipeline.ingest(*files)
    assert [owner for *_, owner in owners(pipeline)] == ["XNYS:GOOGL", "XNYS:GOOGL", "XNYS:GOOG"]
    assert active(pipeline) == {"XNYS:GOOG": True, "XNYS:GOOGL": True}


def day_file(pipeline, day: date, rows: list[tuple[str, str]]):
    lines = [f"{s},EQ,10,11,10,10.5,10,10,{100 + day.toordinal() % 97},,{day:%d-%b-%Y},7,{isin},\n" for s, isin in rows]
    return pipeline.deliver(f"cm{day:%d%b%Y}bhav.csv", CM + "".join(lines), source="nse_bhavcopy", mic="XNSE")


@pytest.mark.slow
@pytest.mark.measured
def test_an_isin_that_comes_late_joins_what_was_known_by_ticker_alone(pipeline) -> None:
    pipeline.ingest(day_file(pipeline, D1, [("BAJAJCORP", ISIN)]))
    pipeline.ingest(day_file(pipeline, D2, [("BAJAJCON", "")]))
    assert {owner for *_, owner in owners(pipeline, mic="XNSE")} == {"XNSE:BAJAJCORP", "XNSE:BAJAJCON"}
    pipeline.ingest(day_file(pipeline, D3, [("BAJAJCON", ISIN)]))
    assert {owner for *_, owner in owners(pipeline, mic="XNSE")} == {"XNSE:BAJAJCORP"}
    assert active(pipeline, "XNSE") == {"XNSE:BAJAJCORP": True, "XNSE:BAJAJCON": False}
    assert pipeline.quarantined("XNSE") == []


def test_an_isin_joins_nothing_that_traded_beside_its_share(pipeline) -> None:
    pipeline.ingest(day_file(pipeline, D1, [("BAJAJCORP", ISIN), ("BAJAJCON", "")]))
    pipeline.ingest(day_file(pipeline, D2, [("BAJAJCON", ISIN)]))
    assert owners(pipeline, mic="XNSE") == [(D1, "BAJAJCON", "XNSE:BAJAJCON"), (D1, "BAJAJCORP", "XNSE:BAJAJCORP")]
    assert pipeline.quarantined("XNSE") == [("bars_daily", "identity_ambiguous")]


@pytest.mark.slow
@pytest.mark.measured
def test_a_rename_between_shares_with_isins_of_two_issuers_waits_for_a_person(pipeline) -> None:
    pipeline.ingest(day_file(pipeline, D1, [("OLD", ISIN)]))
    pipeline.ingest(day_file(pipeline, D2, [("NEW", OTHER_ISIN)]))
    pipeline.ingest(rename(pipeline, "OLD", "NEW", D2, mic="XNSE"))
    assert {owner for *_, owner in owners(pipeline, mic="XNSE")} == {"XNSE:OLD", "XNSE:NEW"}
    assert ("instrument_aliases", "identity_ambiguous") in pipeline.quarantined("XNSE")


def delisted(pipeline, symbol: str, day: date):
    return pipeline.deliver("actions_end.csv", f"symbol,ex_date,action\n{symbol},{day},delisting\n", source="actions")


@pytest.mark.slow
@pytest.mark.measured
def test_a_delisting_ends_the_instrument_and_leaves_its_bars(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("d.csv", bars_csv(bars({D1: "GONE", D2: "GONE"}))))
    pipeline.ingest(delisted(pipeline, "GONE", D3))
    assert pipeline.rows("instruments").select("instrument_id", "valid_from", "valid_to", "is_active").rows() == [
        ("XNYS:GONE", D1, D2, False)
    ]
    assert [owner for *_, owner in owners(pipeline)] == ["XNYS:GONE", "XNYS:GONE"]
    again = pipeline.ingest(delisted(pipeline, "GONE", D3))
    assert again["instruments"]["restated"] == again["instrument_aliases"]["restated"] == 0


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("together", [True, False])
def test_a_ticker_that_is_used_again_is_named_after_its_first_session(pipeline, bars_csv, together: bool) -> None:
    first = pipeline.deliver("d.csv", bars_csv(bars({D1: "GONE"})))
    second = pipeline.deliver("e.csv", bars_csv([*bars({D3: "GONE", D4: "GONE"})]))
    third = pipeline.deliver("m.csv", bars_csv([minute("GONE", D4)]))
    pipeline.ingest(first)
    groups = (
        [[delisted(pipeline, "GONE", D2), second, third]] if together else [[delisted(pipeline, "GONE", D2)], [second], [third]]
    )
    for group in groups:
        pipeline.ingest(*group)
    assert [owner for *_, owner in owners(pipeline)] == ["XNYS:GONE", "XNYS:GONE:2024-01-04", "XNYS:GONE:2024-01-04"]
    assert [owner for *_, owner in owners(pipeline, "bars_1m")] == ["XNYS:GONE:2024-01-04"]
    assert active(pipeline) == {"XNYS:GONE": False, "XNYS:GONE:2024-01-04": True}


def test_a_delisting_learned_before_the_bars_holds_too(pipeline, bars_csv) -> None:
    pipeline.ingest(delisted(pipeline, "GONE", D2))
    pipeline.ingest(pipeline.deliver("d.csv", bars_csv(bars({D1: "GONE", D3: "GONE"}))))
    assert [owner for *_, owner in owners(pipeline)] == ["XNYS:GONE", "XNYS:GONE:2024-01-04"]
    assert active(pipeline) == {"XNYS:GONE": False, "XNYS:GONE:2024-01-04": True}


def test_a_delisting_of_what_trades_on_waits_for_a_person(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("d.csv", bars_csv(bars({D1: "ALIVE", D3: "ALIVE"}))))
    pipeline.ingest(delisted(pipeline, "ALIVE", D2))
    assert active(pipeline) == {"XNYS:ALIVE": True}
    assert pipeline.quarantined() == [("corporate_actions", "identity_ambiguous")]
