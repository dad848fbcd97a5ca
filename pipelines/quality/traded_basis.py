"""Whether bars and actions agree on the basis of prices: the lake keeps prices as traded, and recorded actions are applied to them.

Lives here: `bars_as_traded`, which says of each bar whether its vendor applied an action already that the lake would apply again,
and `actions_not_in_prices`, the same of each action and the bars that are stored.
Does not live here: how a file tells its basis (`sources/price_basis.py`), applying actions
(`storage/adjusted_views.py`, indicators).

A vendor that adjusts does it up to the day on which the file was made; the file's arrival stands for that day. An action is in the
prices of the sessions before its ex-date, if that was no later than the arrival. Splits, bonuses and capital reductions are in the
prices of every adjusting vendor, dividends in those of the basis `adjusted`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: Whether a row agrees; NULL where nothing tells.
COLUMN: Final = "in_traded_basis"
_SHARES: Final = ("split", "bonus", "capital_reduction")
#: Actions that the prices of a basis contain.
_CONTAINED: Final[Mapping[str, tuple[str, ...]]] = {"split_adjusted": _SHARES, "adjusted": (*_SHARES, "dividend")}


def bars_as_traded(rows: pl.DataFrame, bases: Mapping[str, str | None], actions: pl.DataFrame) -> pl.DataFrame:
    """`rows` (instrument_id, session_date, batch_id, received_at) with `in_traded_basis`: false where the prices contain an action.

    bases: price basis of each batch. actions: instrument_id, ex_date and action, on record and of the order.
    """
    marked = rows.with_columns(pl.lit(None, pl.Boolean).alias(COLUMN))
    for basis, contained in _CONTAINED.items():
        batches = [batch for batch, named in bases.items() if named == basis]
        applied = actions.filter(pl.col("action").is_in(contained)).select("instrument_id", "ex_date").drop_nulls().unique()
        if not batches or applied.is_empty():
            continue
        # The first action after a session is in its prices if any is.
        following = (
            marked.lazy()
            .with_row_index("__row")
            .filter(pl.col("batch_id").is_in(batches))
            .select("__row", "instrument_id", "session_date", pl.col("received_at").dt.date().alias("__arrived"))
            .drop_nulls("session_date")
            .sort("session_date")
            .join_asof(
                applied.lazy().sort("ex_date"),
                left_on="session_date",
                right_on="ex_date",
                by="instrument_id",
                strategy="forward",
                allow_exact_matches=False,
                check_sortedness=False,
            )
            .filter(pl.col("ex_date") <= pl.col("__arrived"))
            .collect()
        )
        again = pl.int_range(pl.len()).is_in(following["__row"].implode())
        marked = marked.with_columns(pl.when(again).then(pl.lit(value=False)).otherwise(COLUMN).alias(COLUMN))
    return marked


def actions_not_in_prices(lake: Lake, exchange: str, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` (instrument_id, ex_date, action) with `in_traded_basis`: false where the stored bars before the ex-date contain it."""
    marked = rows.with_columns(pl.lit(None, pl.Boolean).alias(COLUMN))
    asked = rows.filter(pl.col("action").is_in(_CONTAINED["adjusted"])).drop_nulls(["instrument_id", "ex_date"])
    if asked.is_empty():
        return marked
    files = LakeTable(lake.table_uri(exchange, "raw_files"), TABLES["raw_files"]).read(
        columns=["batch_id", "price_basis", "received_at"], where=pl.col("price_basis").is_in(list(_CONTAINED))
    )
    if files.is_empty():
        return marked
    wanted = asked["instrument_id"].unique().sort().to_list()
    bars = LakeTable(lake.table_uri(exchange, "bars_daily"), TABLES["bars_daily"]).read(
        columns=["instrument_id", "session_date", "batch_id"], where=pl.col("instrument_id").is_in(wanted)
    )
    before = (
        marked.with_row_index("__row")
        .select("__row", "instrument_id", "ex_date", "action")
        .drop_nulls("ex_date")
        .sort("ex_date")
        .join_asof(
            bars.sort("session_date"),
            left_on="ex_date",
            right_on="session_date",
            by="instrument_id",
            strategy="backward",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .join(files, on="batch_id", how="inner")
        .filter(pl.col("ex_date") <= pl.col("received_at").dt.date())
    )
    holds = pl.any_horizontal(
        (pl.col("price_basis") == basis) & pl.col("action").is_in(contained) for basis, contained in _CONTAINED.items()
    )
    contained_rows = before.filter(holds)["__row"]
    again = pl.int_range(pl.len()).is_in(contained_rows.implode())
    return marked.with_columns(pl.when(again).then(pl.lit(value=False)).otherwise(COLUMN).alias(COLUMN))
