"""How much of the market a file of the whole market holds.

Lives here: `thin`, a warning for files with far fewer bars than the sessions before them.
Does not live here: what is wrong with single rows (`row_rules.py`).

It warns and refuses nothing: special sessions and halts are thin too, and keys that a file lacks are never deleted.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: Listings change by a few in a hundred a year; even the one-hour evening session keeps most of the market.
_FAR_FEWER = 0.8
#: About a month of sessions.
_LOOK_BACK = timedelta(days=30)


def thin(lake: Lake, exchange: str, daily: pl.DataFrame, whole_market: Collection[str]) -> dict[str, str]:
    """Deliveries to warn of: batch_id → why.

    `daily` holds the order's parsed daily rows. Compared are the symbols of each session with the median of the stored sessions
    of the 30 days before it; without stored sessions there is nothing to compare with.
    """
    counted = (
        daily.filter(pl.col("source").is_in(list(whole_market)))
        .drop_nulls(["session_date", "symbol"])
        .group_by("batch_id", "session_date")
        .agg(pl.col("symbol").n_unique().alias("bars"))
    )
    if counted.is_empty():
        return {}
    bars = LakeTable(lake.table_uri(exchange, "bars_daily"), TABLES["bars_daily"])
    stored = bars.read(columns=["symbol", "session_date"], verify=False)
    before = stored.group_by("session_date").agg(pl.col("symbol").n_unique().alias("usual"))
    warnings = {}
    for batch, session, bars in counted.sort("batch_id", "session_date").iter_rows():
        near = before.filter(pl.col("session_date").is_between(session - _LOOK_BACK, session, closed="left"))["usual"].to_list()
        usual = sorted(near)[len(near) // 2] if near else 0
        if bars < _FAR_FEWER * usual:
            warnings[batch] = f"holds {bars} instruments for {session}, where {usual} are usual; fetch it again if it was cut short"
    return warnings
