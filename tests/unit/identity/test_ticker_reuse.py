"""One ticker, two companies: ticker histories decide by (ticker, day), whatever arrives first.

Known truths, of Lean's map files: Waste Management traded as UW until 1998-07-16, as WMI until 2009-08-04 and as WM since; before
that WM was Washington Mutual, of which there is no map file. AOL took the ticker TWX on 2003-10-16; the Time Warner that it had
bought traded as TWX until 2001-01-11. The fund EEM was listed on 2003-04-11; EEM was another security until 2002.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipelines.bundled import bundled_folder
from pipelines.ingest.withdrawal import Withdrawal, withdraw
from tests.support.pipeline import Pipeline, make_home

LATER = datetime(2025, 4, 1, 12, tzinfo=UTC)
WASTE = "19980102,uw\n19980716,uw\n20090804,wmi\n20501231,wm\n"
#: A dividend of Waste Management while it was WMI, and while WM was Washington Mutual.
WASTE_FACTORS = "19980102,0.98,1,30\n20040225,0.98,1,29.14\n20501231,1,1,0\n"
AOL, TIME_WARNER = "19980102,aol\n20031015,aol\n20501231,twx\n", "19980102,twx\n20010111,twx\n"
#: Of AOL: two for one on 1998-03-17 and 1999-02-23.
AOL_FACTORS = "19980102,1,0.25,1\n19980316,1,0.25,129.63\n19990222,1,0.5,173.25\n20501231,1,1,0\n"
MUTUAL = "XNYS:WM:1998-07-15"


def day_bars(symbol: str, *days: str, price: int = 30):
    return [(symbol, day, price, price + 1, price - 1, price, 100 + number) for number, day in enumerate(days)]


@pytest.fixture
def files(pipeline, bars_csv):
    """Deliveries by name: Washington Mutual's and Waste Management's bars, the latter's history and factors."""
    later = {"received_at": LATER}
    mutual = day_bars("WM", "1998-07-15", "1998-07-17", "2004-02-26", "2008-09-25", price=45)
    waste = [*day_bars("UW", "1998-07-15", "1998-07-16"), *day_bars("WMI", "1998-07-17", "2004-02-26", "2008-09-25", "2009-08-04")]
    return {
        "history": pipeline.deliver("map_files/wm.csv", WASTE, source="lean", **later),
        "factors": pipeline.deliver("factor_files/wm.csv", WASTE_FACTORS, source="lean", **later),
        "before": pipeline.deliver("before.csv", bars_csv(waste)),
        "since": pipeline.deliver("wm.csv", bars_csv([*mutual, *day_bars("WM", "2009-08-05", "2009-08-06")])),
    }


def holders(pipeline, table: str = "bars_daily") -> dict[tuple[str, str], str]:
    rows = pipeline.rows(table)
    return {(symbol, str(day)): owner for symbol, day, owner in rows.select("symbol", "session_date", "instrument_id").rows()}


TRUTH = {
    **{("WM", day): MUTUAL for day in ("1998-07-15", "1998-07-17", "2004-02-26", "2008-09-25")},
    **{("WM", day): "XNYS:WM" for day in ("2009-08-05", "2009-08-06")},
    **{("UW", day): "XNYS:WM" for day in ("1998-07-15", "1998-07-16")},
    **{("WMI", day): "XNYS:WM" for day in ("1998-07-17", "2004-02-26", "2008-09-25", "2009-08-04")},
}


def names(pipeline) -> list[tuple[object, ...]]:
    rows = pipeline.rows("instrument_aliases").filter(pl.col("kind") == "symbol")
    held = rows.filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    return sorted(held.select("instrument_id", "value", "valid_from", "valid_to").rows())


ORDERS = [
    (("history", "factors", "before", "since"),),
    (("history",), ("since",), ("before",), ("factors",)),
    (("since",), ("before",), ("factors",), ("history",)),
    (("since",), ("history",), ("before",)),
    (("before", "since"), ("history", "factors")),
    (("factors", "before"), ("history",), ("since",)),
    (("since",), ("history", "before", "factors")),
]


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: " | ".join("+".join(step) for step in order))
def test_the_earlier_holder_of_a_ticker_is_a_company_of_its_own_in_any_order(pipeline, files, order) -> None:
    for step in order:
        pipeline.ingest(*(files[name] for name in step))
    assert holders(pipeline) == TRUTH
    assert pipeline.quarantined() == []
    assert names(pipeline) == [
        ("XNYS:WM", "UW", date(1998, 1, 2), date(1998, 7, 16)),
        ("XNYS:WM", "WM", date(2009, 8, 5), None),
        ("XNYS:WM", "WMI", date(1998, 7, 17), date(2009, 8, 4)),
        (MUTUAL, "WM", date(1998, 7, 15), date(2009, 8, 4)),
    ]
    if any("factors" in step for step in order):
        assert set(pipeline.rows("corporate_actions")["instrument_id"]) == {"XNYS:WM"}
    listed = pipeline.rows("instruments").filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    assert dict(listed.group_by("instrument_id").agg(pl.col("valid_to").is_null().any()).rows()) == {"XNYS:WM": True, MUTUAL: False}


@pytest.fixture
def time_warners(pipeline, bars_csv):
    """Deliveries by name: AOL and the older Time Warner, who had the ticker TWX one after the other."""
    bars = [*day_bars("TWX", "1998-03-17", "1999-02-24", price=80), *day_bars("AOL", "1998-03-17", "1999-02-23", "2003-10-15")]
    return {
        "aol": pipeline.deliver("map_files/twx.csv", AOL, source="lean", received_at=LATER),
        "old": pipeline.deliver("map_files/twx.1.csv", TIME_WARNER, source="lean", received_at=LATER),
        "factors": pipeline.deliver("factor_files/twx.csv", AOL_FACTORS, source="lean", received_at=LATER),
        "bars": pipeline.deliver("bars.csv", bars_csv([*bars, *day_bars("TWX", "2003-10-16", "2003-10-17")])),
    }


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize(
    "order",
    ["factors bars old aol", "bars old aol factors", "aol old factors bars", "old factors bars aol", "bars+factors+old+aol"],
)
def test_splits_of_a_factor_file_are_its_companys_whoever_had_the_ticker(pipeline, time_warners, order: str) -> None:
    for step in order.split():
        pipeline.ingest(*(time_warners[name] for name in step.split("+")))
    old, aol = "XNYS:TWX.1", "XNYS:TWX"
    assert holders(pipeline) == {
        **{("TWX", day): old for day in ("1998-03-17", "1999-02-24")},
        **{("AOL", day): aol for day in ("1998-03-17", "1999-02-23", "2003-10-15")},
        **{("TWX", day): aol for day in ("2003-10-16", "2003-10-17")},
    }
    splits = pipeline.rows("corporate_actions").select("instrument_id", "ex_date", "ratio")
    assert sorted(splits.rows()) == [(aol, date(1998, 3, 17), 2.0), (aol, date(1999, 2, 23), 2.0)]


def lean_file(pipeline, path: str):
    content = (bundled_folder() / "lean" / "equity" / "usa" / path).read_bytes()
    return pipeline.deliver(path, content, source="lean", received_at=LATER)


@pytest.mark.parametrize("history_first", [True, False])
def test_a_share_that_had_a_funds_ticker_before_its_listing_is_not_the_fund(pipeline, history_first: bool) -> None:
    files = [lean_file(pipeline, "map_files/eem.csv"), lean_file(pipeline, "daily/eem.zip")]
    for file in files if history_first else reversed(files):
        pipeline.ingest(file)
    spans = pipeline.rows("bars_daily").group_by("instrument_id").agg(pl.min("session_date"), pl.max("session_date").alias("last"))
    assert {row[0]: row[1:] for row in spans.rows()} == {
        "XNYS:EEM:1998-01-06": (date(1998, 1, 6), date(2002, 12, 5)),
        "XNYS:EEM": (date(2003, 4, 11), date(2021, 3, 31)),
    }


def test_bars_of_another_company_are_told_with_the_file(pipeline) -> None:
    pipeline.ingest(lean_file(pipeline, "map_files/eem.csv"))
    staged = pipeline.stage(lean_file(pipeline, "daily/eem.zip"))
    assert staged.files[0].reason == (
        "bars of EEM from 1998-01-06 to 2002-12-05 (722) are of another company than EEM's ticker history; "
        "they are kept as XNYS:EEM:1998-01-06"
    )


def test_days_before_the_first_that_lean_knows_are_the_companys_own_with_a_warning(pipeline, bars_csv) -> None:
    """Lean's US data begin on 1998-01-02: a history that starts then does not say when the company was listed."""
    bars = pipeline.deliver("spy.csv", bars_csv(day_bars("SPY", "1995-06-01", "1998-01-02")))
    told = pipeline.stage(lean_file(pipeline, "map_files/spy.csv"), bars).files[1].reason
    assert told == (
        "bars of SPY from 1995-06-01 to 1995-06-01 (1) are on days of which no ticker history knows; "
        "they stay with the instrument named after the ticker"
    )
    pipeline.ingest(lean_file(pipeline, "map_files/spy.csv"), bars)
    assert set(holders(pipeline).values()) == {"XNYS:SPY"}


@pytest.mark.slow
@pytest.mark.measured
def test_a_later_version_of_a_history_under_another_name_is_the_same_company(pipeline, bars_csv) -> None:
    """Facebook's map file was fb.csv; after its change of ticker it is meta.csv, with the same first ticker and day."""
    pipeline.ingest(pipeline.deliver("map_files/fb.csv", "20120518,fb,Q\n20501231,fb,Q\n", source="lean"))
    pipeline.ingest(
        pipeline.deliver("d.csv", bars_csv([*day_bars("FB", "2015-01-05", "2022-06-08"), *day_bars("META", "2022-06-09")]))
    )
    assert set(holders(pipeline).values()) == {"XNYS:FB", "XNYS:META"}
    renamed = pipeline.deliver(
        "map_files/meta.csv", "20120518,fb,Q\n20220608,fb,Q\n20501231,meta,Q\n", source="lean", received_at=LATER
    )
    factors = pipeline.deliver("factor_files/meta.csv", "20120518,0.9,1,1\n20220608,0.9,1,100\n20501231,1,1,0\n", source="lean")
    pipeline.ingest(renamed, factors)
    assert set(holders(pipeline).values()) == {"XNYS:FB"}
    assert pipeline.rows("corporate_actions")["instrument_id"].to_list() == ["XNYS:FB"]
    pipeline.ingest(pipeline.deliver("e.csv", bars_csv([*day_bars("FB", "2016-01-04"), *day_bars("META", "2022-06-10")])))
    assert set(holders(pipeline).values()) == {"XNYS:FB"}
    assert pipeline.quarantined() == []


def test_a_file_name_that_passes_to_another_company_takes_no_history_along(pipeline, bars_csv) -> None:
    """Of a ticker used again Lean renames the first company's files: aaa.csv becomes aaa.1.csv, and aaa.csv is the second's."""
    first = "20020522,aaa,N\n20070518,aaa,N\n"
    pipeline.ingest(
        pipeline.deliver("map_files/aaa.csv", first, source="lean"),
        pipeline.deliver("a.csv", bars_csv(day_bars("AAA", "2005-01-03"))),
    )
    second = pipeline.deliver("map_files/aaa.csv", "20200909,aaa,P\n20501231,aaa,P\n", source="lean", received_at=LATER)
    pipeline.ingest(pipeline.deliver("map_files/aaa.1.csv", first, source="lean", received_at=LATER), second)
    pipeline.ingest(pipeline.deliver("b.csv", bars_csv(day_bars("AAA", "2006-01-03", "2020-09-09"))))
    assert holders(pipeline) == {
        ("AAA", "2005-01-03"): "XNYS:AAA",
        ("AAA", "2006-01-03"): "XNYS:AAA",
        ("AAA", "2020-09-09"): "XNYS:AAA:2020-09-09",
    }


def test_a_ticker_that_a_corrected_history_gives_up_ends_nobody_elses_name(pipeline, bars_csv) -> None:
    """The first version says that the company became XYZ in 2005, the second that it never did."""
    pipeline.ingest(pipeline.deliver("map_files/bbb.csv", "20000103,bbb,N\n20041231,bbb,N\n20501231,xyz,N\n", source="lean"))
    corrected = "20000103,bbb,N\n20501231,bbb,N\n"
    pipeline.ingest(
        pipeline.deliver("map_files/bbb.csv", corrected, source="lean", received_at=LATER),
        pipeline.deliver("a.csv", bars_csv(day_bars("XYZ", "2000-06-01", "2010-06-01"))),
    )
    assert [name for name in names(pipeline) if name[1] == "XYZ"] == [("XNYS:XYZ", "XYZ", date(2000, 6, 1), None)]
    pipeline.ingest(pipeline.deliver("b.csv", bars_csv(day_bars("XYZ", "2011-06-01"))))
    assert set(holders(pipeline).values()) == {"XNYS:XYZ"}


@pytest.mark.slow
@pytest.mark.measured
def test_withdrawing_a_history_gives_the_bars_back_to_the_ticker(pipeline, files) -> None:
    for name in ("since", "before"):
        pipeline.ingest(files[name])
    before = holders(pipeline)
    pipeline.ingest(files["history"])
    assert holders(pipeline) == TRUTH
    withdraw(pipeline.lake, "XNYS", Withdrawal(files["history"].batch_id, "of another vendor", "tester", LATER))
    assert holders(pipeline) == before
    assert set(before.values()) == {"XNYS:UW", "XNYS:WM", "XNYS:WMI"}


@pytest.mark.slow
@given(st.data())
@examples(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_permutation_of_arrival_gives_one_lake(tmp_path_factory, monkeypatch, bars_csv, data) -> None:
    pipeline = Pipeline(make_home(tmp_path_factory.mktemp("order") / "home", monkeypatch))
    mutual = day_bars("WM", "1998-07-15", "1998-07-17", "2004-02-26", price=45)
    waste = [*day_bars("UW", "1998-07-16"), *day_bars("WMI", "1998-07-17", "2004-02-26")]
    given_files = [
        pipeline.deliver("map_files/wm.csv", WASTE, source="lean"),
        pipeline.deliver("factor_files/wm.csv", WASTE_FACTORS, source="lean"),
        pipeline.deliver("mutual.csv", bars_csv(mutual)),
        pipeline.deliver("waste.csv", bars_csv(waste)),
        pipeline.deliver("since.csv", bars_csv(day_bars("WM", "2009-08-05"))),
    ]
    order = data.draw(st.permutations(given_files))
    cuts = data.draw(st.lists(st.booleans(), min_size=len(order) - 1, max_size=len(order) - 1))
    step = [order[0]]
    for file, cut in zip(order[1:], cuts, strict=True):
        if cut:
            pipeline.ingest(*step)
            step = []
        step.append(file)
    pipeline.ingest(*step)
    delivered = {(row[0], row[1]) for row in [*mutual, *waste, *day_bars("WM", "2009-08-05")]}
    assert holders(pipeline) == {key: owner for key, owner in TRUTH.items() if key in delivered}
    assert set(pipeline.rows("corporate_actions")["instrument_id"]) == {"XNYS:WM"}
    assert names(pipeline)[-1] == (MUTUAL, "WM", date(1998, 7, 15), date(2009, 8, 4))
    assert pipeline.quarantined() == []
