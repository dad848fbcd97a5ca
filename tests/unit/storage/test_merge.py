"""Merging by key: what wins, what is kept, what is refused."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame
from pipelines.storage.merge import Merge, merge_by_key

BARS = TABLES["bars_daily"]
EMPTY = empty_frame(BARS)
PRIORITIES = {"low": 1, "csv": 10, "other": 10, "high": 20}
DAY, NEXT = date(2024, 1, 2), date(2024, 1, 3)
FIRST = datetime(2025, 1, 1, tzinfo=UTC)

Daily = Callable[..., pl.DataFrame]


def merge(stored: pl.DataFrame, incoming: pl.DataFrame) -> Merge:
    return merge_by_key(stored, incoming, BARS, PRIORITIES)


def closes(rows: pl.DataFrame) -> dict[tuple[str, date], float]:
    return {(r["symbol"], r["session_date"]): r["close"] for r in rows.iter_rows(named=True)}


def test_the_same_rows_twice_are_unchanged(daily: Daily) -> None:
    rows = daily(("A", DAY, 10.0), ("B", DAY, 20.0))
    again = merge(merge(EMPTY, rows).rows, rows.with_columns(batch_id=pl.lit("b2")))
    assert (again.changes, again.unchanged, again.superseded.height) == (0, 2, 0)
    assert again.rows["batch_id"].unique().to_list() == ["b1"]


def test_a_missing_figure_equals_a_missing_figure(daily: Daily) -> None:
    rows = daily(("A", DAY, 10.0))
    assert rows["turnover"].null_count() == 1
    assert merge(merge(EMPTY, rows).rows, rows).unchanged == 1
    assert merge(merge(EMPTY, rows).rows, rows.with_columns(turnover=pl.lit(1e6))).restated.height == 1


def test_a_restated_row_supersedes_and_is_known_from_its_arrival(daily: Daily) -> None:
    stored = merge(EMPTY, daily(("A", DAY, 10.0), ("B", DAY, 20.0))).rows
    late = FIRST + timedelta(days=30)
    done = merge(stored, daily(("A", DAY, 11.0), batch="b2", received_at=late))
    assert closes(done.rows) == {("A", DAY): 11.0, ("B", DAY): 20.0}
    assert done.restated["known_at"].to_list() == [late]
    gone = done.superseded.row(0, named=True)
    assert (gone["close"], gone["batch_id"], gone["superseded_at"], gone["superseded_by_batch"]) == (10.0, "b1", late, "b2")
    assert gone["known_at"] == datetime(2024, 1, 2, 21, tzinfo=UTC)


def test_a_key_that_is_absent_is_kept(daily: Daily) -> None:
    stored = merge(EMPTY, daily(("A", DAY, 10.0), ("B", DAY, 20.0))).rows
    assert closes(merge(stored, daily(("A", NEXT, 12.0))).rows) == {("A", DAY): 10.0, ("B", DAY): 20.0, ("A", NEXT): 12.0}


def test_a_lower_priority_that_differs_is_refused_and_an_equal_value_is_not(daily: Daily) -> None:
    stored = merge(EMPTY, daily(("A", DAY, 10.0), ("B", DAY, 20.0), source="high")).rows
    done = merge(stored, daily(("A", DAY, 9.0), ("B", DAY, 20.0), source="low"))
    assert done.refused.select("symbol", "rule").rows() == [("A", "source_priority")]
    assert "source high" in done.refused["reason"][0]
    assert (done.unchanged, done.changes) == (1, 0)


def test_a_higher_priority_replaces(daily: Daily) -> None:
    stored = merge(EMPTY, daily(("A", DAY, 10.0), source="low")).rows
    done = merge(stored, daily(("A", DAY, 9.0), source="high"))
    assert done.rows.select("close", "source").rows() == [(9.0, "high")]


def test_equal_priorities_that_differ_are_a_conflict(daily: Daily) -> None:
    stored = merge(EMPTY, daily(("A", DAY, 10.0), source="csv")).rows
    done = merge(stored, daily(("A", DAY, 9.0), source="other"))
    assert done.refused["rule"].to_list() == ["source_conflict"]
    assert closes(done.rows) == {("A", DAY): 10.0}


def test_a_stored_row_whose_source_has_no_known_priority_is_not_replaced_by_another_source(daily: Daily) -> None:
    stored = merge(EMPTY, daily(("A", DAY, 10.0), source="broken_plug_in")).rows
    done = merge(stored, daily(("A", DAY, 9.0), source="high"))
    assert done.refused["rule"].to_list() == ["source_conflict"]
    assert closes(done.rows) == {("A", DAY): 10.0}


deliveries = st.lists(
    st.dictionaries(st.tuples(st.sampled_from("ABC"), st.sampled_from([DAY, NEXT])), st.integers(1, 4), min_size=1),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@pytest.mark.measured
@given(deliveries)
@settings(max_examples=60, deadline=None)
def test_after_any_deliveries_the_last_value_of_each_key_stands(daily: Daily, said: list[dict[tuple[str, date], int]]) -> None:
    """And every value that stood before is in the superseded rows, in the order in which it was replaced."""
    stored, replaced = EMPTY, []
    expected: dict[tuple[str, date], float] = {}
    expected_replaced = []
    for number, values in enumerate(said):
        rows = daily(
            *((s, d, float(v)) for (s, d), v in values.items()), batch=f"b{number}", received_at=FIRST + timedelta(days=number)
        )
        done = merge(stored, rows)
        assert done.accepted.height + done.restated.height + done.unchanged + done.refused.height == rows.height
        stored = done.rows
        replaced += done.superseded.select("symbol", "session_date", "close").rows()
        for (symbol, day), value in values.items():
            if expected.get((symbol, day), value) != value:
                expected_replaced.append((symbol, day, expected[symbol, day]))
            expected[symbol, day] = float(value)
    assert closes(stored) == expected
    assert sorted(replaced) == sorted(expected_replaced)
    assert stored.select(BARS.key).is_unique().all()


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 8), st.integers(1, 9)), min_size=1, unique_by=lambda t: t[:2]),
    st.integers(0, 30),
)
@settings(max_examples=40, deadline=None)
def test_in_two_parts_or_at_once_is_the_same(daily: Daily, said: list[tuple[str, int, int]], cut: int) -> None:
    rows = [(symbol, DAY + timedelta(days=offset), float(value)) for symbol, offset, value in said]
    whole = merge(EMPTY, daily(*rows)).rows
    stored = EMPTY
    for part in (rows[:cut], rows[cut:]):
        if part:
            stored = merge(stored, daily(*part)).rows
    values = [c for c in BARS.names if c != "row_number"]
    assert stored.select(values).sort(BARS.key).equals(whole.select(values).sort(BARS.key))


def test_a_missing_figure_never_replaces_one_and_is_no_difference(daily: Daily) -> None:
    whole = daily(("A", DAY, 10.0)).with_columns(turnover=pl.lit(1e6), delivery_qty=pl.lit(7, pl.Int64))
    stored = merge(EMPTY, whole).rows
    assert merge(stored, daily(("A", DAY, 10.0), batch="b2")).unchanged == 1
    corrected = merge(stored, daily(("A", DAY, 11.0), batch="b2")).restated
    assert corrected.select("close", "turnover", "delivery_qty").rows() == [(11.0, 1e6, 7)]


def test_only_an_equal_or_higher_priority_fills_in(daily: Daily) -> None:
    stored = merge(EMPTY, daily(("A", DAY, 10.0), source="high")).rows
    more = daily(("A", DAY, 10.0), source="low", batch="b2").with_columns(trades=pl.lit(3, pl.Int64))
    assert merge(stored, more).refused["rule"].to_list() == ["source_priority"]
    stored = merge(EMPTY, daily(("A", DAY, 10.0), source="low")).rows
    done = merge(stored, more.with_columns(source=pl.lit("high")))
    assert done.restated.select("trades", "source").rows() == [(3, "high")]
