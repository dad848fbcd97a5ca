"""The source `csv`: delimited text with a header, whoever wrote it.

Lives here: turning the rows of such a file into daily or one-minute bars, and its options.
Does not live here: spellings of headers (`csv_header.py`), of dates (`moments.py`), splitting and numbers (`text.py`).

Options (`ParseOptions.extra`):
- `columns`: the header of a file that has none, separated as its fields are ("date,open,high,low,close,volume"; unknown names
  are skipped).
- `date_order`: `dmy` or `mdy`, where 03/04/2024 is not decided by the file itself.
- `decimal`: `.` (default) or `,`.
- `interval`: `1d` or `1m`, where the data does not show it.
- `label`: `start` (default) or `end`: what the written time of a minute bar means.
- `price_scale`: written prices are this many times the real ones (10000 for deci-cents).
"""

from __future__ import annotations

import difflib
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.sources.csv_header import PRICES, Layout, read_header
from pipelines.sources.intervals import is_daily, minute_starts
from pipelines.sources.moments import DATE_ORDERS, clock_text, read_moments
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError, conform
from pipelines.sources.text import (
    fields,
    is_missing,
    line_read,
    lines,
    numbers,
    read_text,
    refuse_cut_off,
    stem,
    unscaled,
    with_problems,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUFFIXES: Final = (".csv", ".txt", ".tsv", ".csv.gz", ".txt.gz", ".tsv.gz", ".zip")
_CHOICES: Final[dict[str, tuple[str, ...] | None]] = {
    "columns": None,
    "date_order": DATE_ORDERS,
    "decimal": (".", ","),
    "interval": ("1d", "1m"),
    "label": ("start", "end"),
    "price_scale": None,
}


class CsvSource:
    """Delimited text with a header: daily or one-minute bars, one symbol per file or a symbol column."""

    name = "csv"
    description = "CSV or other delimited text with a header (plain, .gz, .zip): daily or one-minute bars, in the usual spellings"
    whole_market = False
    priority = 10
    publication_lag = timedelta(0)

    def claims(self, name: str) -> bool:
        """Text files by their ending, packed or not."""
        return name.lower().endswith(_SUFFIXES)

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """One table, `bars_daily` or `bars_1m`, with one row per data row. Raises SourceError as the module says."""
        extra = _checked(raw, options.extra)
        text = read_text(raw)
        frame = lines(text)
        columns = extra.get("columns")
        layout = read_header(raw, frame["line"][0] if columns is None else columns)
        frame = frame.slice(1) if columns is None else frame
        if frame.is_empty():
            raise SourceError(f"{raw.name}: only a header line and no rows; fetch it again")
        refuse_cut_off(raw, text, frame, width=len(layout.names), separator=layout.separator)
        bars = _values(raw, fields(frame, layout.names, layout.separator), layout, extra)
        bars = _with_symbol(raw, bars, layout, options)
        bars = _with_moments(raw, bars, layout, options, extra)
        if is_daily(raw, bars, options.timezone, extra.get("interval")):
            return [conform("bars_daily", bars.with_columns(session_date=_session_dates(options)))]
        return [conform("bars_1m", minute_starts(raw, bars, _zone(raw, options), extra))]


def _checked(raw: RawFile, extra: Mapping[str, str]) -> Mapping[str, str]:
    """The options, once names and values are known to be right."""
    for name, value in extra.items():
        if name not in _CHOICES:
            close = difflib.get_close_matches(name, list(_CHOICES), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise SourceError(f"{raw.name}: the source csv has no option {name!r}{hint} It has {', '.join(_CHOICES)}")
        choices = _CHOICES[name]
        if choices is not None and value not in choices:
            raise SourceError(f"{raw.name}: option {name}={value!r} must be one of {', '.join(choices)}")
    return extra


def _price_scale(raw: RawFile, text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise SourceError(f"{raw.name}: option price_scale={text!r} must be a number above zero, such as 100 or 10000")
    return scale


def _values(raw: RawFile, rows: pl.DataFrame, layout: Layout, extra: Mapping[str, str]) -> pl.DataFrame:
    """Numbers read, problems collected. Prices are divided by the scale."""
    numeric = [name for name in (*PRICES, "volume", "turnover", "trades", "prev_close", "delivery_qty") if layout.has(name)]
    _require_decimal_mark(raw, rows, numeric, layout, extra)
    values, problems = numbers(numeric, required=PRICES, decimal_comma=extra.get("decimal") == ",")
    rows = with_problems(rows, problems).with_columns(values)
    scale = _price_scale(raw, extra.get("price_scale", "1"))
    scaled = [name for name in (*PRICES, "prev_close") if layout.has(name)]
    return unscaled(rows, scaled, scale)


def _require_decimal_mark(raw: RawFile, rows: pl.DataFrame, numeric: list[str], layout: Layout, extra: Mapping[str, str]) -> None:
    """SourceError where commas inside numbers may be decimal: fields parted by something else, and no option says."""
    if layout.separator == "," or "decimal" in extra:
        return
    for name in numeric:
        found = rows.filter(pl.col(name).str.contains(",", literal=True))
        if found.height:
            raise SourceError(
                f"{raw.name}, row {found['row_number'][0]}, column {name}: the comma of {found[name][0]!r} may be a decimal "
                "comma or part thousands; say which with the option decimal=, or decimal=."
            )


def _with_symbol(raw: RawFile, bars: pl.DataFrame, layout: Layout, options: ParseOptions) -> pl.DataFrame:
    """Upper-cased symbol: the option, else the column, else the file's stem."""
    if not layout.has("symbol"):
        return bars.with_columns(symbol=pl.lit((options.symbol or stem(raw.name)).upper()))
    # NA, NAN and NULL are tickers of listed companies: only an empty field is a missing symbol.
    written_symbol = pl.col("symbol") != ""
    empty = pl.when(~written_symbol & line_read()).then(pl.lit("symbol: empty"))
    bars = with_problems(bars, [empty]).with_columns(symbol=pl.when(written_symbol).then(pl.col("symbol").str.to_uppercase()))
    if options.symbol is None:
        return bars
    written = bars["symbol"].drop_nulls().unique()
    if len(written) > 1:
        raise SourceError(
            f"{raw.name}: holds {len(written)} symbols, so symbol {options.symbol!r} cannot name them all; leave it out"
        )
    return bars.with_columns(symbol=pl.lit(options.symbol.upper()))


def _with_moments(
    raw: RawFile, bars: pl.DataFrame, layout: Layout, options: ParseOptions, extra: Mapping[str, str]
) -> pl.DataFrame:
    """Add `wall`, `has_time` and `offset` (see `read_moments`) and the problems of dates."""
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
    bars = pl.concat([bars, written, moments], how="horizontal")
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
