"""Daily indicators worked out from bars in this process, as a full build would: what a scan takes that trusts nothing built.

Lives here: `daily_indicators`.
Does not live here: the kernels and the walk through a window (`indicators/`), scanning (`runner.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import polars as pl

from pipelines.build.lake_schema import create_lake_schema
from pipelines.indicators.tables import indicator_tables
from pipelines.scanners.registry import CompiledScanners

_READ = [
    "staging.stg_bars_daily",
    "staging.stg_sessions",
    "intermediate.int_price_actions",
    "intermediate.int_price_actions_superseded",
]


def daily_indicators(
    compiled: CompiledScanners,
    sessions: pl.DataFrame,
    bars_daily: pl.DataFrame,
    corporate_actions: pl.DataFrame,
    replaced: Mapping[str, pl.DataFrame] | None = None,
) -> pl.DataFrame:
    """Rows of `indicators_daily` for all bars given, which must reach back to each instrument's first.

    replaced: rows of `bars_daily_superseded` and `corporate_actions_superseded` (default: none), on which known_at depends.
    """
    from pipelines.indicators.window import build_window  # numba

    given = {"sessions": sessions, "bars_daily": bars_daily, "corporate_actions": corporate_actions, **(replaced or {})}
    with duckdb.connect() as connection:
        create_lake_schema(connection, compiled.indicators)
        for name, frame in given.items():
            connection.register("incoming", frame.to_arrow())
            connection.execute(f"insert into lake.{name} by name select * from incoming")
            connection.unregister("incoming")
        connection.execute(
            "insert into lake.window_daily select instrument_id, min(session_date), max(session_date), max(session_date) "
            "from lake.bars_daily group by instrument_id"
        )
        for model in compiled.needed(_READ, frozenset()):
            connection.execute(f"create schema if not exists {model.relation.split('.')[0]}")
            connection.execute(f"create view {model.relation} as {model.sql}")
        built = build_window(connection.cursor(), "daily", compiled.indicators).read_all()
    frame = pl.DataFrame(pl.from_arrow(built))
    year = pl.col("session_date").dt.year().cast(pl.Int64)
    return frame.with_columns(session_year=year).select(indicator_tables(compiled.indicators)["indicators_daily"].names)
