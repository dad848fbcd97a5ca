"""Candles of brokers' interfaces."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipelines.sources.candles import CandlesSource
from pipelines.sources.protocol import FRAME_SCHEMAS, ParsedTable, ParseOptions, RawFile, SourceError

KOLKATA = "Asia/Kolkata"


def parse(folder: Path, content: object, *, name: str = "x/SBIN.json", **options) -> ParsedTable:
    path = folder / "received"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    (table,) = CandlesSource().parse(RawFile(path, name, ""), ParseOptions("XNSE", KOLKATA, **options))
    assert dict(table.frame.schema) == dict(FRAME_SCHEMAS[table.table])
    return table


def upstox(*candles: list[object]) -> dict[str, object]:
    return {"status": "success", "data": {"candles": list(candles)}}


def fyers(*candles: list[object]) -> dict[str, object]:
    return {"s": "ok", "candles": list(candles)}


def test_upstox_minutes_newest_first_are_labelled_by_their_start(tmp_path: Path) -> None:
    rows = [[f"2025-01-01T09:{minute}:00+05:30", 53.1, 53.95, 51.6, 52.05, 235519, 0] for minute in (17, 16, 15)]
    table = parse(tmp_path, upstox(*rows))
    assert table.table == "bars_1m"
    assert table.frame["ts"].to_list()[-1] == datetime(2025, 1, 1, 3, 45, tzinfo=UTC)
    assert table.frame.select("row_number", "symbol", "open", "volume").row(0) == (1, "SBIN", 53.1, 235519.0)


@pytest.mark.parametrize("clock", [0, 3 * 3600 + 45 * 60, -(5 * 3600 + 30 * 60)], ids=["midnight UTC", "09:15 IST", "midnight IST"])
def test_days_are_of_the_exchange_s_date_whichever_moment_fyers_stamps(tmp_path: Path, clock: int) -> None:
    days = [date(2021, 5, 24), date(2021, 5, 25), date(2021, 5, 26)]
    stamps = [int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) + clock for day in days]
    table = parse(tmp_path, fyers(*([stamp, 417.0, 419.2, 405.3, 412.05, 142964052] for stamp in stamps)))
    assert table.table == "bars_daily"
    assert table.frame["session_date"].to_list() == days


def test_a_candle_that_cannot_be_read_is_kept_with_its_problem(tmp_path: Path) -> None:
    good = ["2025-01-01T09:15:00+05:30", 1, 2, 1, 2, 5]
    rows = [good, ["2025-01-01T09:16:00+05:30", 1, 2, 1], ["2025-01-01T09:16:00+05:30", None, "x", True, 2, 5], 7]
    frame = parse(tmp_path, upstox(*rows)).frame
    assert frame["parse_problem"].to_list() == [
        None,
        "line: 4 fields where 6 or 7 are expected",
        "open: empty; high: 'x' is not a number; low: 'true' is not a number",
        "line: 0 fields where 6 or 7 are expected",
    ]
    assert json.loads(frame["raw_text"][1]) == rows[1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "no answer with candles"),
        ({"status": "error", "errors": []}, "status is 'error'"),
        ({"s": "no_data", "candles": []}, "status is 'no_data'"),
        ({"s": "ok", "candles": []}, "holds no candle"),
        (fyers(*[[1621827900 + 300 * n, 1, 2, 1, 2, 5] for n in range(30)]), "0:05:00 apart"),
    ],
)
def test_what_holds_no_candles_is_refused(tmp_path: Path, content: object, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        parse(tmp_path, content)
