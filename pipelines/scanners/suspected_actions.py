"""Suspected actions of sessions that no nightly run has built yet: the model of the build on the bars of the lake's head.

Lives here: `newly_suspected`, for `marketlake ingest`.
Does not live here: the model (`dbt_project/models/intermediate/int_suspected_actions.sql`), the words
(`ingest/suspected_actions.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

import polars as pl

from pipelines.ingest.suspected_actions import COLUMNS
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.market.tables import TABLES
from pipelines.scanners.engine.inputs import DAYS_BACK, ScanInputs
from pipelines.scanners.engine.model_executor import ModelExecutor
from pipelines.scanners.engine.scan_database import ScanDatabase
from pipelines.scanners.registry import CompiledScanners
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: Sessions of one ingest that are looked at, the newest: an ingest reads a year and a bit, whatever it delivers.
LOOKED_AT = 20
_RELATION = "intermediate.int_suspected_actions"


def newly_suspected(
    lake: Lake, exchange: str, compiled: CompiledScanners, sessions: Sequence[date], instruments: Collection[str]
) -> pl.DataFrame:
    """Suspected actions of these instruments in the last 20 of these sessions, newest first, by what the lake holds now."""
    if not sessions or not instruments:
        return pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.Null))
    looked_at = sorted(sessions)[-LOOKED_AT:]
    first, last = looked_at[0], looked_at[-1]
    wanted = pl.col("instrument_id").is_in(sorted(instruments))
    since = first - DAYS_BACK

    def read(name: str, where: pl.Expr) -> pl.DataFrame:
        table = LakeTable(lake.table_uri(exchange, name), TABLES[name])
        years = list(range(since.year, last.year + 1)) if table.schema.partition_by == "session_year" else None
        return table.read(partitions=years, where=where)

    inputs = ScanInputs(
        sessions=traded_calendar(lake, exchange).frame().filter(pl.col("session_date").is_between(since, last)),
        instruments=read("instruments", wanted),
        bars_daily=read("bars_daily", wanted & pl.col("session_date").is_between(since, last)),
        corporate_actions=read("corporate_actions", wanted),
    )
    database = ScanDatabase(inputs, compiled.indicators)
    try:
        database.connection.execute("insert into lake.window_daily values ('', ?, ?, ?)", [first, last, last])
        ModelExecutor(compiled, database.connection).make([_RELATION], frozenset(), is_short=False)
        found = database.connection.sql(f"select {', '.join(COLUMNS)} from {_RELATION}").pl()
    finally:
        database.connection.close()
    return found.filter(pl.col("session_date").is_in(looked_at)).sort("session_date", "symbol", descending=[True, False])
