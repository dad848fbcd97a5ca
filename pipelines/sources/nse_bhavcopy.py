"""The source `nse_bhavcopy`: the end-of-day files of India's National Stock Exchange, whole market, one session a file.

Lives here: which row of an instrument is its bar and which are other prints, the unit of turnover, zeros that mean missing, and
the dates that must agree.
Does not live here: the three layouts (`nse_layouts.py`), renames by ISIN (`identity/resolve.py`), sessions delivered twice
(`quality/stale_files.py`).

A bar is the row of the first main series that the symbol has in the file (EQ, else BE, else BZ); it goes to `bars_daily`. Every
other row (block deals BL, T+0 trades T0, SME, debt, rights) is a print of its own and goes to `bars_other_series`.

Options (`ParseOptions.extra`):
- `main_series`: the main series in order of preference, parted by commas (default `EQ,BE,BZ`; `EQ,BE,BZ,SM,ST,SZ` takes SME
  shares in).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.sources.csv_header import refuse_other_publishers
from pipelines.sources.nse_layouts import FileLayout, date_in_name, is_bhavcopy_name, read_layout
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError, conform
from pipelines.sources.text import fields, is_missing, line_read, lines, numbers, read_text, refuse_cut_off, with_problems
from pipelines.sources.timestamps import read_moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAIN_SERIES: Final = ("EQ", "BE", "BZ")
_PRICES: Final = ("open", "high", "low", "close")
_OPTIONAL: Final = ("prev_close", "turnover", "trades", "delivery_qty")
_RUPEES_PER_LAKH: Final = 100_000
#: Letters of the country, nine of the country's own number, a check digit (ISO 6166).
_ISIN: Final = r"^[A-Z]{2}[A-Z0-9]{9}[0-9]$"


class NseBhavcopySource:
    """NSE bhavcopies: legacy `cm…bhav`, `sec_bhavdata_full` with deliveries, UDiFF since 2024-07-08; plain or packed."""

    name = "nse_bhavcopy"
    description = "NSE end-of-day files, plain or zipped: cm…bhav, sec_bhavdata_full (deliveries), UDiFF BhavCopy_NSE_CM"
    whole_market = True
    priority = 30
    #: The exchange publishes about 18:30 IST, three hours after the regular close.
    publication_lag = timedelta(hours=3)

    def claims(self, name: str) -> bool:
        """Files under the names that the exchange gives them."""
        return is_bhavcopy_name(name)

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """`bars_daily` and `bars_other_series`, together one row per data row.

        Raises SourceError for another layout, another market segment, damaged files, more than one session in a file, and a
        session that the file's name or `options.session` contradicts.
        """
        main = _main_series(raw, options.extra)
        text = read_text(raw)
        frame = lines(text)
        layout = read_layout(raw, frame["line"][0])
        rows = frame.slice(1)
        if rows.is_empty():
            raise SourceError(f"{raw.name}: only a header line and no rows; fetch it again")
        refuse_cut_off(raw, text, rows, width=len(layout.names), separator=",")
        rows = _dated(raw, _read(raw, rows, layout), options.session)
        rows = _without_empty_zeros(_in_rupees(raw, rows, layout))
        return _by_series(rows, main)


def _main_series(raw: RawFile, extra: Mapping[str, str]) -> tuple[str, ...]:
    unknown = [name for name in extra if name != "main_series"]
    if unknown:
        raise SourceError(f"{raw.name}: the source nse_bhavcopy has no option {unknown[0]!r}; it has main_series")
    if "main_series" not in extra:
        return _MAIN_SERIES
    series = tuple(part.strip().upper() for part in extra["main_series"].split(","))
    if not all(series) or len(set(series)) < len(series):
        raise SourceError(
            f"{raw.name}: option main_series={extra['main_series']!r} must name series once each, parted by commas: EQ,BE,BZ"
        )
    return series


def _read(raw: RawFile, rows: pl.DataFrame, layout: FileLayout) -> pl.DataFrame:
    """Fields by name: numbers read, symbol, series and ISIN as text, problems collected."""
    rows = fields(rows, layout.names, ",")
    if rows["parse_problem"].is_not_null().all():
        raise SourceError(f"{raw.name}, row {rows['row_number'][0]}: {rows['parse_problem'][0]}; the header names another layout")
    _refuse_other_segments(raw, rows, layout)
    numeric = [name for name in (*_PRICES, "volume", *_OPTIONAL) if name in layout.names]
    values, problems = numbers(numeric, required=(*_PRICES, "volume"))
    texts = [name for name in ("symbol", "series", "isin") if name in layout.names]
    empty = [pl.when((pl.col(name) == "") & line_read()).then(pl.lit(f"{name}: empty")) for name in ("symbol", "series")]
    rows = with_problems(rows, [*problems, *empty]).with_columns(values)
    rows = rows.with_columns(pl.when(pl.col(name) != "").then(pl.col(name).str.to_uppercase()) for name in texts)
    if "isin" not in layout.names:
        return rows
    valid = pl.col("isin").str.contains(_ISIN)
    rows = with_problems(rows, [pl.when(~is_missing("isin") & ~valid).then(pl.format("isin: '{}' is no ISIN", pl.col("isin")))])
    return rows.with_columns(isin=pl.when(valid).then(pl.col("isin")))


def _refuse_other_segments(raw: RawFile, rows: pl.DataFrame, layout: FileLayout) -> None:
    """UDiFF has one layout for all markets; only the cash market holds shares."""
    if "segment" not in layout.names:
        return
    refuse_other_publishers(raw, rows, "XNSE")
    others = rows.filter((pl.col("segment") != "CM") & line_read())
    if others.height:
        raise SourceError(
            f"{raw.name}, row {others['row_number'][0]}, column Sgmt: holds the segment {others['segment'][0]!r}; "
            "only the cash market (CM) is taken, ingest BhavCopy_NSE_CM_…"
        )


def _dated(raw: RawFile, rows: pl.DataFrame, expected: date | None) -> pl.DataFrame:
    """`session_date` from the rows, the same in all; held against the file's name and the caller's `expected`."""
    moments = read_moments(raw, rows["moment"])
    rows = rows.with_columns(session_date=moments["wall"].dt.date())
    unread = pl.col("session_date").is_null() & line_read()
    rows = with_problems(rows, [pl.when(unread).then(pl.format("date: '{}' is not a date", pl.col("moment")))])
    found = rows["session_date"].drop_nulls().unique().sort().to_list()
    if not found:
        raise SourceError(
            f"{raw.name}, row {rows['row_number'][0]}: no row has a readable date; the first is {rows['moment'][0]!r}"
        )
    if len(found) > 1:
        raise SourceError(
            f"{raw.name}: holds rows of {len(found)} sessions, {found[0]} to {found[-1]}; a bhavcopy is of one, "
            "ingest one file per session"
        )
    named = date_in_name(raw)
    if named is not None and named != found[0]:
        raise SourceError(
            f"{raw.name}: its name says {named} but its rows are of {found[0]}, so it is the file of {found[0]} "
            "under another name; fetch the right one, or correct the name"
        )
    if expected is not None and expected != found[0]:
        raise SourceError(f"{raw.name}: its rows are of {found[0]}, not of {expected}; leave --session out or correct it")
    return rows


def _in_rupees(raw: RawFile, rows: pl.DataFrame, layout: FileLayout) -> pl.DataFrame:
    """Turnover in rupees. The column TURNOVER_LACS holds rupees in most files before June 2021 and lakhs since: the rows tell."""
    if layout.turnover_in != "rupees or lakhs":
        return rows
    with_trades = rows.filter((pl.col("turnover") > 0) & (pl.col("volume") > 0) & (pl.col("close") > 0))
    if with_trades.is_empty():
        return rows
    # Of shares that trade a few units, lakhs with two decimals tell little: the middle row decides.
    ratio = float(with_trades.select((pl.col("turnover") / (pl.col("volume") * pl.col("close"))).median()).item())
    if 0.5 <= ratio <= 2:
        return rows
    if 0.5 <= ratio * _RUPEES_PER_LAKH <= 2:
        return rows.with_columns((pl.col("turnover") * _RUPEES_PER_LAKH).round(2))
    raise SourceError(
        f"{raw.name}, column TURNOVER_LACS: turnover over volume × close is {ratio:.3g} in the middle row, neither about 1 "
        "(rupees) nor about 0.00001 (lakhs); a column is damaged or swapped, fetch it again"
    )


def _without_empty_zeros(rows: pl.DataFrame) -> pl.DataFrame:
    """Null for zeros that stand for "not given".

    Something traded, so turnover and trades cannot be 0; a previous close of 0 is a first day of trading; deliveries can be 0 of
    one instrument but not of the whole market (files before 2020 have them all 0).
    """
    traded = pl.col("volume") > 0
    zero = {
        "turnover": traded,
        "trades": traded,
        "prev_close": pl.lit(value=True),
        "delivery_qty": (pl.col("delivery_qty").fill_null(0) == 0).all() if "delivery_qty" in rows.columns else traded,
    }
    return rows.with_columns(
        pl.when(~((pl.col(name) == 0) & means_missing)).then(pl.col(name)).alias(name)
        for name, means_missing in zero.items()
        if name in rows.columns
    )


def _by_series(rows: pl.DataFrame, main: Sequence[str]) -> list[ParsedTable]:
    """Main series to `bars_daily`, the others apart. A row without symbol or series stays with the bars, where it is judged."""
    rank = pl.col("series").replace_strict(
        {name: position for position, name in enumerate(main)}, default=len(main), return_dtype=pl.Int64
    )
    ranked = rows.with_columns(__rank=rank)
    best = pl.col("__rank").min().over("symbol")
    is_bar = (pl.col("__rank") == best) & (pl.col("__rank") < len(main))
    kept = ranked.with_columns(__bar=is_bar | pl.col("symbol").is_null() | pl.col("series").is_null())
    return [
        conform("bars_daily", kept.filter(pl.col("__bar")).drop("__rank", "__bar"), price_basis="as_traded"),
        conform("bars_other_series", kept.filter(~pl.col("__bar")).drop("__rank", "__bar"), price_basis="as_traded"),
    ]
