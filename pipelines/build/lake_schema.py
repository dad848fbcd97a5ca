"""Schema `lake` of a build database without a row: what the models can be compiled and run against.

Lives here: which tables it has, with their columns, and creating it.
Does not live here: filling it for a build (`database.py`) or a scan (`scanners/engine/scan_database.py`).
"""

from __future__ import annotations

import duckdb

from pipelines.build.database import RECORDS, replaced_tables
from pipelines.build.plan import INPUTS
from pipelines.indicators.registry import Registry
from pipelines.indicators.tables import INDICATOR_TABLE_NAMES, indicator_tables
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES, build_inputs
from pipelines.market.tables.build_inputs import BUILD_INPUTS
from pipelines.storage.relations import quoted, select_files

#: Derived tables whose last built rows the models read.
CARRIED_FORWARD = (*INDICATOR_TABLE_NAMES, "intraday_curves", "intraday_profiles", "scanner_signals", "scanner_runs")

#: Columns of what the home's files fill, as polars' types.
UNIVERSE_MEMBERS = build_inputs.UNIVERSE_MEMBERS.polars()
UNIVERSE_RULES = build_inputs.UNIVERSE_RULES.polars()
FINDING_EFFECTS = build_inputs.FINDING_EFFECTS.polars()


def lake_schemas(registry: Registry) -> dict[str, TableSchema]:
    """Schemas of everything in schema `lake` of a build database of these indicators, apart from its windows."""
    tables = {**TABLES, **indicator_tables(registry)}
    return {name: tables[name] for name in (*INPUTS, *CARRIED_FORWARD, "sessions")}


def lake_columns(registry: Registry) -> dict[str, list[str]]:
    """Columns of every relation of schema `lake`, by `lake.<name>`, in their order; `registry`: the home's indicators."""
    columns: dict[str, list[str]] = {}
    with duckdb.connect() as connection:
        create_lake_schema(connection, registry)
        found = connection.execute(
            "select table_name, column_name from duckdb_columns() where schema_name = 'lake' order by table_name, column_index"
        )
        for table, column in found.fetchall():
            columns.setdefault(f"lake.{table}", []).append(column)
    return columns


def create_lake_schema(connection: duckdb.DuckDBPyConnection, registry: Registry) -> None:
    """Make schema `lake` with every table empty, the windows too; `registry`: the home's indicators."""
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("create schema lake")
    for name, schema in lake_schemas(registry).items():
        connection.execute(f"create table lake.{quoted(name)} as {select_files(schema, [])}")
    for name, schema in replaced_tables((*INPUTS, *RECORDS)).items():
        connection.execute(f"create table lake.{quoted(name)} as {select_files(schema, [])}")
    for name, schema in BUILD_INPUTS.items():
        connection.execute(f"create table lake.{quoted(name)} as {select_files(schema, [])}")
