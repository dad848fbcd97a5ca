"""Spellings of dates and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.protocol import RawFile
from pipelines.sources.timestamps import read_moments, to_utc

naive = datetime.fromisoformat
RAW = RawFile(Path("x"), "x.csv", "")


def read(text: str) -> tuple[datetime | None, int | None]:
    row = read_moments(RAW, pl.Series([text])).row(0, named=True)
    return row["wall"], row["offset"]


@pytest.mark.parametrize(
    ("text", "wall", "offset"),
    [
        ("2024-01-02 09:15", naive("2024-01-02T09:15"), None),
        ("20240102 09:15:30", naive("2024-01-02T09:15:30"), None),
        ("202401020915", naive("2024-01-02T09:15"), None),
        ("20240102T091530", naive("2024-01-02T09:15:30"), None),
        ("1/14/99 4:05 PM", naive("1999-01-14T16:05"), None),
        ("1/14/2024 12:05 AM", naive("2024-01-14T00:05"), None),
        ("2024-01-02T09:15:00.123456789Z", naive("2024-01-02T09:15:00.123456"), 0),
        ("2024-01-02T09:15:00+0530", naive("2024-01-02T09:15"), 19800),
        ("2024-01-02 09:15 -05", naive("2024-01-02T09:15"), -18000),
        ("2024-01-02T09:15:00-02:30", naive("2024-01-02T09:15"), -9000),
        ("1704187800.5", naive("2024-01-02T09:30:00.500000"), 0),
        ("1704187800123456", naive("2024-01-02T09:30:00.123456"), 0),
        ("1704187800000.0", naive("2024-01-02T09:30"), 0),
        ("883612800", naive("1998-01-01"), 0),
    ],
)
def test_a_known_spelling_is_read(text: str, wall: datetime, offset: int | None) -> None:
    assert read(text) == (wall, offset)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "2024-13-01",
        "2024-02-30",
        "2024-01-02 24:00",
        "2024-01-02 09:60",
        "2024-01-02 13:00 PM",
        "31-Foo-2024",
        "12",
        "2024",
    ],
)
def test_what_is_no_moment_is_null(text: str) -> None:
    assert read(text)[0] is None


@pytest.mark.parametrize(("year", "full"), [("00", 2000), ("68", 2068), ("69", 1969), ("99", 1999)])
def test_two_digit_years_are_1969_to_2068(year: str, full: int) -> None:
    assert read(f"31-Dec-{year}")[0] == naive(f"{full}-12-31")


def test_mixed_spellings_in_one_column_are_each_read_on_their_own() -> None:
    frame = read_moments(RAW, pl.Series(["2024-01-02", "20240103", "04-Jan-2024", "01/15/2024", None]))
    assert [wall and wall.day for wall in frame["wall"]] == [2, 3, 4, 15, None]


@given(
    st.datetimes(naive("1971-01-01"), naive("2068-12-31")),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_iso_text_comes_back_as_the_same_instant(wall: datetime, zone: timezone) -> None:
    aware = wall.replace(tzinfo=zone)
    frame = read_moments(RAW, pl.Series([aware.isoformat()])).select(to_utc(pl.col("wall"), pl.col("offset"), "Asia/Tokyo"))
    assert frame.item() == aware.astimezone(UTC)
