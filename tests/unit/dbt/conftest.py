"""Marts computed from a few rows: the compiled SQL of a model and of all it reads, in an empty build database."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.market.calendar import calendar
from pipelines.market.closing_auction import closing_auctions
from pipelines.scanners.project import create_lake_schema
from pipelines.scanners.registry import load_scanners

Mart = Callable[..., pl.DataFrame]


@pytest.fixture
def mart(dbt_manifest: Path) -> Iterator[Mart]:
    """`mart(name, exchange, frames)`: rows of marts.<name>, its windows being every bar given, or `window` (daily only)."""
    compiled = load_scanners(dbt_manifest / "manifest.json")
    opened = []

    def rows(name: str, exchange: str, frames: Mapping[str, pl.DataFrame], window: pl.DataFrame | None = None) -> pl.DataFrame:
        connection = duckdb.connect()
        opened.append(connection)
        create_lake_schema(connection)
        given = {"sessions": calendar(exchange).frame(), "closing_auctions": closing_auctions(exchange), **frames}
        for table, frame in given.items():
            connection.register("incoming", frame.to_arrow())
            connection.execute(f"insert into lake.{table} by name select * from incoming")
            connection.unregister("incoming")
        if window is not None:
            connection.register("incoming", window.to_arrow())
            connection.execute("insert into lake.window_daily by name select * from incoming")
        for target, bars in (("window_daily", "bars_daily"), ("window_1m", "bars_1m")) if window is None else ():
            connection.execute(
                f"insert into lake.{target} "
                f"select instrument_id, min(session_date), max(session_date), max(session_date) from lake.{bars} group by all"
            )
        for model in compiled.needed([f"marts.{name}"], frozenset()):
            schema = model.relation.split(".")[0]
            connection.execute(f"create schema if not exists {schema}")
            connection.execute(f"create table {model.relation} as {model.sql}")
        return connection.sql(f"from marts.{name}").pl()

    yield rows
    for connection in opened:
        connection.close()
