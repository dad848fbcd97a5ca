"""The build database: where dbt computes one exchange's window from pinned files.

Lives here: preparing it (schema `lake`) and reading what dbt made of it.
Does not live here: the models (`dbt_project/`) and committing their windows (`orchestration` calls `publish.replace_rows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import polars as pl

from pipelines.build.plan import BuildPlan
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.relations import quoted, select_files

#: Derived tables whose rows stay on record as they were issued.
RECORDS = ("scanner_signals",)


def build_path(state_dir: Path, exchange: str) -> Path:
    """The build database of an exchange. It is derived: every build starts it anew."""
    return state_dir / "build" / f"{exchange}.duckdb"


def prepare_build(
    lake: Lake,
    plan: BuildPlan,
    path: Path,
    *,
    inputs: Mapping[str, TableSchema],
    derived: Mapping[str, TableSchema],
    derived_versions: Mapping[str, int],
    records: Mapping[str, int],
    reach: Mapping[str, Sequence[PartitionValue]],
    frames: Mapping[str, pl.DataFrame],
    replaced: Mapping[str, int] | None = None,
) -> None:
    """Start the build database anew.

    Schema `lake` gets a view per input at the plan's version and one of its replaced rows (`<table>_superseded`, where they are
    kept), a view per derived table at the last built version (what is carried forward; only of the
    partitions that `reach` names for it, where it does), a table per frame (the calendar and what else is no lake table), and
    the windows `window_daily`, `window_1m` and `window_listings` (columns of `plan.WINDOW`) with their `window_bounds`. A derived
    table of `RECORDS` and its replaced rows are there at the versions of `records`, whatever the build: what has been issued is no
    matter of what is computed now. Replaced rows of inputs are there at the versions of `replaced`, by default as they are now.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in (path, path.with_name(path.name + ".wal")):
        stale.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA lake")
        for name, schema in inputs.items():
            connection.execute(_view(lake, plan.exchange, name, schema, plan.inputs.get(name)))
        for name, schema in {**derived, **replaced_tables(RECORDS)}.items():
            version = None if plan.full else derived_versions.get(name)
            if name.removesuffix("_superseded") in RECORDS:
                version = records.get(name)
            connection.execute(_view(lake, plan.exchange, name, schema, version, reach.get(name)))
        for name, schema in replaced_tables(inputs).items():
            head = LakeTable(lake.table_uri(plan.exchange, name), schema).version()
            version = head if replaced is None else replaced.get(name)
            connection.execute(_view(lake, plan.exchange, name, schema, version))
        windows = {"window_daily": plan.daily, "window_1m": plan.minute, "window_listings": plan.listings}
        for name, frame in {**frames, **windows, "window_bounds": plan.bounds}.items():
            connection.register("incoming", frame.to_arrow())
            connection.execute(f"CREATE TABLE lake.{name} AS SELECT * FROM incoming")
            connection.unregister("incoming")


def replaced_tables(names: Iterable[str]) -> dict[str, TableSchema]:
    """The tables of replaced rows that stand behind these tables."""
    return {name: TABLES[name] for name in (f"{table}_superseded" for table in names) if name in TABLES}


def read_built(path: Path, relation: str) -> pl.DataFrame:
    """Rows of a relation that dbt built, as `schema.name`."""
    schema, name = relation.split(".")
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.sql(f"SELECT * FROM {quoted(schema)}.{quoted(name)}").pl()


def newest_known(path: Path) -> pl.Series:
    """The latest known_at of the indicators that a build made, daily and one-minute: no bar or action it took in came later."""
    parts = " union all ".join(
        f"select max(known_at) as known_at from indicators.{name}" for name in ("indicators_daily", "indicators_1m")
    )
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.sql(parts).pl().get_column("known_at").drop_nulls()


def _view(
    lake: Lake,
    exchange: str,
    name: str,
    schema: TableSchema,
    version: int | None,
    partitions: Sequence[PartitionValue] | None = None,
) -> str:
    if version is None:
        return f"CREATE VIEW lake.{quoted(name)} AS {select_files(schema, [])}"
    table = LakeTable(lake.table_uri(exchange, name), schema)
    return f"CREATE VIEW lake.{quoted(name)} AS {select_files(schema, table.files(version, partitions), table.columns(version))}"
