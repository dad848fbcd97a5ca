"""Read-only SQL on a published catalogue.

Lives here: opening a catalogue so that a query can neither write nor read any file but those of the release; refusing what is no
query.
Does not live here: formatting results (`pipelines/cli/sql.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines.storage.location import Lake

#: A read-only connection still carries out COPY … TO, which could overwrite a raw file of the lake.
#: MULTI is what PIVOT without a list of values becomes.
_READS = {duckdb.StatementType.SELECT, duckdb.StatementType.MULTI}
#: What shows the connection's own settings (paths, limits); comments are taken out before.
_SETTINGS = re.compile(r'\b(duckdb_settings|current_setting|duckdb_secrets|which_secret)"?\s*\(', re.IGNORECASE)
_COMMENTS = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_DATA_FILE = re.compile(r"'((?:[^']|'')+\.parquet)'")
_EXPLAIN = re.compile(r"\s*EXPLAIN(\s+ANALYZE\b|\s*\([^)]*\))?", re.IGNORECASE)


class NotAQueryError(ValueError):
    """The text is not exactly one statement that reads."""


class NoCatalogueError(RuntimeError):
    """Nothing has been published yet."""


@contextmanager
def open_catalogue(path: Path, lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a catalogue, times shown in UTC. It may read the data files that its views name and nothing else.

    Raises NoCatalogueError when the catalogue does not exist.
    """
    if not path.exists():
        raise NoCatalogueError(f"{path} does not exist: publish a release first with `marketlake nightly` or `marketlake demo`")
    real = path.resolve()
    with duckdb.connect(str(real), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if lake.is_local:
            connection.execute(f"SET allowed_paths = [{', '.join(_data_files(connection))}]")
            connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    """The result of one reading statement (SELECT, WITH, FROM, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN).

    Raises NotAQueryError for anything else, for two statements and for none; duckdb.Error for what DuckDB refuses.
    """
    if setting := _SETTINGS.search(_COMMENTS.sub(" ", query)):
        raise NotAQueryError(f"{setting.group(1)} is closed here: settings of the connection are no market data")
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise NotAQueryError(f"one statement at a time, these are {len(statements)}" if statements else "the query is empty")
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN and (prefix := _EXPLAIN.match(query)):
        # EXPLAIN ANALYZE carries out what it explains.
        kind = connection.extract_statements(query[prefix.end() :])[0].type
    if kind not in _READS:
        raise NotAQueryError(f"{kind.name} is not a query; the catalogue is read-only")
    return connection.sql(query)


def _data_files(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The files that the catalogue's views read, as SQL literals. Raw files and other versions in the lake are not among them."""
    views = connection.execute("SELECT sql FROM duckdb_views() WHERE NOT internal").fetchall()
    return sorted({f"'{name}'" for (sql,) in views for name in _DATA_FILE.findall(sql)})
