"""The source `candles`: JSON candles of brokers' interfaces, Upstox and Fyers, saved as they came.

Lives here: both shapes, and what a candle's six or seven values are.
Does not live here: days or minutes (`bar_rows.py`, `intervals.py`), fetching.

Upstox: `{"status": "success", "data": {"candles": [["2025-01-01T09:15:00+05:30", 53.1, 53.9, 51.6, 52.0, 2355, 0], …]}}`.
Fyers: `{"s": "ok", "candles": [[1621814400, 417.0, 419.2, 405.3, 412.0, 142964], …]}`. A candle is its start, open, high, low,
close, volume, and maybe open interest, in any order of time. Neither names the share: the file's name or `--symbol` does.

`row_number` is the position of the candle in its list. A day of Fyers is stamped at midnight UTC or at the session's start.

Options (`ParseOptions.extra`): `interval` (`1d` or `1m`), where the data does not show it.
"""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipelines.sources.bar_rows import checked_options, daily_or_minutes, with_symbol, with_written_moments
from pipelines.sources.csv_header import PRICES, Layout
from pipelines.sources.limits import LimitError, check_rows
from pipelines.sources.names import OPTIONS
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError
from pipelines.sources.text import numbers, read_text, with_problems

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIELDS: Final = ("moment", *PRICES, "volume")
#: With open interest.
_WIDTHS: Final = (6, 7)


class CandlesSource:
    """Upstox's and Fyers' candles: daily or one-minute, one share a file."""

    name = "candles"
    description = "JSON candles of Upstox and Fyers: daily or one-minute, one share a file"
    whole_market = False
    priority = 10
    publication_lag = timedelta(0)

    def claims(self, name: str) -> bool:
        """JSON files by their ending."""
        return name.lower().endswith((".json", ".json.gz", ".json.zst"))

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """One table, `bars_daily` or `bars_1m`, with one row per candle.

        Raises SourceError for what is no JSON of candles, an answer that reports a failure, and other intervals.
        """
        extra = checked_options(raw, self.name, options.extra, OPTIONS[self.name])
        candles = _candles(raw, _answer(raw))
        rows = [_row(candle) for candle in candles]
        layout = Layout("", list(_FIELDS))
        bars = pl.DataFrame(
            rows, schema={"raw_text": pl.String, "parse_problem": pl.String, **dict.fromkeys(_FIELDS, pl.String)}, orient="row"
        )
        bars = bars.with_row_index("row_number", offset=1).with_columns(pl.col("row_number").cast(pl.Int64))
        values, problems = numbers([*PRICES, "volume"], required=[*PRICES, "volume"])
        bars = with_symbol(raw, with_problems(bars, problems).with_columns(values), layout, options)
        bars = with_written_moments(raw, bars, layout, options, extra)
        if "interval" not in extra and _one_a_day(bars, options):
            extra = {**extra, "interval": "1d"}
        return [daily_or_minutes(raw, bars, options, extra)]


def _answer(raw: RawFile) -> Any:
    text = read_text(raw, one_row_a_line=False)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{raw.name}: is no JSON ({error}); it is damaged or cut off, fetch it again") from error


def _candles(raw: RawFile, answer: Any) -> Sequence[Any]:
    """The list of candles of either shape."""
    if not isinstance(answer, dict):
        raise SourceError(
            f"{raw.name}: is no answer with candles, but a {type(answer).__name__}; known are those of Upstox and Fyers"
        )
    state = answer.get("status", answer.get("s"))
    if state not in ("success", "ok"):
        raise SourceError(f"{raw.name}: the answer's status is {str(state)[:40]!r}, not success or ok; fetch it again")
    data = answer.get("data")
    candles = data.get("candles") if isinstance(data, dict) else answer.get("candles")
    if not isinstance(candles, list) or not candles:
        raise SourceError(f"{raw.name}: holds no candle; fetch it again")
    try:
        check_rows(len(candles), raw.limits)
    except LimitError as error:
        raise SourceError(f"{raw.name}: {error}") from error
    return candles


def _row(candle: Any) -> tuple[str | None, ...]:
    """The candle as written, its problem, and its six values as text."""
    written = json.dumps(candle, ensure_ascii=False)[:500]
    if not isinstance(candle, list) or len(candle) not in _WIDTHS:
        count = len(candle) if isinstance(candle, list) else 0
        return written, f"line: {count} fields where 6 or 7 are expected", *[None] * len(_FIELDS)
    return written, None, *(_text(value) for value in candle[: len(_FIELDS)])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else json.dumps(value)[:80]


def _one_a_day(bars: pl.DataFrame, options: ParseOptions) -> bool:
    """Whether every candle is the only one of its local date, all at one time of the day: a session's start, or midnight."""
    if options.timezone is None or bars["wall"].null_count() == bars.height:
        return False
    instant = (pl.col("wall") - pl.duration(seconds=pl.col("offset").fill_null(0))).dt.replace_time_zone("UTC")
    local = bars.drop_nulls("wall").select(local=instant.dt.convert_time_zone(options.timezone))["local"]
    return local.dt.date().is_unique().all() and local.dt.time().n_unique() == 1 and local.len() > 1
