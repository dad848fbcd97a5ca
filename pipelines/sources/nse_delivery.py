"""The source `nse_delivery`: NSE's delivery positions, `MTO_DDMMYYYY.DAT`, which complete the bars of their day.

Lives here: its lines, the number of records that it promises, and the date.
Does not live here: the bar that a position completes (`quality/rows_without_prices.py`); deliveries of `sec_bhavdata_full`
(`nse_bhavcopy.py`).

Line 2 is `10,MTO,19072019,471778636,0001790`: the date, the total, and how many lines `20,1,20MICRONS,EQ,599108,164405,27.44`
(number, share, series, traded and delivered units, percent) follow. There are no prices.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Final

import polars as pl

from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError, conform
from pipelines.sources.text import fields, line_read, lines, numbers, read_text, split_line, with_problems

_NAME: Final = re.compile(r"^MTO_(\d{8})\.DAT", re.IGNORECASE)
_FIELDS: Final[list[str | None]] = [None, None, "symbol", "series", "volume", "delivery_qty", None]
#: The series whose print is a share's bar, in order of preference, as in `nse_bhavcopy`.
_MAIN_SERIES: Final = ("EQ", "BE", "BZ")


class NseDeliverySource:
    """Delivered units of NSE's shares, one session a file."""

    name = "nse_delivery"
    description = "NSE's delivery positions, MTO_DDMMYYYY.DAT: delivered units of bars that are in the lake or come with it"
    whole_market = False
    priority = 30
    publication_lag = timedelta(hours=3)

    def claims(self, name: str) -> bool:
        """Files under the name that the exchange gives them."""
        return _NAME.match(PurePosixPath(name).name) is not None

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """`bars_daily` and `bars_other_series` without prices.

        Raises SourceError for other files, one with fewer records than it promises, and a session that its name contradicts.
        """
        if options.extra:
            raise SourceError(f"{raw.name}: the source {self.name} has no options, not {', '.join(sorted(options.extra))}")
        frame = lines(read_text(raw))
        session, promised = _control(raw, frame, options.session)
        rows = frame.filter(pl.col("line").str.contains(r"^\s*20\s*,"))
        if rows.height != promised:
            raise SourceError(f"{raw.name}: promises {promised:,} records and holds {rows.height:,}; it is cut off, fetch it again")
        rows = fields(rows, _FIELDS, ",")
        values, problems = numbers(["volume", "delivery_qty"], required=["volume", "delivery_qty"])
        empty = [pl.when((pl.col(name) == "") & line_read()).then(pl.lit(f"{name}: empty")) for name in ("symbol", "series")]
        rows = (
            with_problems(rows, [*problems, *empty])
            .with_columns(values)
            .with_columns(
                *(pl.when(pl.col(name) != "").then(pl.col(name).str.to_uppercase()).alias(name) for name in ("symbol", "series")),
                session_date=pl.lit(session),
            )
        )
        rank = pl.col("series").replace_strict({s: n for n, s in enumerate(_MAIN_SERIES)}, default=9, return_dtype=pl.Int64)
        first = ((rank < 9) & (rank == rank.min().over("symbol"))) | pl.col("symbol").is_null() | pl.col("series").is_null()
        is_bar = rows.select(first.fill_null(value=True).alias("bar"))["bar"]
        return [
            conform("bars_daily", rows.filter(is_bar), price_basis="as_traded"),
            conform("bars_other_series", rows.filter(~is_bar), price_basis="as_traded"),
        ]


def _control(raw: RawFile, frame: pl.DataFrame, expected: date | None) -> tuple[date, int]:
    """The session and the number of records of the control line."""
    for line in frame["line"].head(10):
        parts = [part.strip() for part in split_line(line, ",")]
        if parts[:2] == ["10", "MTO"] and len(parts) >= 5 and parts[4].isdigit():
            break
    else:
        raise SourceError(f"{raw.name}: no line 10,MTO,… with date and number of records; it is no delivery file of NSE")
    named = _NAME.match(PurePosixPath(raw.name).name)
    days = []
    for text in [parts[2], *([named[1]] if named else [])]:
        try:
            days.append(datetime.strptime(text, "%d%m%Y").date())  # noqa: DTZ007  # a date, without a time or zone
        except ValueError as error:
            raise SourceError(f"{raw.name}: {text[:20]!r} is no date DDMMYYYY; fetch it again or correct the name") from error
    for stated in [*days[1:], *([expected] if expected else [])]:
        if stated != days[0]:
            raise SourceError(f"{raw.name}: its rows are of {days[0]}, not of {stated}; fetch the right one, or correct the name")
    return days[0], int(parts[4])
