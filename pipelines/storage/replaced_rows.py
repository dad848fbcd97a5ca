"""Rows that a delivery brings again although a later one has replaced them since.

Lives here: `without_replaced`, which leaves them out.
Does not live here: the merge (`merge.py`), keeping what a merge replaces (`upsert.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake


def without_replaced(
    lake: Lake,
    exchange: str,
    schema: TableSchema,
    incoming: pl.DataFrame,
    stored: pl.DataFrame,
    partitions: Sequence[PartitionValue] | None,
) -> pl.DataFrame:
    """`incoming` without rows that were published before and replaced since, by a delivery not older than they are now.

    `partitions`: those of the incoming rows. Rows, not keys: of two that a file holds for one key, a person may decide for the one
    and later for the other.
    """
    companion = TABLES.get(f"{schema.name}_superseded")
    if companion is None:
        return incoming
    said = [*schema.key, "batch_id", *(["row_number"] if "row_number" in schema.names else [])]
    replaced = LakeTable(lake.table_uri(exchange, companion.name), companion).read(
        partitions=partitions, columns=[*said, "superseded_at"]
    )
    last = replaced.group_by(said).agg(pl.col("superseded_at").max())
    decided = stored.join(_decided_rows(lake, exchange, schema.name), on=["batch_id", "row_number"], how="semi")
    marked = incoming.join(last, on=said, how="left", maintain_order="left").join(
        decided.select(*schema.key, pl.lit(value=True).alias("__decided")), on=list(schema.key), how="left", maintain_order="left"
    )
    newer = (pl.col("received_at") > pl.col("superseded_at")) & pl.col("__decided").is_null()
    return marked.filter(pl.col("superseded_at").is_null() | newer).drop("superseded_at", "__decided")


def _decided_rows(lake: Lake, exchange: str, table: str) -> pl.DataFrame:
    """`batch_id` and `row_number` of the rows of a table that a person let in."""
    schema = TABLES["quarantine"]
    columns = ["batch_id", "row_number", "table_name", "released_at"]
    held = LakeTable(lake.table_uri(exchange, schema.name), schema).read(columns=columns, where=pl.col("released_at").is_not_null())
    return held.filter(pl.col("table_name") == table).select("batch_id", "row_number").unique()
