"""The source `parquet`: Parquet files of daily or one-minute bars, from anywhere, the project's own tables included.

Lives here: which column is which field, and typed columns as the fields of a bar.
Does not live here: spellings of names (`csv_header.py`), days or minutes (`bar_rows.py`, `intervals.py`).

Types decide and nothing is guessed: a DATE is a session; a timestamp with a zone is an instant; one without is local time of the
exchange (or of `--timezone`); text and whole numbers are read as the source `csv` reads them.

Options (`ParseOptions.extra`):
- `column.FIELD`: the column that holds FIELD, where its name does not tell (`column.open=o`, `column.moment=bar_time`). Fields:
  moment, clock, symbol, series, open, high, low, close, volume, turnover, trades, prev_close, delivery_qty, isin.
- `date_order`, `interval`, `label`, `price_scale`, `price_basis`, `volume`: as in the source `csv`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sources.bar_rows import (
    checked_options,
    daily_or_minutes,
    price_scale,
    with_basis,
    with_moments,
    with_symbol,
    with_written_moments,
    without_volume,
)
from pipelines.sources.csv_header import (
    OPTIONAL,
    PRICES,
    Layout,
    given_columns,
    match_columns,
    refuse_other_publishers,
)
from pipelines.sources.limits import LimitError, check_rows, check_size
from pipelines.sources.names import OPTIONS
from pipelines.sources.protocol import ParsedTable, ParseOptions, RawFile, SourceError
from pipelines.sources.text import numbers, unscaled, with_problems

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEXTS: Final = ("symbol", "series", "isin", "clock", "published_by")


class ParquetSource:
    """Parquet files with one bar a row: daily or one-minute, one symbol per file or a symbol column."""

    name = "parquet"
    description = "Parquet: daily or one-minute bars, this project's own tables or any with open, high, low, close"
    whole_market = False
    priority = 10
    publication_lag = timedelta(0)

    def claims(self, name: str) -> bool:
        """Files by their ending."""
        return name.lower().endswith((".parquet", ".pq"))

    def parse(self, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
        """One table, `bars_daily` or `bars_1m`, with one row per row of the file.

        Raises SourceError for a damaged or empty file, columns that make no bar or hold something else, rows of another exchange,
        and intervals other than days and minutes.
        """
        extra = checked_options(raw, self.name, options.extra, OPTIONS[self.name])
        content = _read(raw)
        _refuse_other_exchanges(raw, content, options.exchange)
        layout = Layout("", match_columns(raw, content.columns, given_columns(raw, content.columns, extra), "column.open=…"))
        named = _named(raw, content, layout.names)
        refuse_other_publishers(raw, named, options.exchange)
        bars = _values(raw, named, price_scale(raw, extra.get("price_scale", "1")))
        bars = without_volume(with_symbol(raw, bars, layout, options), extra)
        if layout.has("moment") and bars.schema["moment"].is_temporal():
            bars = with_moments(_typed_moments(raw, bars), layout)
        else:
            bars = with_written_moments(raw, bars, layout, options, extra)
        table = daily_or_minutes(raw, bars, options, extra)
        return [with_basis(replace(table, frame=_with_evidence(table.frame, content)), content.columns, extra)]


def parquet_row(raw: RawFile, row_number: int) -> str | None:
    """Row `row_number` (1 = the first) as JSON of its numbers, texts, dates and times; None where there is no such row."""
    try:
        with pq.ParquetFile(raw.path) as file:
            columns = _plain_columns(raw, file.schema_arrow)
        row = pl.scan_parquet(raw.path, glob=False).select(columns).slice(row_number - 1, 1).collect()
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError, SourceError):
        return None
    return row.select(pl.struct(pl.all()).struct.json_encode()).item() if row.height else None


def _read(raw: RawFile) -> pl.DataFrame:
    """The columns that bars, or the evidence of bad rows, can be made of: numbers, text, dates and times.

    Raises SourceError for a damaged or empty file, one beyond the limits, and times of a zone that is not known.
    """
    try:
        with pq.ParquetFile(raw.path) as file:
            columns = _plain_columns(raw, file.schema_arrow)
            check_rows(file.metadata.num_rows, raw.limits)
            groups = range(file.metadata.num_row_groups)
            check_size(sum(file.metadata.row_group(i).total_byte_size for i in groups), raw.limits)
        content = pl.read_parquet(raw.path, columns=columns, hive_partitioning=False, glob=False)
        check_rows(content.height, raw.limits)
        texts = [name for name, dtype in content.schema.items() if dtype == pl.String]
        check_size(max((int(content[name].str.len_bytes().cast(pl.Int64).sum()) for name in texts), default=0), raw.limits)
    except LimitError as error:
        raise SourceError(f"{raw.name}: {error}") from error
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise SourceError(f"{raw.name}: no readable Parquet file ({reason}); it is damaged or cut off, fetch it again") from error
    if content.is_empty():
        raise SourceError(f"{raw.name}: holds no row; fetch it again")
    return content


def _plain_columns(raw: RawFile, schema: pa.Schema) -> list[str]:
    """Names of the columns that are no lists, structs or bytes."""
    for field in schema:
        zone = getattr(field.type, "tz", None)
        if zone is not None and not _is_zone(zone):
            raise SourceError(f"{raw.name}, column {field.name!r}: its times are of the zone {zone!r}, which is not known")
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_temporal, _is_text)
    return [field.name for field in schema if any(is_kind(field.type) for is_kind in kinds)]


def _is_text(dtype: pa.DataType) -> bool:
    plain = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    return pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain) or pa.types.is_null(plain)


def _is_zone(name: str) -> bool:
    if re.fullmatch(r"[+-]\d{2}:?\d{2}", name):
        return True
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _refuse_other_exchanges(raw: RawFile, content: pl.DataFrame, expected: str) -> None:
    """The project's own tables say whose rows they are; those of another exchange would be given this one's sessions."""
    if not {"exchange", "instrument_id"} <= set(content.columns):
        return
    others = content["exchange"].drop_nulls().unique().sort().to_list()
    if others != [expected]:
        raise SourceError(
            f"{raw.name}, column exchange: holds rows of {', '.join(map(str, others)) or 'no exchange'}, not of {expected} alone; "
            "choose the right --exchange, or write one file per exchange"
        )


def _named(raw: RawFile, content: pl.DataFrame, names: Sequence[str | None]) -> pl.DataFrame:
    """The used columns under their fields' names, with `row_number` and empty evidence; texts are stripped text."""
    used = {field: content.columns[i] for i, field in enumerate(names) if field is not None}
    for field, column in used.items():
        dtype = content.schema[column]
        plain = dtype.is_numeric() or dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum | pl.Null)
        if not plain and not (field in {"moment", "clock"} and dtype.is_temporal()):
            raise SourceError(f"{raw.name}, column {column!r}: is {dtype}, which is no {field}; name another with column.{field}=…")
    return content.select(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row_number"),
        pl.lit(None, pl.String).alias("parse_problem"),
        pl.lit(None, pl.String).alias("raw_text"),
        *(_field(field, column, content.schema[column]) for field, column in used.items()),
    )


def _field(field: str, column: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(column).alias(field)
    if field in _TEXTS or (field == "moment" and not dtype.is_temporal()):
        return value.cast(pl.String).str.strip_chars().fill_null("")
    return value if dtype.is_numeric() or dtype.is_temporal() else value.cast(pl.String)


def _values(raw: RawFile, bars: pl.DataFrame, scale: float) -> pl.DataFrame:
    """Prices and the other numbers as floats, prices unscaled; what is not finite is null with a problem."""
    present = [name for name in (*PRICES, *OPTIONAL) if name in bars.columns]
    written = [name for name in present if bars.schema[name] == pl.String]
    values, problems = numbers(written, required=PRICES)
    for name in sorted(set(present) - set(written), key=present.index):
        value = pl.col(name).cast(pl.Float64)
        values.append(pl.when(value.is_finite()).then(value).alias(name))
        unread = pl.when(~value.is_finite()).then(pl.format(name + ": '{}' is not a number", value))
        problems.append(unread.when(pl.lit(name in PRICES) & value.is_null()).then(pl.lit(f"{name}: empty")))
    bars = with_problems(bars, problems).with_columns(values)
    return unscaled(bars, [name for name in (*PRICES, "prev_close") if name in present], scale)


def _typed_moments(raw: RawFile, bars: pl.DataFrame) -> pl.DataFrame:
    """`written`, `wall`, `has_time` and `offset` (see `read_moments`) of a column of dates or timestamps."""
    dtype = bars.schema["moment"]
    if not isinstance(dtype, pl.Date | pl.Datetime) or "clock" in bars.columns:
        raise SourceError(
            f"{raw.name}: the moment of a bar must be in one column, a date or a timestamp; name it with the option column.moment=…"
        )
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    moment = pl.col("moment").dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else pl.col("moment")
    bars = bars.with_columns(
        written=pl.col("moment").cast(pl.String),
        wall=moment.cast(pl.Datetime("us")),
        has_time=pl.lit(isinstance(dtype, pl.Datetime)),
        offset=pl.lit(0 if zoned else None, pl.Int64),
    )
    if bars["wall"].is_null().all():
        raise SourceError(f"{raw.name}: no row has a date; name its column with the option column.moment=…")
    return bars


def _with_evidence(frame: pl.DataFrame, content: pl.DataFrame) -> pl.DataFrame:
    """`raw_text` of unreadable rows: the row as JSON, every column of the file."""
    bad = frame.filter(pl.col("parse_problem").is_not_null()).select("row_number")
    if bad.is_empty():
        return frame
    rows = content[(bad["row_number"] - 1).to_list()].select(pl.struct(pl.all()).struct.json_encode().alias("raw_text"))
    evidence = pl.concat([bad, rows], how="horizontal")
    return frame.drop("raw_text").join(evidence, on="row_number", how="left", maintain_order="left").select(frame.columns)
