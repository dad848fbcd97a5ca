"""Whole files of minutes in another zone or of another exchange are recognised by their hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipelines.quality.session_hours import find_wrong_hours
from pipelines.sources.protocol import ParseOptions, conform

_ZONES = {"XNYS": "America/New_York", "XNSE": "Asia/Kolkata"}
_DAY = date(2024, 1, 3)


def validation(
    mic: str, clocks: Sequence[tuple[date, str, str]], *, stamped: str | None = None, stated: bool = False
) -> str | None:
    """What is said of one-minute bars from one clock to another (exclusive) in zone `stamped`, read as the exchange's zone."""
    zone = ZoneInfo(_ZONES[mic])
    moments: list[datetime] = []
    for day, first, last in clocks:
        start, end = (datetime.combine(day, time.fromisoformat(text), ZoneInfo(stamped or _ZONES[mic])) for text in (first, last))
        count = int((end - start) / timedelta(minutes=1))
        moments += [(start + n * timedelta(minutes=1)).replace(tzinfo=zone).astimezone(UTC) for n in range(count)]
    frame = pl.DataFrame({"symbol": ["A"] * len(moments), "ts": moments}, schema_overrides={"ts": pl.Datetime("us", "UTC")})
    return find_wrong_hours([conform("bars_1m", frame)], ParseOptions(mic, _ZONES[mic], timezone_stated=stated))


def in_utc(mic: str, first: str, last: str) -> list[tuple[date, str, str]]:
    """The clocks of UTC at these local ones."""
    local = (datetime.combine(_DAY, time.fromisoformat(text), ZoneInfo(_ZONES[mic])) for text in (first, last))
    return [(_DAY, *(moment.astimezone(UTC).strftime("%H:%M") for moment in local))]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("mic", "first", "last"),
    [("XNYS", "09:30", "16:00"), ("XNSE", "09:15", "15:30"), ("XNYS", "10:00", "15:00"), ("XNSE", "09:20", "10:20")],
)
def test_utc_that_does_not_say_so_is_refused_with_the_remedy(mic: str, first: str, last: str) -> None:
    assert validation(mic, [(_DAY, first, last)]) is None
    told = validation(mic, in_utc(mic, first, last))
    assert "--timezone UTC" in str(told)


def test_a_person_who_states_the_zone_is_believed() -> None:
    assert validation("XNYS", in_utc("XNYS", "09:30", "16:00"), stated=True) is None


def test_extended_hours_half_days_and_single_hours_are_right() -> None:
    assert validation("XNYS", [(_DAY, "04:00", "20:00")]) is None
    assert validation("XNYS", [(date(2023, 11, 24), "09:30", "13:00")]) is None
    assert validation("XNSE", [(_DAY, "09:00", "16:00")]) is None
    assert validation("XNYS", [(_DAY, "15:00", "16:00")]) is None
    assert validation("XNYS", [(_DAY, "09:15", "12:00")]) is None


@pytest.mark.parametrize(
    ("sent_to", "of", "first", "last"), [("XNYS", "XNSE", "09:15", "15:30"), ("XNSE", "XNYS", "09:30", "16:00")]
)
def test_another_exchange_s_minutes_are_refused_by_their_hours(sent_to: str, of: str, first: str, last: str) -> None:
    days = [date(2024, 1, 3), date(2024, 1, 4)]
    told = validation(sent_to, [(day, first, last) for day in days])
    assert f"the hours of {of} and not of {sent_to}" in str(told)
    instants = validation(sent_to, [(day, *in_zone(of, sent_to, day, first, last)) for day in days])
    assert f"sessions of {of}, not of {sent_to}" in str(instants)


def in_zone(of: str, sent_to: str, day: date, first: str, last: str) -> tuple[str, str]:
    local = (datetime.combine(day, time.fromisoformat(text), ZoneInfo(_ZONES[of])) for text in (first, last))
    start, end = (moment.astimezone(ZoneInfo(_ZONES[sent_to])).strftime("%H:%M") for moment in local)
    return (start, end) if start < end else ("00:00", end)


def test_a_few_minutes_tell_nothing(pipeline, bars_csv) -> None:
    assert validation("XNYS", [(_DAY, "03:00", "03:10")]) is None


def test_a_file_is_refused_in_one_line_and_the_others_go_on(pipeline, bars_csv) -> None:
    start = datetime(2024, 1, 3, 14, 30, tzinfo=UTC)
    rows = [("ABC", (start + timedelta(minutes=n)).strftime("%Y-%m-%d %H:%M"), 10, 11, 9, 10, 5) for n in range(390)]
    bad, good = (
        pipeline.deliver("utc.csv", bars_csv(rows)),
        pipeline.deliver("good.csv", bars_csv([("ABC", "2024-01-03", 10, 11, 9, 10, 5)])),
    )
    figures = pipeline.ingest(bad, good)
    assert figures["bars_1m"]["read"] == 0
    assert figures["bars_daily"]["accepted"] == 1
    assert "--timezone UTC" in pipeline.rows("raw_files").filter(pl.col("status") == "refused")["reason"].item()
