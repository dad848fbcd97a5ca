"""What rows of bars need whichever file they came from: options, symbol, moment, and the decision between days and minutes.

Lives here: the steps that the sources of free-form tables (`csv`, `parquet`) share.
Does not live here: getting fields out of a file (the sources), spellings (`csv_header.py`, `timestamps.py`), intervals
(`intervals.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from pipelines.sources.csv_header import Layout
from pipelines.sources.intervals import is_daily, minute_starts, refuse_coarser_than_days
from pipelines.sources.names import SourceOptionError, check_option
from pipelines.sources.price_basis import basis_of
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError, conform
from pipelines.sources.text import is_missing, line_read, stem, with_problems
from pipelines.sources.timestamps import clock_text, read_moments
from pipelines.sources.vendor_symbols import exchange_symbol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def checked_options(
    raw: RawFile, source: str, extra: Mapping[str, str], known: Mapping[str, tuple[str, ...] | None]
) -> Mapping[str, str]:
    """The options, once names and values are known to be right; `known` gives each option's choices, None for free text."""
    for name, value in extra.items():
        try:
            check_option(source, name, value, known)
        except SourceOptionError as error:
            raise SourceError(f"{raw.name}: {error}") from error
    return extra


def price_scale(raw: RawFile, text: str) -> float:
    """How many times the real prices the written ones are. SourceError unless it is a number above zero."""
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise SourceError(f"{raw.name}: option price_scale={text!r} must be a number above zero, such as 100 or 10000")
    return scale


def daily_or_minutes(raw: RawFile, bars: pl.DataFrame, options: ParseOptions, extra: Mapping[str, str]) -> ParsedTable:
    """`bars_daily` or `bars_1m` from rows with `wall`, `has_time`, `offset` and `written`.

    Raises SourceError for other intervals.
    """
    if is_daily(raw, bars, options.timezone, extra.get("interval")):
        if "interval" not in extra:
            refuse_coarser_than_days(raw, bars)
        return conform("bars_daily", bars.with_columns(session_date=_session_dates(options)))
    return conform("bars_1m", minute_starts(raw, bars, _zone(raw, options), extra))


def with_basis(table: ParsedTable, header: Sequence[str], extra: Mapping[str, str]) -> ParsedTable:
    """`table` with its price basis, and what is to be said of adjusted columns: as the option has it, else as the header tells."""
    basis, notes = basis_of(header)
    if "price_basis" in extra:
        return replace(table, price_basis=extra["price_basis"])
    return replace(table, price_basis=basis, notes=(*table.notes, *notes))


def without_volume(bars: pl.DataFrame, extra: Mapping[str, str]) -> pl.DataFrame:
    """`bars` of an index, where the option says that it is one: volume is 0 in every row that was read."""
    if extra.get("volume") != "none":
        return bars
    return bars.with_columns(volume=pl.when(line_read()).then(pl.lit(0.0)))


def with_symbol(raw: RawFile, bars: pl.DataFrame, layout: Layout, options: ParseOptions) -> pl.DataFrame:
    """Upper-cased symbol: the option, else the column, else the file's stem. SourceError when one option would name several."""
    if not layout.has("symbol"):
        return _of_exchange(bars.with_columns(symbol=pl.lit((options.symbol or stem(raw.name)).upper())), options)
    # NA, NAN and NULL are tickers of listed companies: only an empty field is a missing symbol.
    written_symbol = pl.col("symbol") != ""
    empty = pl.when(~written_symbol & line_read()).then(pl.lit("symbol: empty"))
    bars = with_problems(bars, [empty]).with_columns(symbol=pl.when(written_symbol).then(pl.col("symbol").str.to_uppercase()))
    if options.symbol is None:
        return _of_exchange(bars, options)
    written = bars["symbol"].drop_nulls().unique()
    if len(written) > 1:
        raise SourceError(
            f"{raw.name}: holds {len(written)} symbols, so symbol {options.symbol!r} cannot name them all; leave it out"
        )
    return _of_exchange(bars.with_columns(symbol=pl.lit(options.symbol.upper())), options)


def _of_exchange(bars: pl.DataFrame, options: ParseOptions) -> pl.DataFrame:
    """Symbols without what a vendor adds for the exchange; one of another exchange is a problem of its row."""
    plain, other = exchange_symbol(pl.col("symbol"), options.exchange)
    return with_problems(bars, [other]).with_columns(symbol=plain)


def with_written_moments(
    raw: RawFile, bars: pl.DataFrame, layout: Layout, options: ParseOptions, extra: Mapping[str, str]
) -> pl.DataFrame:
    """Text columns of dates and times read: adds `written`, `wall`, `has_time` and `offset` (see `read_moments`), and problems.

    Raises SourceError when no row has a readable date, or day and month cannot be distinguished.
    """
    if layout.has("moment") and layout.has("clock"):
        written = bars.select(_date_and_clock(bars).alias("written"))
    elif layout.has("moment"):
        written = bars.select(written="moment")
    else:
        written = bars.select(_session_and_clock(raw, bars, options).alias("written"))
    moments = read_moments(raw, written["written"], date_order=extra.get("date_order"))
    if moments["wall"].is_null().all():
        raise SourceError(
            f"{raw.name}, row {bars['row_number'][0]}: no row has a readable date; the first is {written['written'][0]!r}. "
            "Known are 2024-12-31, 12/31/2024, 31-Dec-2024, 20241231 and epochs, each with a time or without"
        )
    return with_moments(pl.concat([bars, written, moments], how="horizontal"), layout)


def with_moments(bars: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """The problems of rows whose `wall` is null; `written` is the text they show."""
    unread = pl.col("wall").is_null() & line_read()
    problem = (
        pl.when(unread & is_missing("written"))
        .then(pl.lit("date or time: empty" if layout.has("clock") else "date: empty"))
        .when(unread)
        .then(pl.format("date: '{}' is not a date or time", pl.col("written")))
    )
    return with_problems(bars, [problem])


def _date_and_clock(bars: pl.DataFrame) -> pl.Expr:
    """Both columns as one text; null where only one is filled, because a minute row without its time is no midnight bar."""
    if bars.select((~is_missing("clock")).any()).item():
        both = pl.concat_str(pl.col("moment"), clock_text("clock"), separator=" ")
        return pl.when(~is_missing("clock") & ~is_missing("moment")).then(both)
    return pl.col("moment")


def _session_and_clock(raw: RawFile, bars: pl.DataFrame, options: ParseOptions) -> pl.Expr:
    """The time column, put on the session's date where it holds times only."""
    has_dates = bars["clock"].str.contains(r"\d{4}-\d|\d[/-]\d|^\d{8,}").any()
    if has_dates:
        return pl.col("clock")
    if options.session is None:
        raise SourceError(f"{raw.name}: rows have a time and no date; say which session it is with --session YYYY-MM-DD")
    return pl.when(~is_missing("clock")).then(pl.concat_str(pl.lit(f"{options.session.isoformat()} "), clock_text("clock")))


def _session_dates(options: ParseOptions) -> pl.Expr:
    """The written date of a daily row; an instant of UTC that is not midnight there is midnight in the exchange's zone."""
    wall = pl.col("wall")
    if options.timezone is None:
        return wall.dt.date()
    local = wall.dt.replace_time_zone("UTC").dt.convert_time_zone(options.timezone).dt.date()
    in_utc = (pl.col("offset") == 0) & (wall.dt.time() != pl.time(0, 0))
    return pl.when(in_utc).then(local).otherwise(wall.dt.date())


def _zone(raw: RawFile, options: ParseOptions) -> str:
    if options.timezone is None:
        raise SourceError(f"{raw.name}: minute bars need the time zone of the written times; set it with --timezone")
    return options.timezone
