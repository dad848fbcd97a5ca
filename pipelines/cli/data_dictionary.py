"""The data dictionary, docs/tables.md: every relation of the catalogue with its columns, made from the table schemas.

Lives here: `render_dictionary`.
Does not live here: what a column means (`market/tables/`), one relation at a terminal (`describe.py`), formulas of indicators
(docs/indicators.md), writing files (`generate.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.cli.describe import origin, published_relations
from pipelines.market.schema import Column, TableSchema
from pipelines.storage.relations import sql_type

_HEAD = """# Tables
<!-- Written by `make generate` from the schemas in pipelines/market/tables; edit those. -->

Every relation of the published catalogue with its columns; `marketlake describe TABLE` prints one of them, with the indicators of
your home and their formulas ([indicators](indicators.md)). How to ask them: [analysts.md](analysts.md). Types are DuckDB's. Where
*may be NULL* is empty, a value is always there.
"""


def render_dictionary(tables: Mapping[str, TableSchema]) -> str:
    """The text of the page. tables: the lake's, those of the built-in indicators among them."""
    relations = published_relations(tables)
    names = sorted(relations)
    listed = " · ".join(f"[{name}](#{name})" for name in names)
    return "\n".join([_HEAD, listed, "", *(_section(relations, name) for name in names)])


def _section(relations: Mapping[str, TableSchema], name: str) -> str:
    schema = relations[name]
    base = _base(relations, name)
    columns = [column for column in schema.columns if base is None or column not in base.columns]
    lines = [
        f"## {name}",
        schema.description,
        "",
        f"Key: {', '.join(f'`{column}`' for column in schema.key)}. Origin: {origin(name)}.",
    ]
    if base is not None:
        more = ", and:" if columns else "."
        lines += ["", f"Columns: those of [{base.name}](#{base.name}){more}"]
    if columns:
        lines += ["", "| column | type | unit | may be NULL | meaning |", "|---|---|---|---|---|", *map(_row, columns)]
    return "\n".join([*lines, ""])


def _base(relations: Mapping[str, TableSchema], name: str) -> TableSchema | None:
    """The relation that this one is named after and whose columns it has all of."""
    bases = [
        schema
        for other, schema in relations.items()
        if name.startswith(f"{other}_") and all(column in relations[name].columns for column in schema.columns)
    ]
    return max(bases, key=lambda schema: len(schema.name), default=None)


def _row(column: Column) -> str:
    cells = (
        f"`{column.name}`",
        sql_type(column.type),
        column.unit or "",
        "yes" if column.nullable else "",
        column.description,
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
