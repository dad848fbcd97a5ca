"""A session delivered twice: files of the whole market whose bars are those of the session before.

Lives here: `repeated`, which finds such deliveries before their rows are judged.
Does not live here: a file whose name contradicts its rows (its source refuses it), equal rows of one key (`duplicates.py`).

Vendors' jobs that find no new file save the last one again under the new day's name, sometimes with the date rewritten. Such rows
are plausible one by one; only all of them together cannot be.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

_VALUES = ("open", "high", "low", "close", "volume")
#: A share may stand at its band for days with like volumes; nine in ten of a market never do.
_SHARE = 0.9
#: Fewer bars than this may be equal by chance.
_AT_LEAST = 5
#: The longest closure between two sessions of a market, with room to spare.
_LOOK_BACK = timedelta(days=15)


def repeated(lake: Lake, exchange: str, daily: pl.DataFrame, whole_market: Collection[str]) -> dict[str, str]:
    """Deliveries to refuse: batch_id → why.

    `daily` holds the order's parsed daily rows. A delivery of a source in `whole_market` is refused when at least nine in ten of
    its traded bars equal, in prices and volume, those of the session before, in the lake or in the same order.
    """
    columns = ["symbol", "session_date", *_VALUES]
    traded = daily.filter(pl.col("source").is_in(list(whole_market)) & (pl.col("volume") > 0)).drop_nulls(columns)
    if traded.is_empty():
        return {}
    first, last = traded["session_date"].min(), traded["session_date"].max()
    stored = LakeTable(lake.table_uri(exchange, "bars_daily"), TABLES["bars_daily"]).read(columns=columns)
    near = stored.filter(pl.col("session_date").is_between(pl.lit(first) - _LOOK_BACK, pl.lit(last)))
    others = pl.concat([near.with_columns(pl.col("volume").cast(pl.Float64)).select(columns), traded.select(columns)]).unique()
    sessions = others.select("session_date").unique().sort("session_date")
    before = sessions.with_columns(pl.col("session_date").shift().alias("before")).drop_nulls()
    compared = (
        traded.select("batch_id", *columns)
        .join(before, on="session_date")
        .join(others.rename({"session_date": "before"}), on=["symbol", "before"], suffix="_before")
        .unique(["batch_id", "session_date", "symbol"])
    )
    equal = pl.all_horizontal(pl.col(v) == pl.col(f"{v}_before") for v in _VALUES)
    judged = compared.group_by("batch_id", "session_date", "before").agg(equal.mean().alias("share"), pl.len().alias("bars"))
    found = judged.filter((pl.col("share") >= _SHARE) & (pl.col("bars") >= _AT_LEAST)).sort("batch_id", "session_date")
    return {
        row["batch_id"]: f"says it is of {row['session_date']}, but {row['share']:.0%} of its {row['bars']} bars equal those of "
        f"{row['before']}, volumes included: the session of {row['before']} delivered again; fetch the right file"
        for row in found.iter_rows(named=True)
    }
