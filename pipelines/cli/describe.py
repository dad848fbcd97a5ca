"""The command `marketlake describe`: what a published table holds, column by column.

Lives here: which relations there are, and how one is printed.
Does not live here: what a column means (the schemas in `market/tables/`, indicators in their registry).
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.console import USAGE, fail, say, say_json, table
from pipelines.cli.options import Json, read_settings

if TYPE_CHECKING:
    from pipelines.indicators.registry import Registry
    from pipelines.market.schema import TableSchema


def describe(
    name: Annotated[str, typer.Argument(help="A relation of the catalogue, for example bars_daily.", metavar="TABLE")],
    as_json: Json = False,
) -> None:
    """Explain a published table: its rows, key and origin, and each column's type, unit, meaning and source.

    Example: marketlake describe scanner_signals
    """
    from pipelines.indicators.registry import home_registry
    from pipelines.indicators.tables import indicator_tables
    from pipelines.market.tables import TABLES

    indicators = home_registry(read_settings().indicators)
    known = published_relations({**TABLES, **indicator_tables(indicators)})
    schema = known.get(name.lower())
    if schema is None:
        near = get_close_matches(name.lower(), known, 1, 0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        fail(f'no table {name!r}; {hint}`marketlake sql "show tables"` lists them', USAGE)
    content = description(schema, indicators)
    if as_json:
        say_json(content)
        return
    say(f"{content['table']}: {content['description']}")
    say(f"key: {', '.join(content['key'])}")
    say(f"origin: {content['origin']}")
    say()
    shown = ["name", "type", "unit", "description", "source"]
    table(shown, [[column[field] for field in shown] for column in content["columns"]])


def published_relations(tables: Mapping[str, TableSchema]) -> dict[str, TableSchema]:
    """Every relation of the catalogue by name: tables of the lake, views over them, copies of their newest rows.

    tables: the lake's, those of the home's indicators among them.
    """
    from pipelines.market.tables.views import (
        LATEST_ROWS,
        PRICE_FACTORS,
        SCOREBOARD,
        adjusted,
        latest,
        of_release,
        with_factors,
        with_marks,
    )

    marked = {name: with_marks(tables[name]) for name in ("indicators_daily", "indicators_1m")}
    stored = {**tables, **marked}
    computed = (
        of_release(tables["scanner_signals"]),
        PRICE_FACTORS,
        SCOREBOARD,
        adjusted(tables["bars_daily"]),
        with_factors(marked["indicators_daily"]),
        *(latest(stored[name]) for name in LATEST_ROWS),
    )
    return {**stored, **{schema.name: schema for schema in computed}}


def description(schema: TableSchema, indicators: Registry) -> dict[str, Any]:
    """A relation as a document: table, description, key, origin, and a record for each column."""
    from pipelines.storage.relations import sql_type

    formulas = {output.name: indicator for indicator in indicators for output in indicator.outputs}
    return {
        "table": schema.name,
        "description": schema.description,
        "key": list(schema.key),
        "origin": origin(schema.name),
        "columns": [
            {
                "name": column.name,
                "type": sql_type(column.type),
                "unit": column.unit,
                "nullable": column.nullable,
                "description": column.description,
                "source": formulas[column.name].source if column.name in formulas else None,
            }
            for column in schema.columns
        ],
    }


def origin(name: str) -> str:
    """Where the rows of a relation come from."""
    from pipelines.build.derived_tables import DERIVED
    from pipelines.market.tables import MERGED, TABLES

    if name in {schema.name for schema in MERGED}:
        return "vendor files, through row rules and gate (`marketlake ingest`)"
    if name in DERIVED:
        return f"dbt model {DERIVED[name].relation}, by the nightly run"
    if name.endswith("_superseded"):
        return f"rows of {name.removesuffix('_superseded')} that a later delivery or run replaced"
    return "written by the command or run that it records" if name in TABLES else "computed from other tables of the catalogue"
