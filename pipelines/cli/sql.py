"""`marketlake sql`: one read-only query on a release, in the format asked for.

Lives here: choosing the catalogue, running the query, writing its rows.
Does not live here: what a catalogue allows (`storage/query.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from contextlib import redirect_stdout
from datetime import datetime
from io import StringIO
from shutil import get_terminal_size
from typing import IO

import duckdb
import polars as pl

from pipelines.cli.console import say_record
from pipelines.indicators.tables import home_tables
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.printable import visible, visible_json
from pipelines.settings import Settings
from pipelines.storage.as_of import refusal_in, refuse_stored, show_as_of
from pipelines.storage.catalogue import publish_catalogue, write_catalogue
from pipelines.storage.hold import published_release
from pipelines.storage.location import Lake
from pipelines.storage.query import NoCatalogueError, NotAQueryError, ask, open_catalogue
from pipelines.storage.relations import quoted
from pipelines.storage.release_integrity import damaged_tables
from pipelines.storage.releases import UnknownReleaseError, find_release
from pipelines.storage.releases import releases as all_releases
from pipelines.storage.retention import find_kept_release

FORMATS = ("table", "csv", "json", "parquet")
_SHOWN_ROWS = 200
#: Types (as DuckDB names them) that frames do not hold, and those that a csv does not hold besides.
_NOT_IN_ARROW = {"interval", "map", "union", "bit", "timetz"}
_NOT_IN_CSV = {*_NOT_IN_ARROW, "list", "array", "struct"}
#: Columns of a table that is not shown on a terminal.
_PIPE_WIDTH = 140


class QueryError(RuntimeError):
    """The query cannot be answered; the message is one line."""


def run_query(
    settings: Settings,
    query: str,
    release_id: str | None,
    output: str,
    stream: IO[str],
    as_of: datetime | None = None,
    *,
    vertical: bool = False,
) -> None:
    """Answer `query` from the published catalogue, or from that of `release_id`; with `as_of` (aware) by what was known then.

    The table format is DuckDB's: as many columns as the width allows, the first and last of 200 rows, and how many there are;
    `vertical` prints each row as names and values instead. The other formats write all. Raises QueryError.
    """
    lake = Lake.from_settings(settings)
    schemas = {name: schema for name, schema in {**TABLES, **home_tables(lake.indicators)}.items() if name != "releases"}
    path = settings.catalogue_link
    try:
        if release_id is not None:
            path = write_catalogue(lake, find_kept_release(lake, release_id), schemas, all_releases(lake), settings.state_dir)
        elif not path.exists() and (last := published_release(lake)) is not None:
            publish_catalogue(lake, last, schemas, all_releases(lake), settings.state_dir, path)
        with open_catalogue(path, lake) as connection:
            if as_of is not None:
                show_as_of(connection, as_of, {**schemas, "releases": TABLES["releases"]})
                refuse_stored(connection, query)
            _write(ask(connection, query), output, stream, vertical=vertical)
    except (NoCatalogueError, NotAQueryError, UnknownReleaseError) as error:
        raise QueryError(str(error)) from error
    except duckdb.Error as error:
        reason = refusal_in(str(error)) or _damage(lake, release_id, schemas, str(error)) or _first_lines(str(error))
        raise QueryError(reason) from error
    except RuntimeError as error:
        # What DuckDB makes of Ctrl-C.
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise QueryError(f"{output} cannot hold this result ({_first_lines(str(error))}); cast such columns to varchar") from error


def _damage(lake: Lake, release_id: str | None, schemas: Mapping[str, TableSchema], message: str) -> str | None:
    """What is wrong with the release's files where DuckDB's error is about one: it says what it met, and not what to do."""
    if ".parquet" not in message and "Parquet" not in message:
        return None
    release = find_release(lake, release_id) if release_id is not None else published_release(lake)
    if release is None:
        return None
    damaged = [*damaged_tables(lake, release, schemas, deep=False)] or [*damaged_tables(lake, release, schemas, deep=True)]
    return "; ".join(damaged) or None


def _write(result: duckdb.DuckDBPyRelation, output: str, stream: IO[str], *, vertical: bool) -> None:
    if output == "table" and not vertical:
        width = get_terminal_size().columns if stream.isatty() else _PIPE_WIDTH
        drawn = StringIO()
        # DuckDB prints to the standard output, and writes out some of the characters that a terminal obeys, not all of them.
        with redirect_stdout(drawn):
            result.show(max_width=width, max_rows=_SHOWN_ROWS, max_col_width=width)
        stream.write(visible(drawn.getvalue()))
        return
    if output == "table":
        _write_vertically(result, stream)
        return
    frame = _as_text(result, _NOT_IN_CSV if output == "csv" else _NOT_IN_ARROW).pl()
    if output == "csv":
        stream.write(_shown(frame.write_csv(), stream))
    elif output == "json":
        # A sum of whole numbers is a HUGEINT, which arrives as a decimal and would be written as text.
        whole = [column for column in frame if isinstance(column.dtype, pl.Decimal) and column.dtype.scale == 0]
        small = [column.name for column in whole if column.is_between(-(2**63), 2**63 - 1).all()]
        stream.write(visible_json(frame.with_columns(pl.col(small).cast(pl.Int64)).write_json()) + "\n")
    else:
        frame.write_parquet(sys.stdout.buffer)


def _as_text(result: duckdb.DuckDBPyRelation, kinds: Collection[str]) -> duckdb.DuckDBPyRelation:
    """The result with columns of these DuckDB types written as text, since the format has no such values."""
    columns = [
        f"{f'CAST(#{place} AS VARCHAR)' if kind.id in kinds else f'#{place}'} AS {quoted(name)}"
        for place, (name, kind) in enumerate(zip(result.columns, result.types, strict=True), start=1)
    ]
    return result.project(", ".join(columns))


def _write_vertically(result: duckdb.DuckDBPyRelation, stream: IO[str]) -> None:
    rows = result.limit(_SHOWN_ROWS + 1).fetchall()
    for number, row in enumerate(rows[:_SHOWN_ROWS], start=1):
        stream.write(f"── row {number} ──\n")
        say_record(dict(zip(result.columns, row, strict=True)))
    if len(rows) > _SHOWN_ROWS:
        stream.write(f"… more rows follow the first {_SHOWN_ROWS}; --format csv writes all\n")


def _shown(text: str, stream: IO[str]) -> str:
    """A file takes what the lake holds; a terminal would obey it."""
    return visible(text) if stream.isatty() else text


def _first_lines(message: str) -> str:
    """DuckDB's error without the drawing that points into the query."""
    return " ".join(line for line in message.splitlines() if line.strip() and not line.lstrip().startswith(("LINE", "^")))
