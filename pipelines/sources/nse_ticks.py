"""The source `nse_ticks`: recorded snapshots of NSE shares, one share and day a file.

Lives here: the layout, the share that a file's name means, which snapshots become bars and which are handed on one by one.
Does not live here: the rule from snapshots to bars (`market/aggregation.py`), what is wrong with a time or price (`quality/`).

Layout, as in https://github.com/ShabbirHasan1/NSE-Data (Live NSE Tick Data): a header `timestamp,ltp,volume`; the time is that of
the exchange to the second, without zone; `ltp` the last price in rupees; `volume` the shares traded since the day's start. The
lines are in order of arrival, which is not quite that of time.

A row of the result is a minute that traded, or one snapshot that no bar can be made of: unreadable, without a clock (it was stamped
with the epoch, 1970-01-01 05:30:00 in India), or with a price or volume that is none. The latter carry price and volume as written.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from pipelines.market.aggregation import ticks_to_minutes, trades_of_cumulative
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError, conform
from pipelines.sources.text import (
    fields,
    line_read,
    lines,
    numbers,
    read_text,
    refuse_cut_off,
    split_line,
    stem,
    with_problems,
)
from pipelines.sources.timestamps import read_moments, to_utc

_ZONE: Final = "Asia/Kolkata"
_COLUMNS: Final = ("timestamp", "ltp", "volume")
_NAMES: Final[list[str | None]] = ["moment", "price", "cumulative"]
#: RELIANCE_09_April, RELIANCE_2021-05-14_, TATASTEEL2021-05-14_, SBIN 14-May-2021, sbin_14052021.
_DAY: Final = r"\d{4}-\d{2}-\d{2}|\d{1,2}[-_ ]?[A-Za-z]{3,9}(?:[-_ ]?\d{2,4})?|\d{1,2}[-_]\d{1,2}[-_]\d{2,4}|\d{8}"
_NAME: Final = re.compile(rf"^(?P<symbol>[A-Za-z0-9][A-Za-z0-9&-]*?)(?:[-_ ]+(?:{_DAY})|\d{{4}}-\d{{2}}-\d{{2}})[-_ ]*$")
_BARE: Final = re.compile(r"^[A-Z0-9&-]*[A-Z][A-Z0-9&-]*$")
_SUFFIXES: Final = (".csv", ".csv.gz", ".csv.zst", ".zip")
#: Symbols that the files' names spell otherwise; each was held against the exchange's volume of the day.
_SPELT: Final = {"MM": "M&M"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class NseTicksSource:
    """Last price and cumulative volume of one NSE share, second by second, as one-minute bars."""

    name = "nse_ticks"
    description = "Recorded NSE snapshots (timestamp, ltp, cumulative volume; plain or zipped), made one-minute bars"
    whole_market = False
    priority = 20
    publication_lag = timedelta(0)

    def claims(self, name: str) -> bool:
        """Text files by their ending: what is no recording, or does not name its share, is refused by name."""
        return name.lower().endswith(_SUFFIXES)

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """`bars_1m`. Raises SourceError for options, another header, a damaged file or one without a readable time."""
        if options.extra:
            raise SourceError(f"{raw.name}: the source {self.name} has no options, not {', '.join(sorted(options.extra))}")
        text = read_text(raw)
        rows = _snapshots(raw, text)
        moments = read_moments(raw, rows["moment"])
        if moments["wall"].is_null().all():
            raise SourceError(f"{raw.name}, row {rows['row_number'][0]}: no row has a readable time; fetch it again")
        rows = pl.concat([rows, moments], how="horizontal")
        rows = rows.with_columns(
            ts=to_utc(pl.col("wall"), pl.col("offset"), options.timezone or _ZONE), session_date=pl.col("wall").dt.date()
        )
        unread = pl.col("ts").is_null() & line_read()
        rows = with_problems(rows, [pl.when(unread).then(pl.format("time: '{}' is no date and time", pl.col("moment")))])
        rows = rows.with_columns(symbol=pl.lit(_symbol(raw, options)))
        return [conform("bars_1m", _minutes(rows), price_basis="as_traded")]


def _snapshots(raw: RawFile, text: str) -> pl.DataFrame:
    """Price and cumulative volume of each line, problems collected."""
    frame = lines(text)
    header = tuple(part.strip().lower() for part in split_line(frame["line"][0], ","))
    if header != _COLUMNS:
        raise SourceError(
            f"{raw.name}, row 1: no file of snapshots ({frame['line'][0][:80]!r}); its header is {','.join(_COLUMNS)}. "
            "Other files: --source csv"
        )
    rows = frame.slice(1)
    if rows.is_empty():
        raise SourceError(f"{raw.name}: only a header line and no rows; fetch it again")
    refuse_cut_off(raw, text, rows, width=len(_NAMES), separator=",")
    rows = fields(rows, _NAMES, ",")
    values, problems = numbers(["price", "cumulative"], required=["price", "cumulative"])
    return with_problems(rows, problems).with_columns(values)


def _symbol(raw: RawFile, options: ParseOptions) -> str:
    if options.symbol is not None:
        return options.symbol.upper()
    bare = stem(raw.name)
    named = _NAME.match(bare)
    if named is None and _BARE.match(bare) is None:
        raise SourceError(
            f"{raw.name}: the name does not tell the share; call the file SHARE_2021-04-09.csv, or name the share with --symbol"
        )
    symbol = named["symbol"].upper() if named else bare
    return _SPELT.get(symbol, symbol)


def _minutes(rows: pl.DataFrame) -> pl.DataFrame:
    """Bars of the snapshots that can be used, the others behind them."""
    counted = (pl.col("cumulative") >= 0) & (pl.col("cumulative") == pl.col("cumulative").floor())
    usable = pl.col("parse_problem").is_null() & (pl.col("ts") != _EPOCH) & (pl.col("price") > 0) & counted
    marked = rows.with_columns(__usable=usable.fill_null(value=False))
    trades = trades_of_cumulative(marked.filter("__usable"))
    price = pl.col("price")
    apart = marked.filter(~pl.col("__usable")).with_columns(open=price, high=price, low=price, close=price, volume="cumulative")
    bars = ticks_to_minutes(trades, first=["row_number"])
    return pl.concat([bars, apart.with_columns(pl.col("ts").dt.truncate("1m"))], how="diagonal_relaxed")
