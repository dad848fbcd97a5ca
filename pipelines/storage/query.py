"""Read-only SQL on a published catalogue.

Lives here: opening a catalogue so that a query can neither write nor read files outside the lake.
Does not live here: formatting results (`cli.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines.storage.location import Lake


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
