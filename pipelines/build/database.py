"""The build database: where dbt computes one exchange's window from pinned files.

Lives here: preparing it (schema `lake`) and reading what dbt made of it (`BuiltTable`).
Does not live here: the models (`dbt_project/`) and committing their windows (`commit.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa

from pipelines.build.plan import BuildPlan
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.relations import quoted, select_files

#: Derived tables whose rows stay on record as they were issued.
RECORDS = ("scanner_signals",)

#: Rows of a derived table that are compared and written at once: half a gigabyte of the widest.
ROWS_PER_PART = 750_000


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
    Rows of sessions after the plan's `until` are left out of every view.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in (path, path.with_name(path.name + ".wal")):
        stale.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA lake")
        for name, schema in inputs.items():
            connection.execute(_view(lake, plan, name, schema, plan.inputs.get(name)))
        for name, schema in {**derived, **replaced_tables(RECORDS)}.items():
            version = None if plan.full else derived_versions.get(name)
            if name.removesuffix("_superseded") in RECORDS:
                version = records.get(name)
            connection.execute(_view(lake, plan, name, schema, version, reach.get(name)))
        for name, schema in replaced_tables(inputs).items():
            head = LakeTable(lake.table_uri(plan.exchange, name), schema).version()
            version = head if replaced is None else replaced.get(name)
            connection.execute(_view(lake, plan, name, schema, version))
        windows = {"window_daily": plan.daily, "window_1m": plan.minute, "window_listings": plan.listings}
        for name, frame in {**frames, **windows, "window_bounds": plan.bounds}.items():
            connection.register("incoming", frame.to_arrow())
            connection.execute(f"CREATE TABLE lake.{name} AS SELECT * FROM incoming")
            connection.unregister("incoming")


def replaced_tables(names: Iterable[str]) -> dict[str, TableSchema]:
    """The tables of replaced rows that stand behind these tables."""
    return {name: TABLES[name] for name in (f"{table}_superseded" for table in names) if name in TABLES}


@dataclass(frozen=True)
class BuiltTable:
    """What dbt built of one table: a relation `schema.name` of the build database, read part by part."""

    connection: duckdb.DuckDBPyConnection
    relation: str
    schema: TableSchema

    def rows(self, partitions: Sequence[PartitionValue] | None = None) -> pl.DataFrame:
        """Its rows, of some partitions only where given."""
        if partitions is None:
            return self._query(f"SELECT * FROM {self._name}")
        column, wanted = quoted(str(self.schema.partition_by)), sorted(partitions)
        # The span of values is what DuckDB compares with its zone maps.
        among = f"{column} BETWEEN ? AND ? AND list_contains(?, {column})"
        return self._query(f"SELECT * FROM {self._name} WHERE {among}", [wanted[0], wanted[-1], wanted])

    def keys(self) -> pl.DataFrame:
        """The distinct keys, with their sessions and without the time within a session."""
        names = dict.fromkeys(name for name in (*self.schema.key, "session_date", "date") if name in self.schema.names)
        days = [quoted(name) for name in names if not pa.types.is_timestamp(self.schema.column(name).type)]
        return self._query(f"SELECT DISTINCT {', '.join(days)} FROM {self._name}")

    def rows_by_session(self) -> dict[date, int]:
        """How many rows it has of each session, in their order."""
        column = "session_date" if "session_date" in self.schema.names else "date"
        return dict(self._query(f"SELECT {column}, count(*) FROM {self._name} GROUP BY 1 ORDER BY 1").iter_rows())

    def parts(self, partitions: Sequence[PartitionValue]) -> list[list[PartitionValue]]:
        """Partitions in groups of neighbours, each of no more rows than are held in memory at once, but of one at least.

        Raises ValueError where it has rows of other partitions.
        """
        column = quoted(str(self.schema.partition_by))
        rows = dict(self._query(f"SELECT {column}, count(*) FROM {self._name} GROUP BY 1").iter_rows())
        if others := sorted(rows.keys() - set(partitions)):
            raise ValueError(f"{self.relation} has rows of {others[0]}, which the build does not replace; this is a defect")
        groups: list[list[PartitionValue]] = []
        held = 0
        for value in sorted(partitions):
            held += rows.get(value, 0)
            if not groups or held > ROWS_PER_PART:
                groups.append([])
                held = rows.get(value, 0)
            groups[-1].append(value)
        return groups

    @property
    def _name(self) -> str:
        return ".".join(quoted(part) for part in self.relation.split("."))

    def _query(self, sql: str, parameters: Sequence[object] = ()) -> pl.DataFrame:
        return self.connection.sql(sql, params=[*parameters]).pl()


@contextmanager
def open_built(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a build database, for reading."""
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def newest_known(connection: duckdb.DuckDBPyConnection) -> pl.Series:
    """The latest known_at of the indicators that a build made, daily and one-minute: no bar or action it took in came later."""
    parts = " union all ".join(
        f"select max(known_at) as known_at from indicators.{name}" for name in ("indicators_daily", "indicators_1m")
    )
    return connection.sql(parts).pl().get_column("known_at").drop_nulls()


def _view(
    lake: Lake,
    plan: BuildPlan,
    name: str,
    schema: TableSchema,
    version: int | None,
    partitions: Sequence[PartitionValue] | None = None,
) -> str:
    view = f"CREATE VIEW lake.{quoted(name)} AS"
    if version is None:
        return f"{view} {select_files(schema, [])}"
    table = LakeTable(lake.table_uri(plan.exchange, name), schema)
    day = next((column for column in ("session_date", "date") if column in schema.names), None)
    if plan.until is None or day is None:
        return f"{view} {select_files(schema, table.files(version, partitions), table.columns(version))}"
    if schema.partition_by:
        until = plan.until if schema.partition_by == "session_date" else plan.until.year
        known = table.partition_values(version) if partitions is None else partitions
        partitions = [value for value in known if value <= until]  # type: ignore[operator]
    rows = select_files(schema, table.files(version, partitions), table.columns(version))
    return f"{view} SELECT * FROM ({rows}) WHERE {day} <= DATE '{plan.until}'"
