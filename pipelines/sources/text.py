"""From bytes to lines to fields: what every delimited text format shares.

Lives here: transparent decompression, decoding, splitting into lines and fields without losing any, reading numbers, and
collecting what could not be read.
Does not live here: what a column means (the formats) and how dates are written (`timestamps.py`).
"""

from __future__ import annotations

import csv
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.sources.limits import LimitError, UnpackError, check_table_size, unpack
from pipelines.sources.protocol import RawFile, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ARCHIVE_OR_TABLE: Final = (".gz", ".zst", ".zip", ".json", ".csv", ".txt", ".tsv", ".parquet", ".pq")
#: How many lines before the last one tell how its last number is written, and how many must.
_DECIMALS_OF, _DECIMALS_FROM = 50, 5
#: How vendors write "nothing here". Compared without case.
_MISSING: Final = ("", "-", "--", "na", "n/a", "#n/a", "nan", "null", "none", "nil")


def stem(name: str) -> str:
    """The file name without folders and without suffixes of archives and tables: "x/BRK.B.csv.gz" → "BRK.B"."""
    bare = PurePosixPath(name).name
    while bare.lower().endswith(_ARCHIVE_OR_TABLE):
        bare = bare[: bare.rindex(".")]
    return bare


def read_text(raw: RawFile, *, one_row_a_line: bool = True) -> str:
    """The file's text: plain, .gz, .zst, or a .zip holding one file; UTF-8 with or without a byte order mark.

    Recognises archives by content, because the local copy may carry another name. `one_row_a_line` is False for JSON, whose lines
    may be of any length. Raises SourceError for an empty, damaged, encrypted or binary file, an archive of several files, or a
    file beyond `raw.limits`.
    """
    content = _content(raw, longest_line=one_row_a_line)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{raw.name}, row {line}: byte {error.start} is no UTF-8; convert the file to UTF-8 text") from error
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise SourceError(
            f"{raw.name}, row {line}: holds NUL bytes; it is binary, UTF-16 or damaged, convert it to UTF-8 or fetch it again"
        )
    if not text.strip():
        raise SourceError(f"{raw.name}: the file is empty; fetch it again")
    return text


def _content(raw: RawFile, *, longest_line: bool) -> bytes:
    try:
        content = unpack(raw.path, raw.limits)
        check_table_size(content, raw.limits, longest_line=longest_line)
    except (LimitError, UnpackError) as error:
        raise SourceError(f"{raw.name}: {error}") from error
    return content


def lines(text: str) -> pl.DataFrame:
    """Columns `row_number` (1-based line of the file) and `line`; blank lines are left out, a line of separators is not blank."""
    split = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    frame = pl.DataFrame({"line": split}, schema={"line": pl.String}).with_row_index("row_number", offset=1)
    return frame.filter(pl.col("line").str.strip_chars() != "").with_columns(pl.col("row_number").cast(pl.Int64))


def fields(frame: pl.DataFrame, names: Sequence[str | None], separator: str) -> pl.DataFrame:
    """Split `line` into text columns called `names` (None: not wanted), adding `raw_text` and `parse_problem`.

    Fields are stripped of blanks and quotes. A line with another number of fields than `names` has all fields null and a problem:
    which field is missing cannot be known. Surplus fields that are empty do no harm.
    """
    width = len(names)
    quoted = frame["line"].str.contains('"', literal=True).any()
    if quoted:
        rows = [split_line(line, separator) for line in frame["line"]]
        parts = frame.with_columns(pl.Series("parts", rows, dtype=pl.List(pl.String)))
    else:
        parts = frame.with_columns(pl.col("line").str.split(separator).alias("parts"))
    count = pl.col("parts").list.len()
    surplus = pl.col("parts").list.slice(width).list.join("").str.strip_chars()
    fits = (count == width) | ((count > width) & (surplus == ""))
    wanted = [
        pl.when(fits).then(pl.col("parts").list.get(index, null_on_oob=True).str.strip_chars()).alias(name)
        for index, name in enumerate(names)
        if name is not None
    ]
    problem = pl.when(~fits).then(pl.format(f"line: {{}} fields where {width} are expected", count)).alias("parse_problem")
    return parts.select("row_number", pl.col("line").alias("raw_text"), problem, *wanted)


def split_line(line: str, separator: str) -> list[str]:
    """The fields of one line; quotes are honoured and removed, blanks after a separator skipped."""
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), []) or [line]
    except csv.Error:
        return line.split(separator)


def refuse_cut_off(raw: RawFile, text: str, frame: pl.DataFrame, *, width: int, separator: str) -> None:
    """SourceError when the last line stops in mid-row: too few fields, or an empty last one, and no line end after it.

    `frame` is the result of `lines` without the header. A complete last row that merely lacks its line end is fine.
    """
    if frame.is_empty() or text.endswith(("\n", "\r")):
        return
    last = frame.row(-1, named=True)
    parts = split_line(last["line"], separator)
    ends_empty = len(parts) == width and width > 1 and parts[-1].strip() == ""
    if ends_empty and frame.height > 1:
        ends_empty = not frame["line"][-2].rstrip().endswith(separator)
    if len(parts) < width or ends_empty or _loses_decimals(frame, parts[-1], separator):
        raise SourceError(
            f"{raw.name}, row {last['row_number']}: the file stops in the middle of the row ({last['line'][:80]!r}); fetch it again"
        )


def _loses_decimals(frame: pl.DataFrame, last: str, separator: str) -> bool:
    """Whether the last field of the last line has fewer decimals than that of every line before it."""
    before = frame["line"][-_DECIMALS_OF - 1 : -1]
    decimals = {len(found) for line in before for found in [split_line(line, separator)[-1].strip().partition(".")[2]]}
    digits = last.strip().replace(".", "", 1)
    if len(before) < _DECIMALS_FROM or len(decimals) != 1 or not (digits.isdigit() or not digits):
        return False
    return len(last.strip().partition(".")[2]) < decimals.pop()


def line_read() -> pl.Expr:
    """Whether the line had its number of fields, so that an absent field is a problem of its own."""
    return ~pl.col("parse_problem").str.starts_with("line:").fill_null(value=False)


def is_missing(column: str) -> pl.Expr:
    """Whether a text field is absent or one of the usual ways to write nothing."""
    return pl.col(column).is_null() | pl.col(column).str.to_lowercase().is_in(_MISSING)


def numbers(
    columns: Iterable[str], *, required: Iterable[str] = (), decimal_comma: bool = False
) -> tuple[list[pl.Expr], list[pl.Expr]]:
    """Expressions for (the float values, the problems) of text columns.

    Understands 1234.5, 1e6, a leading currency sign, and groups of digits as in 1,234,567.00 or 12,34,567.00. Everything else,
    infinities included, is null with a problem. An empty field is a problem only where `required`. `decimal_comma` reads 1.234,5
    as 1234.5.
    """
    required = set(required)
    values: list[pl.Expr] = []
    problems: list[pl.Expr] = []
    for name in columns:
        value = _number(name, decimal_comma=decimal_comma)
        values.append(value.alias(name))
        unread = pl.when(~is_missing(name) & value.is_null()).then(pl.format(name + ": '{}' is not a number", pl.col(name)))
        empty = pl.lit(name in required) & is_missing(name) & line_read()
        problems.append(unread.when(empty).then(pl.lit(f"{name}: empty")))
    return values, problems


def _number(name: str, *, decimal_comma: bool) -> pl.Expr:
    text = pl.col(name).str.strip_chars("$€£₹ ")
    if decimal_comma:
        text = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    else:
        grouped = text.str.contains(r"^[+-]?\d{1,3}(,\d{2,3})*,\d{3}(\.\d*)?$")
        text = pl.when(grouped).then(text.str.replace_all(",", "", literal=True)).otherwise(text)
    value = text.cast(pl.Float64, strict=False)
    return pl.when(value.is_finite() & ~is_missing(name)).then(value)


def unscaled(frame: pl.DataFrame, columns: Iterable[str], scale: float) -> pl.DataFrame:
    """`frame` with `columns` divided by `scale`, each quotient the double nearest to the exact one: 948500 / 10000 is 94.85.

    Polars divides by a constant through its reciprocal, which is off in the last bit (94.85000000000001), so numpy does it here.
    """
    return frame.with_columns(pl.Series(name, frame[name].to_numpy() / scale, nan_to_null=True) for name in columns)


def with_problems(frame: pl.DataFrame, problems: Iterable[pl.Expr]) -> pl.DataFrame:
    """`frame` with more entries in `parse_problem`, joined by "; "; null stays null where there are none."""
    joined = pl.concat_str(pl.col("parse_problem"), *problems, separator="; ", ignore_nulls=True)
    return frame.with_columns(pl.when(joined != "").then(joined).alias("parse_problem"))
