"""Taking back the rows of a delivery: out of a table, with the versions that they had replaced put back.

Lives here: `withdraw_rows` for one table.
Does not live here: which delivery and why (`ingest/withdrawal.py`), what is delivered of the same keys later (`withdrawn.py`).

A version that was replaced stands in `<table>_superseded` with the delivery that replaced it: the versions of a row form a chain. A
withdrawn delivery is taken out of that chain: where its version is the current one, the nearest before it that no withdrawal
concerns comes back; where a later delivery replaced it, that one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import Change, LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.upsert import keep_superseded
from pipelines.storage.withdrawn import WITHDRAWAL

#: Partitions that are read and committed together: bounds memory, whatever a delivery holds.
_TOGETHER = 16
#: Tables whose rows may be given to another instrument.
_MOVING = ("bars_daily", "bars_other_series", "bars_1m", "bars_1m_extended", "corporate_actions")


@dataclass(frozen=True)
class TakenBack:
    """What a withdrawal did to one table: rows `removed` for good, rows `restored` to an earlier version. `lost`: the removed rows.

    Frames have the table's columns.
    """

    removed: int
    restored: int
    lost: pl.DataFrame
    back: pl.DataFrame

    @property
    def changes(self) -> int:
        """Rows that are not what they were."""
        return self.removed + self.restored


def withdraw_rows(
    lake: Lake, exchange: str, schema: TableSchema, batch: str, withdrawn: Collection[str], at: datetime
) -> TakenBack:
    """Take the rows of `batch` out of a table that keeps its replaced rows; one commit for every 16 partitions.

    `withdrawn`: all batches taken back so far, this one included; none of their versions comes back. `at` (aware): when the
    withdrawal counts as known. Rows that the batch had given to another instrument are given back. The same again changes nothing.
    """
    table = LakeTable(lake.table_uri(exchange, schema.name), schema)
    companion = LakeTable(lake.table_uri(exchange, f"{schema.name}_superseded"), TABLES[f"{schema.name}_superseded"])
    done: list[_Parted] = []

    def change(partitions: Sequence[PartitionValue] | None) -> _Parted:
        found: list[_Parted] = []

        def decide(read: Callable[[Sequence[PartitionValue] | None], pl.DataFrame]) -> Change:
            stored = read(partitions)
            parted = _part(stored, companion.read(partitions=partitions), schema, batch, set(withdrawn), at)
            found[:] = [parted]
            if parted.gone.is_empty() and parted.back.is_empty():
                return Change(stored, [])
            old = parted.gone.with_columns(superseded_at=pl.lit(at), superseded_by_batch=pl.lit(f"{WITHDRAWAL}{batch}"))
            keep_superseded(lake, exchange, schema, old)
            return Change(parted.rows, partitions)

        table.update(decide, {"why": "withdrawal", "withdrawn": batch})
        crash_point("lake.committed")
        return found[0]

    if schema.partition_by is None:
        done.append(change(None))
    else:
        touched = _partitions(table, companion, schema.partition_by, batch)
        done += [change(touched[i : i + _TOGETHER]) for i in range(0, len(touched), _TOGETHER)]
    lost = pl.concat([part.lost for part in done] or [table.read(partitions=[])])
    back = pl.concat([part.back for part in done] or [table.read(partitions=[])])
    return TakenBack(lost.height, back.height, lost, back)


@dataclass(frozen=True)
class _Parted:
    """rows: the table without the batch. gone: rows taken out. lost: those whose key is empty now. back: versions restored."""

    rows: pl.DataFrame
    gone: pl.DataFrame
    lost: pl.DataFrame
    back: pl.DataFrame


def _part(
    stored: pl.DataFrame, replaced: pl.DataFrame, schema: TableSchema, batch: str, withdrawn: set[str], at: datetime
) -> _Parted:
    key = list(schema.key)
    by_batch = replaced.filter(pl.col("superseded_by_batch") == batch)
    ours = stored.filter(pl.col("batch_id") == batch)
    moved = _moved(stored, by_batch, schema, batch)
    gone = pl.concat([ours, moved])
    kept = stored.join(gone.select(key), on=key, how="anti", maintain_order="left")
    free = by_batch.join(kept.select(key), on=key, how="anti", maintain_order="left")
    known = pl.max_horizontal("known_at", pl.lit(at)).alias("known_at")
    back = _not_withdrawn(free, replaced, key, withdrawn).with_columns(known).select(schema.names)
    lost = gone.join(back.select(key), on=key, how="anti", maintain_order="left")
    lost = lost.join(moved.select(key), on=key, how="anti", maintain_order="left")
    return _Parted(pl.concat([kept, back]), gone, lost, back)


def _moved(stored: pl.DataFrame, by_batch: pl.DataFrame, schema: TableSchema, batch: str) -> pl.DataFrame:
    """Rows of other deliveries that the batch gave to another instrument: the same line of the same file under another key."""
    line = ["batch_id", "row_number", *(name for name in schema.key if name != "instrument_id")]
    if schema.name not in _MOVING or by_batch.is_empty():
        return stored.clear()
    line += ["symbol"] if "symbol" in schema.names else []
    was = by_batch.select(*line, __was="instrument_id")
    found = stored.filter(pl.col("batch_id") != batch).join(was, on=line, how="inner", maintain_order="left")
    return found.filter(pl.col("instrument_id") != pl.col("__was")).select(stored.columns).unique(maintain_order=True)


def _not_withdrawn(rows: pl.DataFrame, replaced: pl.DataFrame, key: list[str], withdrawn: set[str]) -> pl.DataFrame:
    """Each version, or the nearest before it whose delivery was not taken back; none where there is none."""
    good = [rows.clear()]
    # A delivery that came again after its correction stands in the chain twice: more steps than deliveries lead in a circle.
    for _ in range(len(withdrawn) + 1):
        bad = pl.col("batch_id").is_in(list(withdrawn))
        good.append(rows.filter(~bad))
        before = rows.filter(bad).select(*key, superseded_by_batch="batch_id")
        rows = replaced.join(before, on=[*key, "superseded_by_batch"], how="semi", maintain_order="left")
    return pl.concat(good)


def _partitions(table: LakeTable, companion: LakeTable, column: str, batch: str) -> list[PartitionValue]:
    """Partitions with rows of the batch, or with rows that it replaced."""
    ours = table.read(columns=[column], where=pl.col("batch_id") == batch)
    replaced = companion.read(columns=[column], where=pl.col("superseded_by_batch") == batch)
    values: list[date | int] = pl.concat([ours, replaced]).get_column(column).unique().sort().to_list()
    return values
