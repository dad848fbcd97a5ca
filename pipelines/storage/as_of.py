"""A catalogue as it was known at a moment: rows that had arrived by then and had not been replaced yet.

Lives here: temporary views that stand before a catalogue's relations for one connection.
Does not live here: keeping replaced rows (`publish.py`), releases, which pin what was built from them (`releases.py`).

The answer is one of rows, not of file versions: it holds after files were compacted or vacuumed, and for a delivery that came
before the lake existed. Views of the catalogue that read these relations, the adjusted ones say, follow without more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import duckdb

from pipelines.market.schema import TableSchema
from pipelines.storage.relations import literal, quoted

#: Tables whose rows are only ever added, with the column that says when; and what does not depend on what is known.
_ARRIVED = {"raw_files": "received_at", "quarantine": "quarantined_at", "releases": "created_at"}
_TIMELESS = {"sessions"}


def show_as_of(connection: duckdb.DuckDBPyConnection, moment: datetime, schemas: Mapping[str, TableSchema]) -> None:
    """Let every query of this connection see the catalogue as known at `moment` (aware).

    A table that is computed and whose replaced rows are not kept cannot be shown so: a query that reads it ends with an error
    that says which release to ask instead.
    """
    at = f"TIMESTAMPTZ {literal(moment.astimezone(UTC).isoformat())}"
    ((database,),) = connection.execute("SELECT current_database()").fetchall()
    for name, schema in schemas.items():
        if name in _TIMELESS or name.endswith("_superseded"):
            continue
        connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS {_known(quoted(database), schema, at, schemas)}")


def _known(database: str, schema: TableSchema, at: str, schemas: Mapping[str, TableSchema]) -> str:
    name = schema.name
    stored = f"{database}.main.{quoted(name)}"
    if name in _ARRIVED:
        return f"SELECT * FROM {stored} WHERE {_ARRIVED[name]} <= {at}"
    if f"{name}_superseded" in schemas:
        columns = ", ".join(quoted(column) for column in schema.names)
        current = f"SELECT {columns} FROM {stored} WHERE known_at <= {at}"
        replaced = (
            f"SELECT {columns} FROM {database}.main.{quoted(name + '_superseded')} WHERE known_at <= {at} AND superseded_at > {at}"
        )
        return f"{current} UNION ALL {replaced}"
    refusal = f"{name} is computed, and not kept as it was at a moment: ask the release of that time (marketlake sql --release)"
    return f"SELECT * FROM {stored} WHERE CAST(error({literal(refusal)}) AS BOOLEAN)"
