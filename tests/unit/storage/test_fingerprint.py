"""Byte for byte: what a fingerprint sees, and what it does not."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.market.tables import TABLES
from pipelines.storage.fingerprint import fingerprint

BARS = TABLES["bars_daily"]
RUNS = TABLES["raw_files"]
Frame = Callable[..., pl.DataFrame]


@given(st.permutations(range(6)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_does_not_count(daily: Frame, order: list[int]) -> None:
    rows = daily(*((symbol, date(2024, 1, day), 10.0 + day) for symbol in "AB" for day in (2, 3, 4))).drop("received_at")
    assert fingerprint(rows[order], BARS) == fingerprint(rows, BARS)


def test_pieces_of_memory_do_not_count(daily: Frame) -> None:
    rows = daily(("A", date(2024, 1, 2), 10.0), ("B", date(2024, 1, 2), 11.0))
    assert fingerprint(pl.concat([rows[:1], rows[1:]], rechunk=False), BARS) == fingerprint(rows, BARS)


def test_every_value_counts_to_its_last_bit(daily: Frame) -> None:
    rows = daily(("A", date(2024, 1, 2), 0.1 + 0.2))
    other = daily(("A", date(2024, 1, 2), 0.3))
    assert fingerprint(rows, BARS) != fingerprint(other, BARS)


def test_a_missing_value_is_no_zero(daily: Frame) -> None:
    rows = daily(("A", date(2024, 1, 2), 10.0))
    assert fingerprint(rows, BARS) != fingerprint(rows.with_columns(trades=pl.lit(0, pl.Int64)), BARS)


def test_observational_columns_do_not_count() -> None:
    row = {
        "batch_id": "b",
        "exchange": "XNYS",
        "source": "csv",
        "name": "n",
        "content_hash": "h",
        "size_bytes": 1,
        "options": "{}",
        "received_at": datetime(2025, 1, 1, tzinfo=UTC),
        "status": "accepted",
        "reason": None,
        "rows_read": 1,
        "first_session": None,
        "last_session": None,
    }
    types = pl.DataFrame(RUNS.arrow().empty_table()).schema
    first, later, other = (
        pl.DataFrame([{**row, **change}], schema=types)
        for change in ({}, {"received_at": datetime(2026, 1, 1, tzinfo=UTC)}, {"size_bytes": 2})
    )
    assert fingerprint(first, RUNS) == fingerprint(later, RUNS) != fingerprint(other, RUNS)
