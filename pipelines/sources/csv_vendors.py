"""Delimited files in layouts of one vendor: yfinance's three header rows, Databento's integers, Investing.com's suffixes.

Lives here: leading such a file back to the one header and the plain numbers that the source `csv` reads.
Does not live here: spellings of ordinary headers (`csv_header.py`), the rows of bars (`bar_rows.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.sources.csv_header import Layout, read_header
from pipelines.sources.protocol import ParseOptions, RawFile, SourceError
from pipelines.sources.text import fields, split_line

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIXED: Final = 1_000_000_000
#: What Databento writes for a price that is not defined: the greatest whole number of 64 bits.
_UNDEFINED: Final = str(2**63 - 1)
_DATABENTO: Final = {"ts_event", "rtype", "publisher_id", "open", "high", "low", "close", "volume"}
#: Kinds of records that are bars, by Databento's number.
_RTYPES: Final = {"32": "seconds", "33": "1m", "34": "hours", "35": "1d"}
#: Suffixes of volumes, of a thousand, a million, a billion.
_SUFFIXES: Final = {"K": 1e3, "M": 1e6, "B": 1e9}


def is_yfinance(frame: pl.DataFrame) -> bool:
    """Whether the first two lines are those of `yfinance.download().to_csv()`."""
    if frame.height < 2:
        return False
    first, second = (split_line(line, ",") for line in frame["line"].head(2))
    return first[0].strip() == "Price" and second[0].strip() == "Ticker" and len(first) == len(second)


def yfinance_rows(raw: RawFile, frame: pl.DataFrame) -> tuple[Layout, pl.DataFrame]:
    """The layout and the fields of every bar of such a file, with a column `symbol`.

    Of a file with several tickers a line is a bar of each that has one; `row_number` is then the line for the first ticker, and
    goes on behind the file's last line for the others, so that no two bars have one.
    """
    names, tickers = ([part.strip() for part in split_line(line, ",")] for line in frame["line"].head(2))
    rows = frame.slice(2)
    if rows.height and split_line(rows["line"][0], ",")[0].strip().lower() in {"date", "datetime"}:
        rows = rows.slice(1)
    if rows.is_empty():
        raise SourceError(f"{raw.name}: only header lines and no rows; fetch it again")
    last_line = int(rows["row_number"].to_list()[-1])
    layouts: list[Layout] = []
    parts: list[pl.DataFrame] = []
    for position, ticker in enumerate(dict.fromkeys(tickers[1:])):
        columns = ["Date", *(name if of == ticker else "" for name, of in zip(names[1:], tickers[1:], strict=True))]
        layout = read_header(raw, ",".join(f'"{column}"' for column in [*columns, "end"]))
        layout = Layout(",", layout.names[: len(columns)], [c for c in columns if c])
        part = fields(rows, layout.names, ",").with_columns(
            symbol=pl.lit(ticker), row_number=pl.col("row_number") + position * last_line
        )
        values = [name for name in layout.names if name is not None and name != "moment"]
        absent = pl.all_horizontal(pl.col(name).fill_null("x").is_in(["", "nan", "NaN"]) for name in values)
        parts.append(part.filter(~absent) if len(set(tickers[1:])) > 1 else part)
        layouts.append(layout)
    if any(sorted(filter(None, layout.names)) != sorted(filter(None, layouts[0].names)) for layout in layouts):
        raise SourceError(f"{raw.name}, row 1: its tickers have different columns; download them one by one")
    return Layout(",", [*layouts[0].names, "symbol"], layouts[0].header), pl.concat(parts, how="diagonal")


def databento_options(
    raw: RawFile, layout: Layout, rows: pl.DataFrame, options: ParseOptions
) -> tuple[pl.DataFrame, dict[str, str]]:
    """The rows with undefined prices empty, and the reading options that the file itself states; none for other files.

    Raises SourceError for records that are no days or minutes, several feeds in one file, and instruments without a symbol.
    """
    header = [name.strip().lower() for name in layout.header]
    if not set(header) >= _DATABENTO:
        return rows, {}
    columns = rows.select(pl.col("raw_text").str.split(",").alias("parts"))

    def values(name: str) -> list[str]:
        found = columns.select(pl.col("parts").list.get(header.index(name), null_on_oob=True).str.strip_chars()).to_series()
        return found.drop_nulls().unique().sort().to_list()

    kinds, publishers = values("rtype"), values("publisher_id")
    intervals = {_RTYPES.get(kind, kind) for kind in kinds}
    if len(intervals) != 1 or not intervals <= {"1m", "1d"}:
        raise SourceError(f"{raw.name}, column rtype: holds {', '.join(kinds)[:80]}; minutes (33) or days (35) alone are taken")
    if len(publishers) > 1:
        raise SourceError(
            f"{raw.name}, column publisher_id: holds the feeds {', '.join(publishers)[:80]}, which are several bars of one minute; "
            "ask for one of them"
        )
    if not layout.has("symbol") and options.symbol is None:
        raise SourceError(f"{raw.name}: has no column symbol; ask for it (map_symbols), or name the share with --symbol")
    if not layout.has("symbol") and "instrument_id" in header and len(values("instrument_id")) > 1:
        raise SourceError(f"{raw.name}, column instrument_id: holds several instruments and no symbol; ask for it (map_symbols)")
    prices = ("open", "high", "low", "close")
    defined = rows.with_columns(
        pl.when(pl.col(name) != _UNDEFINED).then(pl.col(name)).otherwise(pl.lit("")).alias(name) for name in prices
    )
    whole = all(defined.select((pl.col(name).str.contains(r"^-?\d*$")).all()).item() for name in prices)
    stated = {"interval": intervals.pop(), **({"price_scale": str(_FIXED)} if whole else {})}
    return defined, stated


def plain_counts(rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Text columns of counts with 58.41M written out as 58410000; everything else is left as it is."""
    for name in columns:
        if not rows[name].str.contains(r"^[0-9.,]+[KMB]$").any():
            continue
        for suffix, times in _SUFFIXES.items():
            number = pl.col(name).str.strip_suffix(suffix).str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)
            matches = pl.col(name).str.contains(rf"^[0-9][0-9.,]*{suffix}$")
            written = (number * times).round().cast(pl.Int64, strict=False).cast(pl.String)
            rows = rows.with_columns(pl.when(matches & written.is_not_null()).then(written).otherwise(pl.col(name)).alias(name))
    return rows
