"""`marketlake sql`: one read-only query on a release, in the format asked for.

Lives here: choosing the catalogue, running the query, writing its rows.
Does not live here: what a catalogue allows (`storage/query.py`).
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import IO

import duckdb

from pipelines.console import table
from pipelines.indicators.tables import INDICATOR_TABLES
from pipelines.market.tables import TABLES
from pipelines.printable import visible, visible_json
from pipelines.settings import Settings
from pipelines.storage.as_of import show_as_of
from pipelines.storage.catalogue import publish_catalogue, write_catalogue
from pipelines.storage.location import Lake
from pipelines.storage.query import NoCatalogueError, NotAQueryError, ask, open_catalogue
from pipelines.storage.releases import UnknownReleaseError, find_release, latest_release
from pipelines.storage.releases import releases as all_releases

FORMATS = ("table", "csv", "json", "parquet")
_SHOWN_ROWS = 200


class QueryError(RuntimeError):
    """The query cannot be answered; the message is one line."""


def run_query(
    settings: Settings, query: str, release_id: str | None, output: str, stream: IO[str], as_of: datetime | None = None
) -> None:
    """Answer `query` from the published catalogue, or from that of `release_id`; with `as_of` (aware) by what was known then.

    The table format shows the first 200 rows and says how many there are; the others write all. Raises QueryError.
    """
    lake = Lake(settings.lake_root)
    schemas = {name: schema for name, schema in {**TABLES, **INDICATOR_TABLES}.items() if name != "releases"}
    path = settings.catalogue_link
    try:
        if release_id is not None:
            path = write_catalogue(lake, find_release(lake, release_id), schemas, all_releases(lake), settings.state_dir)
        elif not path.exists() and (last := latest_release(lake)) is not None:
            publish_catalogue(lake, last, schemas, all_releases(lake), settings.state_dir, path)
        with open_catalogue(path, lake) as connection:
            if as_of is not None:
                show_as_of(connection, as_of, {**schemas, "releases": TABLES["releases"]})
            _write(connection, query, output, stream)
    except (NoCatalogueError, NotAQueryError, UnknownReleaseError) as error:
        raise QueryError(str(error)) from error
    except duckdb.Error as error:
        raise QueryError(_first_lines(str(error))) from error


def _write(connection: duckdb.DuckDBPyConnection, query: str, output: str, stream: IO[str]) -> None:
    frame = ask(connection, query).pl()
    if output == "csv":
        stream.write(_shown(frame.write_csv(), stream))
    elif output == "json":
        stream.write(visible_json(frame.write_json()) + "\n")
    elif output == "parquet":
        frame.write_parquet(sys.stdout.buffer)
    else:
        table(frame.columns, frame.head(_SHOWN_ROWS).rows())
        if frame.height > _SHOWN_ROWS:
            stream.write(f"… {frame.height - _SHOWN_ROWS:,} more rows; --format csv writes all\n")


def _shown(text: str, stream: IO[str]) -> str:
    """A file takes what the lake holds; a terminal would obey it."""
    return visible(text) if stream.isatty() else text


def _first_lines(message: str) -> str:
    """DuckDB's error without the drawing that points into the query."""
    return " ".join(line for line in message.splitlines() if line.strip() and not line.lstrip().startswith(("LINE", "^")))
