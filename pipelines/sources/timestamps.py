"""Reading dates and times as vendors write them.

Lives here: the spellings of dates, times, offsets and epochs, the day-first or month-first decision, and the way from local time
to UTC.
Does not live here: which columns hold them and whether a file is daily or minute (`csv.py`).

Rules, so that nothing is guessed:
- 03/04/2024 is decided by the file's other rows (one number above 12 tells), else by the option `date_order`; undecided is an
  error.
- A two-digit year is 1969..2068, as POSIX has it.
- A time that the zone skips (clocks set forward) or has twice (clocks set back) has no single instant: the row is unreadable,
  unless the file writes the offset.
- Whole numbers are YYYYMMDD, YYYYMMDDHHMM[SS] or an epoch: 9-10 digits seconds, 12-13 milli-, 15-16 micro-, 18-19 nanoseconds.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from pipelines.sources.protocol import RawFile, SourceError

_YEAR: Final = r"(?<y>\d{4}|\d{2})"
#: Families of date spellings; no text matches two of them. `rest` is the time, if any.
_FAMILIES: Final = (
    r"^(?<y>\d{4})[-/.](?<m>\d{1,2})[-/.](?<d>\d{1,2})(?<rest>(?:[T ,].*)?)$",
    r"^(?<y>(?:19|20)\d{2})(?<m>\d{2})(?<d>\d{2})(?<rest>(?:[T ].*|\d{4}|\d{6})?)$",
    rf"^(?<d>\d{{1,2}})[-/ .]?(?<m>[A-Za-z]{{3,9}})[-/ .,]*{_YEAR}(?<rest>(?:[T ,].*)?)$",
    rf"^(?<m>[A-Za-z]{{3,9}})[-/ .]+(?<d>\d{{1,2}})(?:,? |[-/.]){_YEAR}(?<rest>(?:[T ,].*)?)$",
)
_NUMERIC: Final = rf"^(?<a>\d{{1,2}})[-/.](?<b>\d{{1,2}})[-/.]{_YEAR}(?<rest>(?:[T ,].*)?)$"
_TIME: Final = (
    r"^[T ,]*(?<hour>\d{1,2}):(?<minute>\d{2})(?::(?<second>\d{2})(?:[.,](?<fraction>\d{1,9}))?)?"
    r" ?(?<half>[AaPp][Mm])? ?(?<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?$"
)
_MONTHS: Final = {
    name: number
    for number, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1)
}
#: Digits of an epoch → its units per second.
_EPOCHS: Final = ((r"^\d{9,10}(?:\.\d+)?$", 1), (r"^\d{12,13}(?:\.0+)?$", 10**3), (r"^\d{15,16}$", 10**6), (r"^\d{18,19}$", 10**9))
#: Years a market's data can be of. Others are placeholders (0001-01-01, 9999-12-31) or overflows.
_YEARS: Final = (1800, 2199)
#: The widest offset in use is UTC+14.
_WIDEST_OFFSET: Final = 14 * 3600


def read_moments(raw: RawFile, text: pl.Series, *, date_order: str | None = None) -> pl.DataFrame:
    """Parse moments written in any of the known ways.

    Returns one row per text: `wall` (naive Datetime[us], as written; midnight without a time), `has_time`, and `offset` (Int64
    seconds east of UTC; null when not written, 0 for an epoch). An unreadable text has a null `wall`. Raises SourceError when day
    and month cannot be distinguished.
    """
    written = pl.DataFrame({"text": text.str.strip_chars()})
    # A file of many instruments writes each of its moments many times.
    each = written["text"].unique(maintain_order=True)
    parsed = _read_each(raw, each, date_order).with_columns(each)
    return written.join(parsed, on="text", how="left", nulls_equal=True, maintain_order="left").drop("text")


def _read_each(raw: RawFile, text: pl.Series, date_order: str | None) -> pl.DataFrame:
    frame = pl.DataFrame({"text": text})
    dates = [_family(frame, pattern) for pattern in _FAMILIES if frame["text"].str.contains(pattern).any()]
    numeric = frame.select(pl.col("text").str.extract_groups(_NUMERIC)).unnest("text")
    if numeric["a"].is_not_null().any():
        dates.append(_numeric_dates(raw, frame["text"], numeric, date_order))
    parts = _first_of(dates, frame.height)
    clock = _clock(parts["rest"])
    local = pl.concat([parts, clock], how="horizontal").select(
        wall=pl.when(pl.col("readable")).then(pl.col("date").cast(pl.Datetime("us")) + pl.col("since_midnight")),
        has_time=pl.col("has_time"),
        offset=pl.col("offset"),
    )
    moments = _with_epochs(frame["text"], local)
    return moments.with_columns(pl.when(pl.col("wall").dt.year().is_between(*_YEARS)).then(pl.col("wall")))


def to_utc(wall: pl.Expr, offset: pl.Expr, zone: str) -> pl.Expr:
    """Instants in UTC: by the written offset where there is one, else as local time of `zone` (null when skipped or
    ambiguous).
    """
    by_offset = (wall - pl.duration(seconds=offset)).dt.replace_time_zone("UTC")
    by_zone = wall.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")
    return pl.when(offset.is_not_null()).then(by_offset).otherwise(by_zone)


def clock_text(column: str) -> pl.Expr:
    """A separate time column as HH:MM[:SS] text; 915, 0915 and 91500 are understood."""
    text = pl.col(column).str.strip_chars()
    return pl.when(text.str.contains(r"^\d{3}$|^\d{5}$")).then("0" + text).otherwise(text)


def _family(frame: pl.DataFrame, pattern: str) -> pl.DataFrame:
    parts = frame.select(pl.col("text").str.extract_groups(pattern)).unnest("text")
    named = pl.col("m").str.slice(0, 3).str.to_lowercase().replace_strict(_MONTHS, default=None, return_dtype=pl.Int32)
    month = pl.coalesce(pl.col("m").cast(pl.Int32, strict=False), named)
    return parts.select(_date(pl.col("y"), month, pl.col("d").cast(pl.Int32)).alias("date"), "rest")


def _numeric_dates(raw: RawFile, text: pl.Series, parts: pl.DataFrame, date_order: str | None) -> pl.DataFrame:
    first, second = parts["a"].cast(pl.Int32), parts["b"].cast(pl.Int32)
    order = date_order or _decide_order(raw, text, first, second)
    day, month = ("a", "b") if order == "dmy" else ("b", "a")
    return parts.select(_date(pl.col("y"), pl.col(month).cast(pl.Int32), pl.col(day).cast(pl.Int32)).alias("date"), "rest")


def _decide_order(raw: RawFile, text: pl.Series, first: pl.Series, second: pl.Series) -> str:
    day_first = text.filter((first > 12) & (second <= 12))
    month_first = text.filter((second > 12) & (first <= 12))
    option = "set the option date_order=dmy or date_order=mdy"
    if len(day_first) and len(month_first):
        raise SourceError(
            f"{raw.name}: column date holds {day_first[0]!r} and {month_first[0]!r}, day first and month first; {option}"
        )
    if len(day_first):
        return "dmy"
    undecided = text.filter(first != second)
    if len(month_first) or not len(undecided):
        return "mdy"
    raise SourceError(f"{raw.name}: column date is ambiguous: {undecided[0]!r} may be day first or month first; {option}")


def _date(year: pl.Expr, month: pl.Expr, day: pl.Expr) -> pl.Expr:
    number = year.cast(pl.Int32)
    century = pl.when(year.str.len_chars() == 4).then(0).when(number <= 68).then(2000).otherwise(1900)
    text = pl.format("{}-{}-{}", number + century, month.cast(pl.String).str.zfill(2), day.cast(pl.String).str.zfill(2))
    return text.str.to_date("%Y-%m-%d", strict=False)


def _first_of(dates: list[pl.DataFrame], height: int) -> pl.DataFrame:
    """The one family that matched each row: its `date` and `rest`."""
    if not dates:
        return pl.DataFrame(
            {"date": pl.Series([None] * height, dtype=pl.Date), "rest": pl.Series([None] * height, dtype=pl.String)}
        )
    merged = dates[0]
    for other in dates[1:]:
        merged = merged.select(
            pl.coalesce(pl.col("date"), other["date"]).alias("date"), pl.coalesce(pl.col("rest"), other["rest"]).alias("rest")
        )
    return merged


def _clock(rest: pl.Series) -> pl.DataFrame:
    """`since_midnight`, `has_time`, `offset` and `readable` of the text after a date."""
    expanded = (
        pl.Series("rest", rest)
        .str.replace(r"^[T ]*(\d{2})(\d{2})(\d{2})$", "$1:$2:$3")
        .str.replace(r"^[T ]*(\d{2})(\d{2})$", "$1:$2")
    )
    groups = pl.DataFrame({"rest": expanded}).with_columns(pl.col("rest").str.extract_groups(_TIME).alias("t")).unnest("t")
    whole = {name: pl.col(name).cast(pl.Int64) for name in ("hour", "minute", "second")}
    afternoon, half_day = pl.col("half").str.to_lowercase() == "pm", pl.col("half").is_not_null()
    hour = pl.when(half_day).then(whole["hour"] % 12 + afternoon.cast(pl.Int64) * 12).otherwise(whole["hour"])
    hour_valid = pl.when(half_day).then(whole["hour"].is_between(1, 12)).otherwise(whole["hour"] <= 23)
    second = whole["second"].fill_null(0)
    offset_valid = _offset_seconds().abs().fill_null(0) <= _WIDEST_OFFSET
    valid = hour_valid & (whole["minute"] <= 59) & (second <= 59) & offset_valid
    micros = pl.col("fraction").str.pad_end(9, "0").str.slice(0, 6).cast(pl.Int64).fill_null(0)
    has_time = pl.col("rest").str.strip_chars() != ""
    return groups.select(
        since_midnight=pl.when(has_time)
        .then(pl.duration(hours=hour, minutes=whole["minute"], seconds=second, microseconds=micros))
        .otherwise(pl.duration(seconds=0)),
        has_time=has_time,
        offset=_offset_seconds(),
        readable=(~has_time | valid.fill_null(value=False)).fill_null(value=False),
    )


def _offset_seconds() -> pl.Expr:
    zone = pl.col("zone")
    digits = zone.str.replace_all(r"\D", "")
    seconds = (
        digits.str.slice(0, 2).cast(pl.Int64, strict=False) * 3600
        + digits.str.slice(2, 2).str.pad_end(1, "0").cast(pl.Int64, strict=False).fill_null(0) * 60
    )
    signed = pl.when(zone.str.starts_with("-")).then(-seconds).otherwise(seconds)
    return pl.when(zone.is_in(["Z", "UTC", "GMT"])).then(pl.lit(0, dtype=pl.Int64)).otherwise(signed)


def _with_epochs(text: pl.Series, local: pl.DataFrame) -> pl.DataFrame:
    """Fill rows that are whole-number epochs and no calendar spelling."""
    for pattern, units in _EPOCHS:
        matches = text.str.contains(pattern).fill_null(value=False) & local["wall"].is_null()
        if not matches.any():
            continue
        digits = pl.DataFrame({"text": text.set(~matches, None)})
        if units == 1:
            micros = (pl.col("text").cast(pl.Float64) * 1e6).round().cast(pl.Int64)
        elif units <= 10**6:
            micros = pl.col("text").str.replace(r"\.0+$", "").cast(pl.Int64, strict=False) * (10**6 // units)
        else:
            micros = pl.col("text").cast(pl.Int64, strict=False) // (units // 10**6)
        instant = digits.select(micros.cast(pl.Datetime("us")).alias("instant"))["instant"]
        local = local.with_columns(
            wall=pl.when(matches).then(instant).otherwise(pl.col("wall")),
            has_time=pl.when(matches).then(pl.lit(value=True)).otherwise(pl.col("has_time")),
            offset=pl.when(matches).then(pl.lit(0, dtype=pl.Int64)).otherwise(pl.col("offset")),
        )
    return local
