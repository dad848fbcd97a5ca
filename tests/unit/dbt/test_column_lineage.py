"""Columns followed through CTEs, stars, unions, scalar subqueries and unnested lists back to the models that were read."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.dbt.column_lineage import read_column_lineage, trace_columns

LAKE = {"lake.bars": ["id", "day", "close"], "lake.names": ["id", "symbol", "tags"]}


def manifest(**models: str) -> dict[str, Any]:
    """A manifest of SQL models in schema `m`; each may read the lake and those before it."""
    sources = {f"source.{relation}": {"schema": "lake", "name": relation.split(".")[1]} for relation in LAKE}
    nodes: dict[str, Any] = {}
    for name, sql in models.items():
        nodes[f"model.{name}"] = {
            "resource_type": "model",
            "language": "sql",
            "schema": "m",
            "name": name,
            "compiled_code": sql,
            "depends_on": {"nodes": [*sources, *nodes]},
        }
    return {"nodes": nodes, "sources": sources}


def made_of(sql: str) -> Mapping[str, list[tuple[str, str]]]:
    lineage = trace_columns(manifest(model=sql), LAKE)
    return {
        name: [(parent.removeprefix("source.lake."), column) for parent, column in of]
        for name, of in lineage["model.model"].items()
    }


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select close * 2 as twice, 1 as one from lake.bars", {"twice": [("bars", "close")], "one": []}),
        (
            "with b as (select * from lake.bars) select * exclude (day) from b",
            {"id": [("bars", "id")], "close": [("bars", "close")]},
        ),
        (
            "select b.close, n.symbol from lake.bars as b join lake.names as n on n.id = b.id",
            {"close": [("bars", "close")], "symbol": [("names", "symbol")]},
        ),
        (
            "select id as either from lake.bars union all select symbol from lake.names",
            {"either": [("bars", "id"), ("names", "symbol")]},
        ),
        (
            "select id, close from lake.bars union all by name select symbol, id from lake.names",
            {"id": [("bars", "id"), ("names", "id")], "close": [("bars", "close")], "symbol": [("names", "symbol")]},
        ),
        ("select json_object('up', close = 1) as details from lake.bars", {"details": [("bars", "close")]}),
        (
            "select (select max(n.symbol) from lake.names as n where n.id = b.id) as last_symbol from lake.bars as b",
            {"last_symbol": [("bars", "id"), ("names", "id"), ("names", "symbol")]},
        ),
        ("select tag from lake.names as n, unnest(n.tags) as t (tag)", {"tag": [("names", "tags")]}),
    ],
    ids=["expression", "star", "join", "union", "union by name", "json", "scalar subquery", "unnest"],
)
def test_a_column_is_made_of_what_its_expression_reads(sql: str, expected: dict[str, list[tuple[str, str]]]) -> None:
    assert made_of(sql) == expected


def test_a_model_of_a_model_names_the_columns_of_the_one_it_reads() -> None:
    lineage = trace_columns(manifest(first="select close as price from lake.bars", second="select * from m.first"), LAKE)
    assert lineage["model.second"] == {"price": [("model.first", "price")]}


def test_sql_that_cannot_be_read_is_left_out_and_the_rest_stays() -> None:
    models = manifest(bad="select from where (", unknown="select * from lake.elsewhere", good="select id from lake.bars")
    assert set(trace_columns(models, LAKE)) == {"model.good"}


def test_it_is_read_once_for_a_manifest(tmp_path: Path) -> None:
    path, asked = tmp_path / "manifest.json", []

    def lake_columns() -> dict[str, list[str]]:
        asked.append(1)
        return LAKE

    path.write_text(json.dumps(manifest(model="select close from lake.bars")))
    first = read_column_lineage(path, lake_columns)
    assert read_column_lineage(path, lake_columns) == first == {"model.model": {"close": [("source.lake.bars", "close")]}}
    assert len(asked) == 1
    path.write_text(json.dumps(manifest(model="select day from lake.bars")))
    later = path.with_name("column_lineage.json").stat().st_mtime + 10
    os.utime(path, (later, later))
    assert set(read_column_lineage(path, lake_columns)["model.model"]) == {"day"}
