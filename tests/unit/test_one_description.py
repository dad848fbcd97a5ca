"""A table is described once: what a schema says of a column is what every place says that describes it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from pipelines.cli.generate import generated_files, shipped_tables
from pipelines.indicators.registry import REGISTRY
from pipelines.indicators.tables import INDICATOR_TABLE_NAMES
from pipelines.market.schema import Column, TableSchema
from pipelines.market.tables.profiles import profile_schema
from pipelines.market.tables.views import LATEST_ROWS
from pipelines.orchestration.assets.ingest import ingest_assets
from pipelines.orchestration.metadata import schema_metadata
from pipelines.quality.contract import pandera_contract
from pipelines.storage.catalogue import write_catalogue
from pipelines.storage.location import Lake
from pipelines.storage.relations import sql_type
from pipelines.storage.releases import Release

#: What each column becomes: another name, type, meaning, unit and nullability at once.
AFTER = Column("told_anew", pa.int32(), "Told anew, in words that stand nowhere else.", unit="furlongs", nullable=True)
REQUIRED = replace(AFTER, nullable=False)
#: A reference table, bars, a mart and a table of indicators: (table, column, what it becomes, the dbt model that shows it).
CHANGES = [
    ("instruments", "tick_size", AFTER, "staging/stg_instruments"),
    ("bars_daily", "turnover", REQUIRED, "staging/stg_bars_daily"),
    ("scanner_signals", "target_price", REQUIRED, "marts/scanner_signals"),
    ("scanner_runs", "coverage_pct", AFTER, "marts/scanner_runs"),
    ("indicators_daily", "rsi_14", REQUIRED, "indicators/indicators_daily"),
]
COMMENT = "Told anew, in words that stand nowhere else. [furlongs]"


@pytest.fixture(params=CHANGES, ids=lambda change: f"{change[0]}.{change[1]}")
def change(request: pytest.FixtureRequest) -> tuple[dict[str, TableSchema], TableSchema, Column, str, str]:
    """The tables with one column changed; that table, the new column, the name of the old one, and the model that shows it."""
    name, old, new, model = request.param
    tables = shipped_tables()
    columns = tuple(new if column.name == old else column for column in tables[name].columns)
    completed = tuple(column for column in tables[name].completed if column != old)
    changed = replace(tables[name], columns=columns, completed=completed)
    return {**tables, name: changed}, changed, new, old, model


def test_the_pandera_contract_follows(change) -> None:
    _, table, new, old, _ = change
    contract = pandera_contract(table)
    column = contract.columns[new.name]
    assert (str(column.dtype), column.nullable, column.description) == ("Int32", new.nullable, COMMENT)
    assert old not in contract.columns


def test_dbts_yml_of_model_and_source_follows(change) -> None:
    tables, table, new, old, model = change
    files = generated_files(tables)
    (described,) = yaml.safe_load(files[f"dbt_project/models/{model}.yml"])["models"]
    (source,) = yaml.safe_load(files["dbt_project/models/staging/_lake.yml"])["sources"]
    sources = {entry["name"]: entry for entry in source["tables"]}

    for entry in (described, sources[table.name]):
        columns = {column["name"]: column for column in entry["columns"]}
        assert columns[new.name] == {"name": new.name, "data_type": "integer", "description": COMMENT}
        assert old not in columns
    required = [test["no_nulls"]["arguments"]["columns"] for test in described.get("data_tests", []) if "no_nulls" in test]
    assert [new.name in columns for columns in required] == [not new.nullable for _ in required]


def test_the_yml_of_scanners_follows() -> None:
    tables = shipped_tables()
    signals = tables["scanner_signals"]
    told = replace(AFTER, name="target_price")
    changed = replace(signals, columns=tuple(told if c.name == told.name else c for c in signals.columns))
    text = generated_files({**tables, signals.name: changed})["dbt_project/models/scanners/breakout/breakout_20d.yml"]
    columns = {column["name"]: column for column in yaml.safe_load(text)["models"][0]["columns"]}
    assert columns["target_price"] == {"name": "target_price", "data_type": "integer", "description": COMMENT}
    assert columns["sessions_missing"]["description"] == "Sessions of the look-back without a bar."


def test_the_data_dictionary_follows(change) -> None:
    tables, table, new, old, _ = change
    section = generated_files(tables)["docs/tables.md"].split(f"## {table.name}\n")[1].split("\n## ")[0]
    nullable = "yes" if new.nullable else ""
    assert f"| `told_anew` | INTEGER | furlongs | {nullable} | Told anew, in words that stand nowhere else. |" in section
    assert f"| `{old}` |" not in section


def test_the_comments_of_the_catalogue_follow(change, tmp_path: Path) -> None:
    tables, table, new, old, _ = change
    release = Release("r1", 1, datetime(2024, 1, 2, tzinfo=UTC), "f", {}, "1", {}, {}, None)
    shown = {name: schema for name, schema in tables.items() if name != "releases"}
    path = write_catalogue(Lake(str(tmp_path / "lake")), release, shown, [release], tmp_path / "state")
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            "select table_name, column_name, data_type, comment from duckdb_columns() where column_name in (?, ?)", [new.name, old]
        ).fetchall()

    followed = {name for name, column, kind, comment in rows if (column, kind, comment) == (new.name, "INTEGER", COMMENT)}
    beside = [f"{table.name}_adjusted", f"{table.name}_latest"] if table.name in LATEST_ROWS else []
    assert followed == {table.name, *beside}
    assert table.name not in {name for name, column, *_ in rows if column == old}


def test_dagsters_columns_follow(change) -> None:
    _, table, new, old, _ = change
    columns = {column.name: column for column in schema_metadata(table).columns}
    shown = columns[new.name]
    assert (shown.type, shown.description, shown.constraints.nullable) == ("int32", COMMENT, new.nullable)
    assert old not in columns


@pytest.mark.parametrize(
    ("name", "old", "follows"),
    [("instruments", "tick_size", "told_anew"), ("corporate_actions", "ratio", "told_anew"), ("bars_other_series", "series", "")],
)
def test_the_columns_of_the_gx_suite_follow(name: str, old: str, follows: str) -> None:
    """Of reference tables the suite judges the rows themselves; bars in series have these in their profile by their key."""
    tables = shipped_tables()
    table = tables[name]
    kept = tuple(column for column in table.columns if column.name != old or follows)
    columns = tuple(AFTER if column.name == old else column for column in kept)
    without = {part: tuple(c for c in getattr(table, part) if c != old) for part in ("key", "sort_by", "completed")}
    before = _suite_columns(generated_files(tables), name)
    after = _suite_columns(generated_files({**tables, name: replace(table, columns=columns, **without)}), name)

    assert old in before
    assert after == [new for column in before if (new := follows if column == old else column)]


def test_figures_of_the_profile_have_the_types_and_units_of_the_columns_they_are_of() -> None:
    bars = shipped_tables()["bars_daily"]
    cheaper = replace(bars, columns=tuple(replace(AFTER, name=c.name) if c.name == "low" else c for c in bars.columns))
    lowest = profile_schema(cheaper).column("lowest_low")
    assert (lowest.type, lowest.unit, lowest.nullable) == (AFTER.type, "furlongs", True)
    assert AFTER.description in lowest.description


def test_assets_of_the_lake_show_the_columns_of_their_schemas() -> None:
    tables = shipped_tables()
    specs = [spec for asset in ingest_assets("XNYS", []) for spec in getattr(asset, "specs", [asset])]
    shown = {spec.key.path[-1].removeprefix("staged_"): spec.metadata.get("dagster/column_schema") for spec in specs}
    del shown["vendor_files"]
    assert shown.keys() >= {"raw_files", "bars_daily", "instruments"}
    assert shown == {name: schema_metadata(tables[name]) for name in shown}


def test_every_published_column_is_in_the_data_dictionary() -> None:
    page = generated_files(shipped_tables())["docs/tables.md"]
    for name, table in shipped_tables().items():
        missing = [c.name for c in table.columns if f"| `{c.name}` | {sql_type(c.type)} |" not in page]
        assert missing == [], name
    assert set(INDICATOR_TABLE_NAMES) <= set(shipped_tables())
    assert f"| `{REGISTRY.outputs()[0].name}` |" in page


def _suite_columns(files: dict[str, str], table: str) -> list[str]:
    suite: dict[str, Any] = json.loads(files[f"expectations/{table}.json"])
    (columns,) = [e["kwargs"]["column_set"] for e in suite["expectations"] if e["meta"]["name"] == "profile_has_its_columns"]
    return list(columns)
