"""Schema `lake` of a build database without a row: what the models can be compiled and run against.

Lives here: which tables it has, with their columns, and creating it.
Does not live here: filling it for a build (`database.py`) or a scan (`scanners/engine/scan_database.py`).
"""

from __future__ import annotations

from typing import Any

import duckdb
import polars as pl

from pipelines.build.database import RECORDS, replaced_tables
from pipelines.build.plan import INPUTS
from pipelines.indicators.registry import Registry
from pipelines.indicators.tables import INDICATOR_TABLE_NAMES, indicator_tables
from pipelines.market.closing_auction import CLOSING_AUCTIONS
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.relations import quoted, select_files

#: Derived tables whose last built rows the models read.
CARRIED_FORWARD = (*INDICATOR_TABLE_NAMES, "intraday_curves", "intraday_profiles", "scanner_signals", "scanner_runs")

#: Columns of `lake.universe_members`: a symbol (or instrument_id) belongs from one session to another, both included.
UNIVERSE_MEMBERS: dict[str, Any] = {
    "universe_name": pl.String,
    "exchange": pl.String,
    "symbol": pl.String,
    "valid_from": pl.Date,
    "valid_to": pl.Date,
}
#: Columns of `lake.universe_rules`: the median traded value (close × volume) of 20 regular sessions that must be exceeded.
UNIVERSE_RULES: dict[str, Any] = {"universe_name": pl.String, "min_traded_value": pl.Float64}
#: Columns of `lake.finding_effects`; a finding without a row has its default effect.
FINDING_EFFECTS: dict[str, Any] = {"finding": pl.String, "effect": pl.String}


def lake_schemas(registry: Registry) -> dict[str, TableSchema]:
    """Schemas of everything in schema `lake` of a build database of these indicators, apart from its windows."""
    tables = {**TABLES, **indicator_tables(registry)}
    return {name: tables[name] for name in (*INPUTS, *CARRIED_FORWARD, "sessions")}


def create_lake_schema(connection: duckdb.DuckDBPyConnection, registry: Registry) -> None:
    """Make schema `lake` with every table empty, the windows too; `registry`: the home's indicators."""
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("create schema lake")
    for name, schema in lake_schemas(registry).items():
        connection.execute(f"create table lake.{quoted(name)} as {select_files(schema, [])}")
    for name, schema in replaced_tables((*INPUTS, *RECORDS)).items():
        connection.execute(f"create table lake.{quoted(name)} as {select_files(schema, [])}")
    frames: dict[str, dict[str, Any]] = {
        "closing_auctions": CLOSING_AUCTIONS,
        "universe_members": UNIVERSE_MEMBERS,
        "universe_rules": UNIVERSE_RULES,
        "finding_effects": FINDING_EFFECTS,
    }
    for name, columns in frames.items():
        connection.register("nothing", pl.DataFrame(schema=columns).to_arrow())
        connection.execute(f"create table lake.{name} as from nothing")
        connection.unregister("nothing")
    for name in ("window_daily", "window_1m", "window_listings"):
        connection.execute(f"create table lake.{name} (instrument_id varchar, from_session date, to_session date, changed_to date)")
    connection.execute("create table lake.window_bounds (first_session date, last_session date)")
