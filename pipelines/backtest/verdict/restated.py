"""Rows under a run that were once others: what a vendor corrected after it was first believed.

Lives here: counting them. Does not live here: how rows are replaced (`storage/upsert`), what a restatement changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: Tables whose replaced rows count, and the column that places a row in time.
_COUNTED = {"bars_daily": "session_date", "corporate_actions": "ex_date", "scanner_signals": "session_date"}
#: Where the replaced rows are.
RESTATED = tuple(f"{table}_superseded" for table in _COUNTED)


def count_restated(
    lake: Lake, exchange: str, versions: Mapping[str, int], first: date, last: date, scanners: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Rows between two days that replaced others, by table, at pinned versions; of signals those of these scanners.

    A row counts once, however often it was restated.
    """
    counts = {}
    for table, day in _COUNTED.items():
        schema = TABLES[f"{table}_superseded"]
        counts[table] = 0
        if schema.name not in versions:
            continue
        where = pl.col(day).is_between(first, last)
        if table == "scanner_signals":
            where &= pl.col("scanner_name").is_in(list(scanners))
        key = list(TABLES[table].key)
        replaced = LakeTable(lake.table_uri(exchange, schema.name), schema).read(versions[schema.name], where=where)
        counts[table] = replaced.select(key).unique().height
    return counts
