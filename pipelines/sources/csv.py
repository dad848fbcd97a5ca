"""The source `csv`: delimited text with a header, whoever wrote it.

Lives here: turning the rows of such a file into daily or one-minute bars, and its options.
Does not live here: spellings of headers (`csv_header.py`), layouts of single vendors (`csv_vendors.py`), of dates
(`timestamps.py`), splitting and numbers (`text.py`), what the rows of any table of bars need (`bar_rows.py`).

Options (`ParseOptions.extra`):
- `columns`: the header of a file that has none, separated as its fields are ("date,open,high,low,close,volume"; unknown names
  are skipped).
- `column.FIELD`: the column that holds FIELD, where its name does not tell (`column.close=Last traded`); fields and spellings are
  those of `csv_header.py`, the same as of the source `parquet`.
- `date_order`: `dmy` or `mdy`, where 03/04/2024 is not decided by the file itself.
- `decimal`: `.` (default) or `,`.
- `interval`: `1d` or `1m`, where the data does not show it.
- `label`: `start` (default) or `end`: what the written time of a minute bar means.
- `price_scale`: written prices are this many times the real ones (10000 for deci-cents).
- `volume`: `none` for an index, of which nothing is traded: volume is 0 in every row, whatever the file has.
- `price_basis`: `as_traded`, `split_adjusted` or `adjusted`, where the header does not tell, or tells wrongly.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.sources.bar_rows import (
    checked_options,
    daily_or_minutes,
    price_scale,
    with_basis,
    with_symbol,
    with_written_moments,
    without_volume,
)
from pipelines.sources.csv_header import OPTIONAL, PRICES, Layout, read_header, refuse_other_publishers
from pipelines.sources.csv_vendors import databento_options, is_yfinance, plain_counts, yfinance_rows
from pipelines.sources.names import OPTIONS
from pipelines.sources.price_basis import basis_of_yfinance
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError
from pipelines.sources.text import fields, lines, numbers, read_text, refuse_cut_off, unscaled, with_problems

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUFFIXES: Final = (".csv", ".txt", ".tsv", ".csv.gz", ".txt.gz", ".tsv.gz", ".csv.zst", ".zip")


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
        extra = checked_options(raw, self.name, options.extra, OPTIONS[self.name])
        text = read_text(raw)
        frame = lines(text)
        if is_yfinance(frame):
            return [self._of_yfinance(raw, frame, options, extra)]
        columns = extra.get("columns")
        layout = read_header(raw, frame["line"][0] if columns is None else columns, extra)
        frame = frame.slice(1) if columns is None else frame
        if frame.is_empty():
            raise SourceError(f"{raw.name}: only a header line and no rows; fetch it again")
        refuse_cut_off(raw, text, frame, width=len(layout.names), separator=layout.separator)
        rows = fields(frame, layout.names, layout.separator)
        refuse_other_publishers(raw, rows, options.exchange)
        rows, stated = databento_options(raw, layout, rows, options)
        return [with_basis(_bars(raw, rows, layout, options, {**stated, **extra}), layout.header, extra)]

    def _of_yfinance(self, raw: RawFile, frame: pl.DataFrame, options: ParseOptions, extra: Mapping[str, str]) -> ParsedTable:
        layout, rows = yfinance_rows(raw, frame)
        table = _bars(raw, rows, layout, options, extra)
        basis, notes = basis_of_yfinance(layout.header)
        if "price_basis" in extra:
            return replace(table, price_basis=extra["price_basis"])
        return replace(table, price_basis=basis, notes=notes)


def _bars(raw: RawFile, rows: pl.DataFrame, layout: Layout, options: ParseOptions, extra: Mapping[str, str]) -> ParsedTable:
    """Bars of text fields."""
    bars = _values(raw, rows, layout, extra)
    bars = without_volume(with_symbol(raw, bars, layout, options), extra)
    bars = with_written_moments(raw, bars, layout, options, extra)
    return daily_or_minutes(raw, bars, options, extra)


def _values(raw: RawFile, rows: pl.DataFrame, layout: Layout, extra: Mapping[str, str]) -> pl.DataFrame:
    """Numbers read, problems collected. Prices are divided by the scale."""
    numeric = [name for name in (*PRICES, *OPTIONAL) if layout.has(name)]
    rows = plain_counts(rows, [name for name in ("volume",) if layout.has(name)])
    _require_decimal_mark(raw, rows, numeric, layout, extra)
    values, problems = numbers(numeric, required=PRICES, decimal_comma=extra.get("decimal") == ",")
    rows = with_problems(rows, problems).with_columns(values)
    scale = price_scale(raw, extra.get("price_scale", "1"))
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
