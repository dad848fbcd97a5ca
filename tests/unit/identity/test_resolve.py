"""Which instrument a ticker means on a day, on the bundled ticker histories of GOOG, GOOGL, GOOCV, QQQ and QQQQ.

Known truths: on 2014-04-03 Alphabet's class A moved from GOOG to GOOGL, and class C, traded when-issued as GOOCV since 2014-03-27,
took the ticker GOOG. QQQ traded as QQQQ from 2004-12-01 to 2011-03-22.
"""

from datetime import date

import polars as pl
import pytest

from pipelines.bundled import bundled_folder
from pipelines.identity.resolve import ALIAS, resolve

ALPHABET = ("goog", "googl")
MOVE = date(2014, 4, 3)


@pytest.fixture
def histories(pipeline):
    """Deliveries of the bundled map files."""
    folder = bundled_folder() / "lean" / "equity" / "usa" / "map_files"
    return [
        pipeline.deliver(f"map_files/{name}.csv", (folder / f"{name}.csv").read_bytes(), source="lean")
        for name in (*ALPHABET, "qqq")
    ]


def daily_files(pipeline, *names: str):
    folder = bundled_folder() / "lean" / "equity" / "usa" / "daily"
    return [pipeline.deliver(f"daily/{name}.zip", (folder / f"{name}.zip").read_bytes(), source="lean") for name in names]


def test_a_ticker_that_two_companies_used_is_two_histories_without_a_day_in_common(pipeline, histories) -> None:
    bars = pipeline.stage(*histories, *daily_files(pipeline, "goog", "googl", "goocv")).tables["bars_daily"]

    spans = {
        name: (first, last)
        for name, first, last in bars.group_by("instrument_id")
        .agg(pl.col("session_date").min().alias("first"), pl.col("session_date").max().alias("last"))
        .rows()
    }
    assert spans == {
        "XNYS:GOOGL": (date(2004, 8, 19), date(2021, 3, 31)),
        "XNYS:GOOG": (date(2014, 3, 27), date(2021, 3, 31)),
    }
    tickers = bars.group_by("instrument_id", (pl.col("session_date") >= MOVE).alias("after")).agg(pl.col("symbol").unique())
    assert sorted(tickers.rows()) == [
        ("XNYS:GOOG", False, ["GOOCV"]),
        ("XNYS:GOOG", True, ["GOOG"]),
        ("XNYS:GOOGL", False, ["GOOG"]),
        ("XNYS:GOOGL", True, ["GOOGL"]),
    ]
    assert bars.select("instrument_id", "session_date").is_duplicated().sum() == 0


def test_a_renamed_fund_stays_one_instrument_under_all_its_tickers(pipeline, histories, bars_csv) -> None:
    days = {"2004-11-30": "QQQ", "2004-12-01": "QQQQ", "2011-03-22": "QQQQ", "2011-03-23": "QQQ"}
    rows = bars_csv([(symbol, day, 50, 51, 49, 50, 1) for day, symbol in days.items()])
    staged = pipeline.stage(*histories, pipeline.deliver("qqq.csv", rows))
    assert staged.tables["bars_daily"]["instrument_id"].unique().to_list() == ["XNYS:QQQ"]
    assert staged.tables["bars_daily"]["symbol"].to_list() == list(days.values())


def test_histories_of_an_earlier_delivery_decide_about_later_bars(pipeline, histories, bars_csv) -> None:
    pipeline.ingest(*histories)
    bars = pipeline.deliver("goog.csv", bars_csv([("GOOG", f"2014-04-{d:02}", 10, 11, 9, 10, 1) for d in (2, 3)]))
    pipeline.ingest(bars)
    assert pipeline.rows("bars_daily").sort("session_date")["instrument_id"].to_list() == ["XNYS:GOOGL", "XNYS:GOOG"]
    aliases = pipeline.rows("instrument_aliases").filter(pl.col("value") == "GOOG").sort("valid_from")
    assert aliases.select("instrument_id", "valid_from", "valid_to").rows() == [
        ("XNYS:GOOGL", date(2004, 8, 19), date(2014, 4, 2)),
        ("XNYS:GOOG", MOVE, None),
    ]


def test_a_ticker_with_two_owners_on_a_day_is_quarantined_and_only_that_day(pipeline, bars_csv) -> None:
    one = pipeline.deliver("map_files/one.csv", "20200102,dup,N\n20201231,dup,N\n20501231,one,N\n", source="lean")
    two = pipeline.deliver("map_files/two.csv", "20200601,dup,N\n20501231,dup,N\n", source="lean")
    days = ("2020-01-02", "2020-06-01", "2020-12-31", "2021-01-04")
    staged = pipeline.stage(one, two, pipeline.deliver("dup.csv", bars_csv([("DUP", day, 10, 11, 9, 10, 1) for day in days])))

    assert staged.tables["bars_daily"].select("session_date", "instrument_id").rows() == [
        (date(2020, 1, 2), "XNYS:ONE"),
        (date(2021, 1, 4), "XNYS:TWO"),
    ]
    assert staged.quarantine.select("session_date", "rule").rows() == [
        (date(2020, 6, 1), "identity_ambiguous"),
        (date(2020, 12, 31), "identity_ambiguous"),
    ]


def test_an_unknown_ticker_is_assigned_once_and_keeps_its_first_session(pipeline, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("first.csv", bars_csv([("new", "2024-01-03", 10, 11, 9, 10, 1)])))
    pipeline.ingest(
        pipeline.deliver("later.csv", bars_csv([("NEW", "2024-01-04", 10, 11, 9, 10, 1), ("NEW ", "2024-01-02", 10, 11, 9, 10, 1)]))
    )
    assert pipeline.rows("instruments").select("instrument_id", "valid_from").rows() == [("XNYS:NEW", date(2024, 1, 3))]
    assert pipeline.rows("bars_daily")["instrument_id"].to_list() == ["XNYS:NEW"] * 3


def test_two_aliases_of_one_instrument_are_no_ambiguity() -> None:
    rows = pl.DataFrame({"symbol": ["A"], "day": [date(2024, 1, 2)]})
    spans = [("XNYS:A", "A", date(2020, 1, 1), None), ("XNYS:A", "A", date(2023, 1, 1), date(2024, 12, 31))]
    resolved = resolve("XNYS", rows, pl.DataFrame(spans, schema=ALIAS, orient="row"), "day")
    assert resolved.select("instrument_id", "ambiguous").rows() == [("XNYS:A", False)]
