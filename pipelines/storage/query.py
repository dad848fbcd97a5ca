"""Read-only SQL on a published catalogue.

Lives here: opening a catalogue so that a query can neither write nor read files outside the lake; refusing what is no query.
Does not live here: formatting results (`pipelines/query.py`).
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
_EXPLAIN = re.compile(r"\s*EXPLAIN(\s+ANALYZE\b|\s*\([^)]*\))?", re.IGNORECASE)


class NotAQueryError(ValueError):
    """The text is not exactly one statement that reads."""


class NoCatalogueError(RuntimeError):
    """Nothing has been published yet."""


@contextmanager
def open_catalogue(path: Path, lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to a catalogue, times shown in UTC. It may read files of the lake and nothing else.

    Raises NoCatalogueError when the catalogue does not exist.
    """
    if not path.exists():
        raise NoCatalogueError(f"{path} does not exist: publish a release first with `marketlake nightly` or `marketlake demo`")
    real = path.resolve()
    with duckdb.connect(str(real), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if lake.is_local:
            root = str(Path(lake.root.removeprefix("file://")).absolute()) + "/"
            connection.execute(f"SET allowed_directories = ['{root.replace(chr(39), chr(39) * 2)}']")
            connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation:
    """The result of one reading statement (SELECT, WITH, FROM, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN).

    Raises NotAQueryError for anything else, for two statements and for none; duckdb.Error for what DuckDB refuses.
    """
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
