"""Rows that have figures of a bar and no prices: they are of use where the bar itself is known.

Lives here: giving such a row the prices of its bar, out of the same delivery or the lake.
Does not live here: files that have prices and complete each other (`duplicates.py`, `storage/merge.py`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

_PRICES: Final = ("open", "high", "low", "close")
_NO_BAR: Final = (
    "prices: none in the file, and no bar of the share, series and day to complete; ingest the day's bars first, then it again"
)


def coalesce_with_bars(lake: Lake, exchange: str, table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` of a daily table, those without any price with the prices of the bar of their instrument, session and series.

    A row whose bar is not known gets a problem that says so.
    """
    bare = pl.all_horizontal(pl.col(name).is_null() for name in _PRICES) & pl.col("delivery_qty").is_not_null()
    bare = bare & pl.col("parse_problem").is_null()
    if not rows.select(bare.any()).item():
        return rows
    key = ["instrument_id", "session_date", "series"]
    sessions = rows.filter(bare)["session_date"].drop_nulls().unique()
    stored = LakeTable(lake.table_uri(exchange, table), TABLES[table]).read(
        partitions=sorted(sessions.dt.year().unique().to_list()), columns=[*key, *_PRICES]
    )
    together = rows.filter(~bare).select(*key, *_PRICES).drop_nulls(_PRICES)
    bars = pl.concat([together, stored.filter(pl.col("session_date").is_in(sessions.implode()))]).unique(key, keep="first")
    named = bars.rename({name: f"__{name}" for name in _PRICES})
    joined = rows.join(named, on=key, how="left", nulls_equal=False, maintain_order="left").with_columns(__bare=bare)
    filled = [pl.when(pl.col("__bare")).then(pl.col(f"__{name}")).otherwise(pl.col(name)).alias(name) for name in _PRICES]
    orphan = pl.col("__bare") & pl.col("__close").is_null()
    return joined.with_columns(
        *filled, pl.when(orphan).then(pl.lit(_NO_BAR)).otherwise(pl.col("parse_problem")).alias("parse_problem")
    ).drop("__bare", *(f"__{name}" for name in _PRICES))
