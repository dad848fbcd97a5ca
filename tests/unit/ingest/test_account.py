"""What stayed out of an order, told by rule, session and file: known from counts made by hand."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from pipelines.ingest.accounting import HELD, READ, Account, account_of

TUESDAY, WEDNESDAY, SUNDAY = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 7)
NAMES = {"b1": "minutes.csv", "b2": "daily.csv"}


def account(read: list[tuple[object, ...]], held: list[tuple[object, ...]]) -> Account:
    """`read`: table, batch, session, rows; `held` besides: rule, first row."""
    counted = pl.DataFrame(read, schema=READ, orient="row")
    return account_of("XNYS", counted, pl.DataFrame(held, schema=HELD, orient="row"), NAMES, [])


def test_rules_are_counted_over_files_and_sessions_most_rows_first() -> None:
    found = account(
        [("bars_1m", "b1", TUESDAY, 10), ("bars_1m", "b1", WEDNESDAY, 10), ("bars_daily", "b2", TUESDAY, 100)],
        [
            ("bars_1m", "b1", TUESDAY, 2, "out_of_line", 7),
            ("bars_1m", "b1", WEDNESDAY, 3, "out_of_line", 12),
            ("bars_daily", "b2", None, 1, "missing_date", 40),
        ],
    )
    assert [(rule["table"], rule["rule"], rule["rows"], rule["sessions"]) for rule in found.rules] == [
        ("bars_1m", "out_of_line", 5, 2),
        ("bars_daily", "missing_date", 1, 1),
    ]
    assert (found.rules[0]["batch_id"], found.rules[0]["row_number"]) == ("b1", 7)
    assert (found.rules[0]["first_session"], found.rules[0]["last_session"]) == ("2024-01-02", "2024-01-03")
    assert found.sessions == []


def test_a_session_of_which_no_row_was_let_in_is_named_with_its_file_and_rules() -> None:
    found = account(
        [("bars_1m", "b1", TUESDAY, 390), ("bars_1m", "b1", WEDNESDAY, 390)],
        [("bars_1m", "b1", WEDNESDAY, 150, "high_below_low", 400), ("bars_1m", "b1", WEDNESDAY, 240, "out_of_line", 391)],
    )
    assert found.sessions == [
        {
            "table": "bars_1m",
            "session": "2024-01-03",
            "path": "minutes.csv",
            "rows": 390,
            "rules": ["high_below_low", "out_of_line"],
        }
    ]
    assert found.is_bad(1.0)


@pytest.mark.parametrize(
    ("read", "held"),
    [
        (("bars_daily", "b2", TUESDAY, 1), ("bars_daily", "b2", TUESDAY, 1, "out_of_line", 2)),
        (("bars_daily", "b2", SUNDAY, 50), ("bars_daily", "b2", SUNDAY, 50, "not_a_session", 2)),
        (("bars_1m", "b1", date(1970, 1, 1), 3_007), ("bars_1m", "b1", date(1970, 1, 1), 3_007, "beyond_calendar", 2)),
        (("corporate_actions", "b2", TUESDAY, 5), ("corporate_actions", "b2", TUESDAY, 5, "missing_ratio", 2)),
        (("bars_1m", "b1", TUESDAY, 390), ("bars_1m", "b1", TUESDAY, 389, "out_of_line", 2)),
    ],
    ids=["one row", "a day without a session", "stamps of 1970", "actions", "all but one row"],
)
def test_what_is_no_whole_session_of_bars_is_not_called_one(read: tuple[object, ...], held: tuple[object, ...]) -> None:
    assert account([read], [held]).sessions == []


@pytest.mark.parametrize(("most", "bad"), [(0.04, True), (0.05, False), (0.5, False), (0.0, True)])
def test_a_file_is_bad_from_more_than_the_share_that_the_settings_take(most: float, bad: bool) -> None:
    found = account([("bars_daily", "b2", TUESDAY, 100)], [("bars_daily", "b2", TUESDAY, 5, "high_below_low", 3)])
    assert found.files == [{"path": "daily.csv", "rows": 100, "quarantined": 5, "share": 0.05}]
    assert found.is_bad(most) is bad


def test_one_bad_row_of_a_great_file_is_no_fault_of_the_delivery() -> None:
    found = account([("bars_daily", "b2", TUESDAY, 10_000)], [("bars_daily", "b2", TUESDAY, 1, "high_below_low", 3)])
    assert not found.is_bad(0.05)
    assert not account([("bars_daily", "b2", TUESDAY, 10)], []).is_bad(0.0)
