"""The vocabulary of tables, and what every table must keep to."""

import pyarrow as pa
import pytest

from pipelines.market.schema import REAL, TEXT, Column, TableSchema
from pipelines.market.tables import MERGED, TABLES, table
from pipelines.market.tables.operations import superseded

A, B = Column("a", TEXT, "A."), Column("b", REAL, "B.", observational=True)


def test_a_column_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="named twice"):
        TableSchema("t", "T.", key=("a",), columns=(A, A))


@pytest.mark.parametrize("place", ["key", "sort_by", "partition_by"])
def test_a_key_order_or_partition_must_be_a_column(place: str) -> None:
    wrong = "c" if place == "partition_by" else ("c",)
    with pytest.raises(ValueError, match="no such column: c"):
        TableSchema(**{"name": "t", "description": "T.", "key": ("a",), "columns": (A, B), place: wrong})


def test_observational_columns_are_not_reproducible() -> None:
    schema = TableSchema("t", "T.", key=("a",), columns=(A, B))
    assert schema.reproducible() == ["a"]
    assert schema.arrow() == pa.schema([pa.field("a", TEXT, nullable=False), pa.field("b", REAL, nullable=False)])


def test_an_unknown_table_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"unknown table 'bars'; known: .*bars_daily"):
        table("bars")


@pytest.mark.parametrize("schema", TABLES.values(), ids=lambda t: t.name)
def test_every_table_documents_itself(schema: TableSchema) -> None:
    assert schema.description.endswith(".")
    assert [c.name for c in schema.columns if not c.description] == []
    assert [name for name in schema.key if schema.column(name).nullable] == []


@pytest.mark.parametrize("schema", [t for t in MERGED if t.name != "instrument_aliases"], ids=lambda t: t.name)
def test_a_merged_table_keeps_the_rows_it_replaces(schema: TableSchema) -> None:
    companion = TABLES[f"{schema.name}_superseded"]
    assert companion == superseded(schema)
    assert companion.names[: len(schema.names)] == schema.names


def test_figures_that_are_easily_misread_say_how_they_are_meant() -> None:
    forecast = table("risk_var").column("session_date").description
    assert "for" in forecast
    assert "the sessions before only" in forecast
    record = table("scanner_performance").description
    assert "edge_q_value" in record
    assert "survivors" in record
    assert "chance" in table("scanner_performance").column("edge_q_value").description
    assert "every scanner" in table("backtest_runs").column("trials").description
