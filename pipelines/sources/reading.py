"""Reading one file with a source that may fail in any way.

Lives here: the boundary around `Source.parse`: whatever goes wrong behind it becomes one SourceError, and what comes out of it is
what the protocol promises.
Does not live here: any format; what becomes of a refused file (`ingest/staging.py`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.sources.limits import LimitError, check_rows
from pipelines.sources.protocol import FRAME_SCHEMAS, ParsedTable, ParseOptions, RawFile, Source, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Dates that Python, and so a report, can write. A column of dates can hold others.
_FIRST, _LAST = date(1, 1, 2), date(9999, 12, 30)
_LONGEST_REASON: Final = 400


def read_file(sources: Mapping[str, Source], name: str, raw: RawFile, options: ParseOptions) -> list[ParsedTable]:
    """The tables that the source called `name` reads from a file.

    Raises SourceError, in one line that names the file, for whatever goes wrong: a file that the source refuses, a fault of a
    decoder or of the source itself, a source that is not there, or tables that are not as the protocol has them.
    """
    try:
        source = sources[name]
    except KeyError as error:
        raise SourceError(f"{raw.name}: the source {name} is not installed; install its package again") from error
    except TypeError as error:  # SourcePluginError: a plug-in that cannot be used
        raise SourceError(f"{raw.name}: {error}") from error
    try:
        return _checked(raw, name, source.parse(raw, options))
    except SourceError as error:
        raise SourceError(one_line(str(error))) from error
    # Decoders of damaged files fail in ways of their own, and a plug-in may raise anything: neither may end the other files of the
    # delivery. A panic of Polars and an exit are no `Exception`.
    except (Exception, pl.exceptions.PanicException, SystemExit) as error:
        raise SourceError(
            f"{raw.name}: the source {name} cannot read it ({type(error).__name__}: {one_line(str(error))}); "
            "the file is damaged or of another kind, or the source has a fault"
        ) from error


def claims_file(source: Source, name: str) -> bool:
    """Whether the source reads files of this name. Raises SourceError where it fails instead of answering."""
    try:
        return bool(source.claims(name))
    except (Exception, pl.exceptions.PanicException, SystemExit) as error:
        raise SourceError(
            f"the source {source.name} fails at the name {name!r} ({type(error).__name__}: {one_line(str(error))}); "
            "fix or uninstall the package that provides it"
        ) from error


def one_line(text: str) -> str:
    """`text` without line breaks, cut where it is longer than a line of a report should be."""
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST_REASON else plain[: _LONGEST_REASON - 1] + "…"


def _checked(raw: RawFile, name: str, tables: list[ParsedTable]) -> list[ParsedTable]:
    """The tables, once each is known to be one of the protocol's, with its columns and within the limits."""
    fault = f"{raw.name}: the source {name}"
    if not isinstance(tables, list) or not all(isinstance(table, ParsedTable) for table in tables):
        raise SourceError(f"{fault} hands back something else than a list of ParsedTable; see docs/how-to-add-a-source.md")
    for table in tables:
        if table.table not in FRAME_SCHEMAS:
            raise SourceError(f"{fault} hands back a table {table.table!r}; known are {', '.join(FRAME_SCHEMAS)}")
        expected = dict(FRAME_SCHEMAS[table.table])
        if not isinstance(table.frame, pl.DataFrame) or dict(table.frame.schema) != expected:
            raise SourceError(f"{fault} hands back {table.table} with other columns than the protocol's; use conform()")
    try:
        check_rows(sum(table.frame.height for table in tables), raw.limits)
    except LimitError as error:
        raise SourceError(f"{raw.name}: {error}") from error
    return [replace(table, frame=_within_years(table.frame)) for table in tables]


def _within_years(frame: pl.DataFrame) -> pl.DataFrame:
    """Dates and times that no calendar of people has are null, with a problem where the table keeps problems."""
    first, last = datetime.combine(_FIRST, datetime.min.time()), datetime.combine(_LAST, datetime.min.time())
    for column, dtype in frame.schema.items():
        if not dtype.is_temporal():
            continue
        day = pl.col(column)
        within = day.is_between(_FIRST, _LAST) if dtype == pl.Date else day.dt.replace_time_zone(None).is_between(first, last)
        outside = frame.select((~within).fill_null(value=False).alias("outside"))["outside"]
        if not outside.any():
            continue
        frame = frame.with_columns(pl.when(~outside).then(day).alias(column))
        if "parse_problem" in frame.columns:
            problem = pl.concat_str(
                "parse_problem", pl.lit(f"{column}: lies outside the years 1 to 9999"), separator="; ", ignore_nulls=True
            )
            frame = frame.with_columns(pl.when(outside).then(problem).otherwise("parse_problem").alias("parse_problem"))
    return frame
