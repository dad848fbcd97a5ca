"""A daily bar beside the bars before and after it: scaling errors that each bar alone does not show.

Lives here: `with_neighbours`, which says of every daily row whether its close is in line.
Does not live here: the rule that stops the others (`rules.py`), jumps that splits have (dbt mart `price_flags`).
"""

from __future__ import annotations

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: A hundredfold error is beyond it; no share has gone so far from one session to the next.
_MOST_STEP = 20
_RESCALING = ("split", "bonus", "capital_reduction", "demerger", "merger")


def with_neighbours(lake: Lake, exchange: str, daily: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """`daily` with `in_line`: false where the close is more than 20 times off the last close before it and the next one after it.

    `actions`: instrument_id, ex_date, action of all that is known; none of a rescaling kind may lie between. Neighbours are stored
    bars and those of the batch. The newest bar is held against the one before it alone: a split of more than 20 for one that nobody
    recorded is out of line on its first day. Null for an instrument's first bar.
    """
    key = ["instrument_id", "session_date"]
    known = daily.drop_nulls([*key, "close"]).filter(pl.col("close") > 0).select(*key, "close").unique(key, keep="first")
    if known.is_empty():
        return daily.with_columns(in_line=pl.lit(None, pl.Boolean))
    first, last = known["session_date"].min(), known["session_date"].max()
    years = list(range(first.year - 1, last.year + 2))  # type: ignore[union-attr]
    stored = LakeTable(lake.table_uri(exchange, "bars_daily"), TABLES["bars_daily"]).read(partitions=years, columns=[*key, "close"])
    series = pl.concat([known, stored.select(known.columns).join(known, on=key, how="anti")]).sort(key)
    rescaled = (
        actions.filter(pl.col("action").is_in(_RESCALING)).select("instrument_id", session_date="ex_date").drop_nulls().unique()
    )
    basis = series.sort("session_date").join_asof(
        rescaled.with_columns(ex_date=pl.col("session_date")).sort("session_date"),
        on="session_date",
        by="instrument_id",
        check_sortedness=False,
    )
    close, since = pl.col("close"), pl.col("ex_date")
    compared = basis.sort(key).with_columns(
        *(
            pl.when(since.eq_missing(since.shift(n))).then((close / close.shift(n)).log()).over("instrument_id").alias(name)
            for n, name in ((1, "before"), (-1, "after"))
        )
    )
    limit = pl.lit(float(_MOST_STEP)).log()
    before, after = pl.col("before"), pl.col("after")
    alone = after.is_null() | ((after.abs() > limit) & (after.sign() == before.sign()))
    judged = compared.select(*key, (~((before.abs() > limit) & alone)).alias("in_line"))
    return daily.join(judged, on=key, how="left", maintain_order="left")
