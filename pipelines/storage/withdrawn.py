"""What a withdrawal means for rows that are delivered later.

Lives here: how withdrawals are marked in the lake, and `known_since_withdrawal`.
Does not live here: taking rows out (`withdraw.py`), merging deliveries (`upsert.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.market.tables.operations import RAW_FILES
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake

#: `superseded_by_batch` of a row that was withdrawn: this and the batch that had brought it.
WITHDRAWAL = "withdrawal:"
#: `status` of a withdrawn delivery in `raw_files`.
WITHDRAWN = "withdrawn"


def known_since_withdrawal(
    lake: Lake, exchange: str, schema: TableSchema, incoming: pl.DataFrame, partitions: Sequence[PartitionValue] | None
) -> pl.DataFrame:
    """`incoming` (the table's columns and `received_at`), rows of withdrawn keys known from their arrival, or the withdrawal, on.

    A row whose key had a version that was believed until it was withdrawn is a restatement, though nothing of it is stored.
    """
    companion = TABLES.get(f"{schema.name}_superseded")
    if companion is None or incoming.is_empty() or not _any_withdrawn(lake, exchange):
        return incoming
    key = list(schema.key)
    kept = LakeTable(lake.table_uri(exchange, companion.name), companion)
    taken_back = pl.col("superseded_by_batch").str.starts_with(WITHDRAWAL)
    until = kept.read(partitions=partitions, columns=[*key, "superseded_at", "superseded_by_batch"]).filter(taken_back)
    last = until.group_by(key).agg(pl.col("superseded_at").max().alias("__until"))
    joined = incoming.join(last, on=key, how="left", maintain_order="left")
    again = pl.max_horizontal("known_at", "received_at", "__until")
    return joined.with_columns(
        known_at=pl.when(pl.col("__until").is_null()).then("known_at").otherwise(again),
    ).drop("__until")


def _any_withdrawn(lake: Lake, exchange: str) -> bool:
    status = LakeTable(lake.table_uri(exchange, RAW_FILES.name), RAW_FILES).read(columns=["status"])
    return bool((status.get_column("status") == WITHDRAWN).any())
