"""Planted faults: each row goes to quarantine under its rule's name, and its neighbours are staged as if it were not there.

The sessions are New York's: 2024-01-02 is an ordinary Tuesday, 2024-01-15 Martin Luther King Day, 2024-01-13 a Saturday,
2023-11-24 the half day after Thanksgiving (close at 13:00).
"""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import polars as pl
import pytest

from pipelines.quality.row_rules import ROW_RULES

GOOD_BEFORE = ("AAPL", "2024-01-02", 100, 101, 99, 100.5, 1000)
GOOD_AFTER = ("MSFT", "2024-01-02", 50, 51, 49, 50.5, 2000)

DAILY_FAULTS = {
    "no close": ("unreadable_field", ("2024-01-02", 100, 101, 99, "", 1000)),
    "close is a word": ("unreadable_field", ("2024-01-02", 100, 101, 99, "n.a.x", 1000)),
    "close is infinite": ("unreadable_field", ("2024-01-02", 100, 101, 99, "inf", 1000)),
    "no date": ("unreadable_field", ("", 100, 101, 99, 100, 1000)),
    "price of zero": ("non_positive_price", ("2024-01-02", 100, 101, 0, 100, 1000)),
    "negative price": ("non_positive_price", ("2024-01-02", 100, 101, -1, 100, 1000)),
    "high below low": ("high_below_low", ("2024-01-02", 100, 99, 101, 100, 1000)),
    "close above high": ("open_or_close_outside_range", ("2024-01-02", 100, 101, 99, 101.01, 1000)),
    "close a hundredfold": ("open_or_close_outside_range", ("2024-01-02", 100, 101, 99, 10050, 1000)),
    "high a hundredfold": ("implausible_range", ("2024-01-02", 100, 10100, 99, 100, 1000)),
    "no volume": ("missing_volume", ("2024-01-02", 100, 101, 99, 100, "")),
    "negative volume": ("negative_volume", ("2024-01-02", 100, 101, 99, 100, -1)),
    "half a share": ("fractional_volume", ("2024-01-02", 100, 101, 99, 100, 10.5)),
    "more shares than there are numbers": ("implausible_volume", ("2024-01-02", 100, 101, 99, 100, 9223372036854775807)),
    "dearer than any share": ("implausible_price", ("2024-01-02", 1e300, 1.5e300, 1e300, 1e300, 1000)),
    "holiday": ("not_a_session", ("2024-01-15", 100, 101, 99, 100, 1000)),
    "Saturday": ("not_a_session", ("2024-01-13", 100, 101, 99, 100, 1000)),
    "1970": ("beyond_calendar", ("1970-01-02", 100, 101, 99, 100, 1000)),
    "years after the known calendar": ("beyond_calendar", ("2040-03-05", 100, 101, 99, 100, 1000)),
    "a session that is still to come": ("from_the_future", ("2027-03-05", 100, 101, 99, 100, 1000)),
}

MINUTE_FAULTS = {
    "a minute before the pre-market": ("outside_session", "2024-01-02 03:59"),
    "a minute after the post-market": ("outside_session", "2024-01-02 20:00"),
    "on a holiday": ("outside_session", "2024-01-15 10:00"),
    "on a Sunday": ("outside_session", "2024-01-07 10:00"),
    "off the minute": ("unreadable_field", "2024-01-02 09:30:30"),
    "1970": ("beyond_calendar", "1970-01-01 10:00"),
    "a minute that is still to come": ("from_the_future", "2027-03-05 10:00"),
}

Csv = Callable[[Sequence[Sequence[object]]], str]


@pytest.mark.parametrize(("rule", "fault"), DAILY_FAULTS.values(), ids=DAILY_FAULTS)
def test_a_bad_daily_row_is_set_aside_and_its_neighbours_go_on(
    pipeline, bars_csv: Csv, rule: str, fault: tuple[object, ...]
) -> None:
    delivery = pipeline.deliver("planted.csv", bars_csv([GOOD_BEFORE, ("BAD", *fault), GOOD_AFTER]))

    staged = pipeline.stage(delivery)

    assert staged.tables["bars_daily"].sort("symbol")["symbol"].to_list() == ["AAPL", "MSFT"]
    (row,) = staged.quarantine.iter_rows(named=True)
    assert (row["table_name"], row["rule"], row["batch_id"], row["row_number"]) == ("bars_daily", rule, delivery.batch_id, 3)
    assert row["reason"]
    assert json.loads(row["row"])["symbol"] == "BAD"


@pytest.mark.parametrize(("rule", "written"), MINUTE_FAULTS.values(), ids=MINUTE_FAULTS)
def test_a_bad_minute_is_set_aside_and_its_neighbours_go_on(pipeline, bars_csv: Csv, rule: str, written: str) -> None:
    prices = (100, 101, 99, 100.5, 10)
    rows = [("AAPL", moment, *prices) for moment in ("2024-01-02 09:30", written, "2024-01-02 09:31")]
    staged = pipeline.stage(pipeline.deliver("planted.csv", bars_csv(rows)))

    assert staged.tables["bars_1m"]["ts"].to_list() == [datetime(2024, 1, 2, 14, minute, tzinfo=UTC) for minute in (30, 31)]
    assert staged.quarantine.select("table_name", "rule", "row_number").rows() == [("bars_1m", rule, 3)]


def test_extended_hours_are_kept_apart_and_an_early_close_moves_the_border(pipeline, bars_csv: Csv) -> None:
    moments = {
        "2024-01-02 04:00": "pre",
        "2024-01-02 09:29": "pre",
        "2024-01-02 16:00": "post",
        "2024-01-02 19:59": "post",
        "2023-11-24 13:00": "post",
        "2023-11-24 15:30": "post",
    }
    regular = ["2024-01-02 09:30", "2023-11-24 12:59"]
    staged = pipeline.stage(pipeline.deliver("hours.csv", bars_csv([("AAPL", t, 10, 11, 9, 10, 1) for t in [*moments, *regular]])))

    local = pl.col("ts").dt.convert_time_zone("America/New_York").dt.strftime("%Y-%m-%d %H:%M")
    assert dict(staged.tables["bars_1m_extended"].select(local, "segment").rows()) == moments
    assert staged.tables["bars_1m"].select(local).to_series().to_list() == regular
    assert staged.quarantine.is_empty()


def test_the_payload_is_what_was_read_and_the_file_can_be_found_from_it(pipeline, bars_csv: Csv) -> None:
    delivery = pipeline.deliver("vendor/jan.csv", bars_csv([GOOD_BEFORE, ("BAD", "2024-01-02", 100, 101, 99, "12,3x", 7)]))
    pipeline.ingest(delivery)

    (held,) = pipeline.rows("quarantine").iter_rows(named=True)
    file = pipeline.rows("raw_files").filter(pl.col("batch_id") == held["batch_id"]).row(0, named=True)
    payload = json.loads(held["row"])
    assert file["name"] == "vendor/jan.csv"
    assert (payload["symbol"], payload["open"], payload["volume"], payload["close"]) == ("BAD", 100.0, 7.0, None)
    assert payload["raw_text"] == 'BAD,2024-01-02,100,101,99,"12,3x",7'
    assert "12,3x" in held["reason"]
    assert held["session_date"].isoformat() == "2024-01-02"
    assert held["released_at"] is None


def test_all_faults_of_a_row_are_told_under_the_first_one(pipeline, bars_csv: Csv) -> None:
    staged = pipeline.stage(pipeline.deliver("twice.csv", bars_csv([("BAD", "2024-01-15", 100, 99, 101, 100, -5)])))
    assert staged.quarantine.select("rule", "reason").row(0) == (
        "not_a_session",
        "the exchange was closed on that date; high is below low; volume is negative",
    )


def test_an_exact_copy_is_dropped_and_counted_and_a_contradiction_is_quarantined_whole(pipeline, bars_csv: Csv) -> None:
    told_twice = ("TWICE", "2024-01-02", 10, 11, 9, 10, 1)
    one, other = ("TORN", "2024-01-02", 10, 11, 9, 10, 1), ("TORN", "2024-01-02", 10, 11, 9, 10.5, 1)
    figures = pipeline.ingest(
        pipeline.deliver("copies.csv", bars_csv([told_twice, one, told_twice, other, told_twice, GOOD_AFTER]))
    )

    assert figures["bars_daily"] == {"read": 6, "accepted": 2, "unchanged": 0, "restated": 0, "duplicates": 2, "quarantined": 2}
    assert sorted(pipeline.rows("bars_daily")["symbol"]) == ["MSFT", "TWICE"]
    held = pipeline.rows("quarantine").sort("row_number")
    assert held.select("rule", "row_number").rows() == [("conflicting_duplicate", 3), ("conflicting_duplicate", 5)]
    assert [json.loads(r)["close"] for r in held["row"]] == [10.0, 10.5]


def test_a_real_move_of_a_fifth_passes_rules_and_gate(pipeline, bars_csv: Csv) -> None:
    """Shares move that far on an earnings day: a jump is no fault of a row."""
    days = [("UP", "2024-01-02", 100, 101, 99, 100, 10), ("UP", "2024-01-03", 119, 121, 118, 120, 90)]
    within = [("WILD", "2024-01-02", 100, 120, 99, 119, 10), ("DOWN", "2024-01-02", 100, 101, 80, 80, 10)]
    figures = pipeline.ingest(pipeline.deliver("moves.csv", bars_csv([*days, *within])))
    assert (figures["bars_daily"]["accepted"], figures["bars_daily"]["quarantined"]) == (4, 0)


def test_a_bar_may_be_five_minutes_ahead_of_the_clock_that_received_it_but_not_more(pipeline, bars_csv: Csv) -> None:
    """The session of 2024-01-02 closes at 21:00 UTC."""
    text = bars_csv([GOOD_BEFORE])
    late = pipeline.deliver("late.csv", text, received_at=datetime(2024, 1, 2, 20, 55, tzinfo=UTC))
    early = pipeline.deliver("early.csv", text + "\n", received_at=datetime(2024, 1, 2, 20, 54, 59, tzinfo=UTC))
    assert pipeline.stage(late).tables["bars_daily"].height == 1
    assert pipeline.stage(early).quarantine["rule"].to_list() == ["from_the_future"]


def test_a_bar_of_before_noon_is_refused_until_the_session_is_over_and_then_let_in(pipeline, bars_csv: Csv) -> None:
    noon = pipeline.deliver("bars.csv", bars_csv([GOOD_BEFORE]), received_at=datetime(2024, 1, 2, 17, tzinfo=UTC))
    night = pipeline.deliver("bars.csv", bars_csv([(*GOOD_BEFORE[:-1], 3000)]), received_at=datetime(2024, 1, 2, 22, tzinfo=UTC))
    assert pipeline.ingest(noon)["bars_daily"]["quarantined"] == 1
    assert pipeline.ingest(night)["bars_daily"]["accepted"] == 1
    assert pipeline.rows("bars_daily")["volume"].to_list() == [3000]


def zipped(name: str, text: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, text)
    return target.getvalue()


def test_of_two_sources_in_one_delivery_the_higher_priority_stays(pipeline, bars_csv: Csv) -> None:
    """`lean` (priority above csv) and `csv` disagree on one key."""
    from pipelines.sources.registry import load_sources

    assert load_sources()["lean"].priority > load_sources()["csv"].priority
    lean = pipeline.deliver(
        "daily/aapl.zip", zipped("aapl.csv", "20240102 00:00,1000000,1010000,990000,1005000,1000\n"), source="lean"
    )
    csv = pipeline.deliver("other.csv", bars_csv([("AAPL", "2024-01-02", 100, 101, 99, 100.9, 1000)]))
    staged = pipeline.stage(lean, csv)
    assert staged.tables["bars_daily"].select("source", "close").rows() == [("lean", 100.5)]
    assert staged.quarantine.select("source", "rule").rows() == [("csv", "source_priority")]


def test_every_rule_names_itself_once_and_says_why() -> None:
    for table, rules in ROW_RULES.items():
        names = [rule.name for rule in rules]
        assert len(names) == len(set(names)), table
        assert all(rule.reason for rule in rules)
