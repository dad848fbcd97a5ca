"""A file under another instrument's symbol is said with the symbol that fits; what is right or merely different is not."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from pipelines.market.calendar import calendar

DAYS = [s.session_date for s in calendar("XNYS").between(date(2024, 1, 2), date(2024, 2, 29))][:30]


def series(symbol: str, start: float, *, scale: float = 1.0, days: list[date] = DAYS) -> list[tuple[object, ...]]:
    """Daily bars of a share that gains a hundredth of a unit a day."""
    closes = [round((start + n / 100) * scale, 2) for n, _ in enumerate(days)]
    return [(symbol, day, c, c + 0.5, c - 0.5, c, 1000) for day, c in zip(days, closes, strict=True)]


@pytest.fixture
def lake(pipeline, bars_csv):
    """A lake with two shares at 100 and 37."""
    pipeline.ingest(pipeline.deliver("known.csv", bars_csv([*series("AAA", 100), *series("BBB", 37)])))
    return pipeline


def warning(pipeline, content: str) -> str | None:
    staged = pipeline.stage(pipeline.deliver("new.csv", content, received_at=pipeline_arrival()))
    (file,) = staged.files
    return file.reason


def pipeline_arrival():  # type: ignore[no-untyped-def]
    from datetime import UTC, datetime

    return datetime(2025, 3, 2, tzinfo=UTC)


@pytest.mark.slow
def test_the_symbol_that_fits_is_named(lake, bars_csv) -> None:
    told = warning(lake, bars_csv(series("AAA", 37)))
    assert told is not None
    assert "30 of 30 closes contradict what the lake holds of AAA; 30 agree with those of BBB" in told
    assert "--symbol BBB" in told
    assert "marketlake withdraw" in told


@pytest.mark.slow
def test_closes_that_fit_nobody_are_said_without_a_guess(lake, bars_csv) -> None:
    told = warning(lake, bars_csv(series("AAA", 61)))
    assert told is not None
    assert "30 of 30 closes contradict what the lake holds of AAA; no other symbol's fit" in told


@pytest.mark.slow
def test_the_same_share_of_another_vendor_and_a_few_corrected_days_are_no_slip(lake, bars_csv) -> None:
    rounded = [(s, d, *(round(v * 1.001, 2) for v in prices), 900) for s, d, *prices, _ in series("AAA", 100)]  # type: ignore[operator]
    assert warning(lake, bars_csv(rounded)) is None
    corrected = [*series("AAA", 100)[:25], *series("AAA", 61)[25:]]
    assert warning(lake, bars_csv(corrected)) is None


@pytest.mark.slow
def test_a_few_sessions_prove_nothing(lake, bars_csv) -> None:
    assert warning(lake, bars_csv(series("AAA", 37)[:4])) is None


@pytest.mark.slow
def test_minutes_are_held_against_daily_closes(lake, bars_csv) -> None:
    at = [f"{day}T10:{minute}:00" for day in DAYS[:6] for minute in ("30", "31")]
    rows = [("AAA", moment, 37, 37.2, 36.8, 37, 10) for moment in at]
    told = warning(lake, bars_csv(rows))
    assert told is not None
    assert "--symbol BBB" in told


def test_a_first_delivery_contradicts_nothing(pipeline, bars_csv) -> None:
    staged = pipeline.stage(pipeline.deliver("first.csv", bars_csv(series("AAA", 37))))
    assert [f.reason for f in staged.files] == [None]
    assert isinstance(staged.read, pl.DataFrame)
    assert staged.read["rows"].sum() == len(DAYS)
    assert DAYS[-1] - DAYS[0] > timedelta(days=30)
