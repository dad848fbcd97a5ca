"""Stored rows that turn out to be another instrument's: moved, with the rows as they were kept.

Lives here: `move_rows`, one commit per table.
Does not live here: which rows belong to whom (`identity/instrument_merges.py`), merging a delivery (`upsert.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import polars as pl

from pipelines.market.schema import TableSchema
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import Change, LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.upsert import keep_superseded

#: Rows of `from_id` from first_session to last_session (null: to the last) are those of `to_id`, which bears the ticker `symbol`
#: then; from `resumes` on (null: never) `from_id` has rows of its own. With `ticker` only rows under that ticker move, where the
#: table has it. Learned from a row of a batch at received_at.
MOVE = {
    "from_id": pl.String(),
    "to_id": pl.String(),
    "first_session": pl.Date(),
    "last_session": pl.Date(),
    "resumes": pl.Date(),
    "symbol": pl.String(),
    "ticker": pl.String(),
    "batch_id": pl.String(),
    "row_number": pl.Int64(),
    "source": pl.String(),
    "received_at": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True)
class Moved:
    """`rows` as they are now; `version` of the table."""

    version: int | None
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)


def move_rows(
    lake: Lake, exchange: str, schema: TableSchema, moves: pl.DataFrame, day: str, staying: Collection[str] = ()
) -> Moved:
    """Give stored rows to another instrument, in one commit; nothing is written when none is left to move.

    `moves` has the columns of `MOVE`; `day` is the column that says to which session a row belongs. A moved row keeps its values
    and where it was read, and becomes known at `received_at`; as it was it is kept in `<table>_superseded`. Where the other
    instrument has a row of the same key, that one stays, unless it moves too. Rows of the sources `staying` do not move: they name
    their instrument by something else than its ticker.
    """
    table = LakeTable(lake.table_uri(exchange, schema.name), schema)
    moved: list[pl.DataFrame] = []

    def decide(read: Callable[[Sequence[PartitionValue] | None], pl.DataFrame]) -> Change:
        wanted = pl.col("instrument_id").is_in(moves["from_id"].implode())
        asked = ["instrument_id", "source", day, *(c for c in ("symbol", schema.partition_by) if c in schema.names)]
        where = _hit(table.read(columns=list(dict.fromkeys(asked)), where=wanted), moves, day, staying)
        partitions = where.get_column(schema.partition_by).unique().sort().to_list() if schema.partition_by else None
        stored = read(partitions)
        hit = _hit(stored, moves, day, staying)
        moved[:] = [hit.clear()]
        if hit.is_empty():
            return Change(stored, [])
        key = list(schema.key)
        known = pl.max_horizontal("known_at", "__received_at")
        now = hit.with_columns(pl.col("__to").alias("instrument_id"), known.alias("known_at"))
        kept = stored.join(hit.select(key), on=key, how="anti", maintain_order="left")
        fresh = now.join(kept, on=key, how="anti", maintain_order="left")
        old = hit.with_columns(superseded_at=known, superseded_by_batch="__batch")
        keep_superseded(lake, exchange, schema, old)
        moved[:] = [fresh.select(schema.names)]
        return Change(pl.concat([kept, moved[0]]), partitions)

    version = table.update(decide, {"why": "identity", "batches": ",".join(moves["batch_id"].unique().sort())})
    crash_point("lake.committed")
    return Moved(version, moved[0]) if moved else Moved(version)


def _hit(rows: pl.DataFrame, moves: pl.DataFrame, day: str, staying: Collection[str]) -> pl.DataFrame:
    """The rows that move, with `__to`, `__batch` and `__received_at`."""
    names = {"from_id": "instrument_id", "to_id": "__to", "batch_id": "__batch", "received_at": "__received_at"}
    targets = moves.select(*names, "first_session", "last_session", "ticker").rename({**names, "ticker": "__ticker"})
    joined = rows.filter(~pl.col("source").is_in(list(staying))).join(
        targets, on="instrument_id", how="inner", maintain_order="left"
    )
    last = pl.col("last_session")
    within = (pl.col(day) >= pl.col("first_session")) & (last.is_null() | (pl.col(day) <= last))
    if "symbol" in rows.columns:
        within &= pl.col("__ticker").is_null() | (pl.col("__ticker") == pl.col("symbol"))
    found = joined.filter(within).drop("first_session", "last_session", "__ticker")
    return found.unique(rows.columns, keep="first", maintain_order=True)
