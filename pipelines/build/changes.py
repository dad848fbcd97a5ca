"""What changed between two versions of a lake table.

Lives here: `changed_rows` and `added_and_removed`, which read only the partitions whose files differ.
Does not live here: what has to be rebuilt because of it (`plan.py`).
"""

from __future__ import annotations

import polars as pl
from deltalake import DeltaTable

from pipelines.market.schema import TableSchema
from pipelines.storage.delta import LakeTable, PartitionValue, empty_frame


def changed_rows(table: LakeTable, base: int | None, head: int, columns: list[str]) -> pl.DataFrame:
    """Keys (with `columns` and the batch) that were added, replaced or removed between version `base` and `head`.

    `base` None means that nothing was seen yet: every row is new.
    """
    schema = table.schema
    # A row that a withdrawal brought back is that of its old batch, known anew.
    version_of_row = [name for name in ("batch_id", "known_at") if name in schema.names]
    wanted = list(dict.fromkeys([*schema.key, *columns, *version_of_row]))
    if base == head:
        return empty_frame(schema).select(wanted)
    if base is None:
        return table.read(head, columns=wanted)
    partitions = _touched_partitions(table, base, head)
    before = table.read(base, partitions, wanted)
    after = table.read(head, partitions, wanted)
    identity = [*schema.key, *version_of_row]
    gone = before.join(after, on=identity, how="anti")
    come = after.join(before, on=identity, how="anti")
    return pl.concat([come, gone]).unique(maintain_order=True)


def added_and_removed(
    table: LakeTable, base: int | None, head: int | None, columns: list[str], *, values: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows (key and `columns`) whose keys version `head` has and `base` has not, and those the other way round.

    A version of None stands for a table that is not there. `values`: a row whose `columns` differ was removed and added.
    """
    wanted = list(dict.fromkeys([*table.schema.key, *columns]))
    nothing = empty_frame(table.schema).select(wanted)
    if base == head or head is None:
        return nothing, nothing
    partitions = _touched_partitions(table, base, head) if base is not None else None
    before = table.read(base, partitions, wanted) if base is not None else nothing
    after = table.read(head, partitions, wanted)
    same = wanted if values else list(table.schema.key)
    come = after.join(before, on=same, how="anti", maintain_order="left", nulls_equal=values)
    return come, before.join(after, on=same, how="anti", nulls_equal=values)


def _touched_partitions(table: LakeTable, base: int, head: int) -> list[PartitionValue] | None:
    schema: TableSchema = table.schema
    if schema.partition_by is None:
        return None
    column = f"partition.{schema.partition_by}"
    old, new = (_files(table.uri, version, column) for version in (base, head))
    differing = pl.concat([old.join(new, on="path", how="anti"), new.join(old, on="path", how="anti")])
    return differing.get_column(column).unique().sort().to_list()


def _files(uri: str, version: int, column: str) -> pl.DataFrame:
    actions = pl.DataFrame(DeltaTable(uri, version=version).get_add_actions(flatten=True))
    return actions.select("path", column)
