"""The source `nse_indices`: NSE's daily file of all its indices, `ind_close_all_DDMMYYYY.csv`.

Lives here: its columns, the symbols of indices, and what an index has instead of a volume.
Does not live here: minutes of an index (the source `csv` with the option `volume=none`).

An index trades nothing itself. The file's volume and turnover are the sums of its constituents; where it gives none, as of India
VIX, volume is 0, which says the same of any index: no unit of it changed hands.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Final

import polars as pl

from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError, conform
from pipelines.sources.text import (
    fields,
    is_missing,
    line_read,
    lines,
    numbers,
    read_text,
    refuse_cut_off,
    split_line,
    with_problems,
)
from pipelines.sources.timestamps import read_moments

_COLUMNS: Final = {
    "INDEX NAME": "symbol",
    "INDEX DATE": "moment",
    "OPEN INDEX VALUE": "open",
    "HIGH INDEX VALUE": "high",
    "LOW INDEX VALUE": "low",
    "CLOSING INDEX VALUE": "close",
    "VOLUME": "volume",
    "TURNOVER (RS. CR.)": "turnover",
}
_NAME: Final = re.compile(r"^ind_close_all_(\d{8})\b", re.IGNORECASE)

#: Earlier names of an index that goes on under another one.
_RENAMED: Final = {"S&PCNXNIFTY": "NIFTY50", "CNXNIFTY": "NIFTY50"}
_PRICES: Final = ("open", "high", "low", "close")


class NseIndicesSource:
    """Daily values of NSE's indices, one session a file."""

    name = "nse_indices"
    description = "NSE's daily file of indices, ind_close_all_DDMMYYYY.csv, plain or packed"
    whole_market = False
    priority = 30
    publication_lag = timedelta(hours=3)

    def claims(self, name: str) -> bool:
        """Files under the name that the exchange gives them."""
        return _NAME.match(PurePosixPath(name).name) is not None

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """`bars_daily`, one row per index.

        Raises SourceError for another header, damaged files, and a session that the file's name or `options.session` contradicts.
        """
        if options.extra:
            raise SourceError(f"{raw.name}: the source {self.name} has no options, not {', '.join(sorted(options.extra))}")
        text = read_text(raw)
        frame = lines(text)
        names = _layout(raw, frame["line"][0])
        rows = frame.slice(1)
        if rows.is_empty():
            raise SourceError(f"{raw.name}: only a header line and no rows; fetch it again")
        refuse_cut_off(raw, text, rows, width=len(names), separator=",")
        return [conform("bars_daily", _values(_dated(raw, fields(rows, names, ","), options.session)), price_basis="as_traded")]


def index_symbol(name: str) -> str:
    """The symbol of an index: its name in capitals without blanks, "Nifty 50" → "NIFTY50"; an earlier name leads to the present."""
    plain = re.sub(r"[^A-Z0-9&.-]", "", name.upper().replace("/", "-"))
    return _RENAMED.get(plain, plain)


def _layout(raw: RawFile, line: str) -> list[str | None]:
    header = [" ".join(part.upper().split()) for part in split_line(line, ",")]
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise SourceError(
            f"{raw.name}, row 1: no file of NSE's indices ({line[:80]!r}): no column {missing[0]}. Other files: --source csv"
        )
    return [_COLUMNS.get(name) for name in header]


def _dated(raw: RawFile, rows: pl.DataFrame, expected: date | None) -> pl.DataFrame:
    moments = read_moments(raw, rows["moment"], date_order="dmy")
    rows = rows.with_columns(session_date=moments["wall"].dt.date())
    unread = pl.col("session_date").is_null() & line_read()
    rows = with_problems(rows, [pl.when(unread).then(pl.format("date: '{}' is not a date", pl.col("moment")))])
    found = rows["session_date"].drop_nulls().unique().sort().to_list()
    named = _NAME.match(PurePosixPath(raw.name).name)
    stated = expected
    if named is not None:
        try:
            stated = datetime.strptime(named[1], "%d%m%Y").date()  # noqa: DTZ007  # a date, without a time or zone
        except ValueError as error:
            raise SourceError(f"{raw.name}: {named[1]!r} in its name is no date; correct the name") from error
    if len(found) != 1 or (stated is not None and found != [stated]) or (expected is not None and found != [expected]):
        days = ", ".join(map(str, found[:3])) or "no readable date"
        raise SourceError(
            f"{raw.name}: its rows are of {days}, not of the one session {stated or ''}; fetch it again or correct the name"
        )
    return rows


def _values(rows: pl.DataFrame) -> pl.DataFrame:
    """Numbers; an index that has no open, high and low (they are "-") is its close."""
    rows = rows.with_columns(
        pl.when(is_missing(name)).then(pl.col("close")).otherwise(pl.col(name)).alias(name) for name in _PRICES
    )
    values, problems = numbers([*_PRICES, "volume", "turnover"], required=_PRICES)
    empty = pl.when((pl.col("symbol") == "") & line_read()).then(pl.lit("symbol: empty"))
    rows = with_problems(rows, [*problems, empty]).with_columns(values)
    symbols = {name: index_symbol(name) for name in rows["symbol"].drop_nulls().unique() if name}
    return rows.with_columns(
        symbol=pl.col("symbol").replace_strict(symbols, default=None, return_dtype=pl.String),
        volume=pl.when(line_read()).then(pl.col("volume").fill_null(0)),
        # The sum of the constituents' turnover is no turnover of the index: over volume it is none of the index's prices.
        turnover=pl.lit(None, pl.Float64),
    )
