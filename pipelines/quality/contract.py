"""The contract of a table's rows: the columns, types and filled values that its schema promises.

Lives here: `pandera_contract`, made of a schema, and `check_contract`, which rows that enter the lake must pass.
Does not live here: what a delivered row may hold (`row_rules.py`), which sets rows aside instead of stopping the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipelines.market.schema import TableSchema

if TYPE_CHECKING:
    import pandera.polars as pa


class ContractError(ValueError):
    """Rows are not what the schema of their table promises; nothing of them may be published."""


def pandera_contract(schema: TableSchema) -> pa.DataFrameSchema:
    """The pandera schema of a table: a column for each of its own, further ones allowed."""
    import pandera.polars as pa

    types = schema.polars()
    columns = {c.name: pa.Column(types[c.name], nullable=c.nullable, title=c.name, description=c.comment) for c in schema.columns}
    return pa.DataFrameSchema(columns, name=schema.name, description=schema.description)


def check_contract(schema: TableSchema, rows: pl.DataFrame) -> None:
    """Raise ContractError, naming columns and faults, where rows break the contract of their table."""
    # Rows are nearly always sound, and importing pandera costs more than judging a session: it names what is not.
    if _holds(schema, rows):
        return
    import pandera.polars as pa

    try:
        pandera_contract(schema).validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise ContractError(
            f"{schema.name}: {rows.height:,} rows break the contract of their table: {'; '.join(_faults(error))}. Nothing of them "
            "was published; correct what made them (the source, where it is a plug-in's) and ingest again"
        ) from error


def _holds(schema: TableSchema, rows: pl.DataFrame) -> bool:
    types = schema.polars()
    if any(rows.schema.get(name) != kind for name, kind in types.items()):
        return False
    return not any(rows.get_column(c.name).null_count() for c in schema.columns if not c.nullable)


def _faults(error: pa.errors.SchemaErrors) -> list[str]:
    """What is wrong with each column, in words, in the order in which pandera found it."""
    types = {name: str(column.dtype) for name, column in error.schema.columns.items()}
    words = {}
    for case, column, check in error.failure_cases.select("failure_case", "column", "check").iter_rows():
        if check == "column_in_dataframe":
            words[case] = f"{case} is missing"
        elif check == "not_nullable":
            words[column] = f"{column} is empty in some rows and must not be"
        else:
            words[column] = f"{column} is {case} and must be {types[column]}"
    return list(words.values())
