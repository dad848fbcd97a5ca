"""Publishing a gated delivery into the lake: superseded rows first, then one commit per table.

Lives here: `publish`, which merges by key from the head and commits through that handle.
Does not live here: the gate (`ingest/gate.py`); `publish` only refuses what has no recorded pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import Change, LakeTable, PartitionValue, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.merge import Merge, merge_by_key
from pipelines.storage.replaced_rows import without_replaced
from pipelines.storage.withdrawn import known_since_withdrawal


@dataclass(frozen=True)
class Published:
    """Figures of one table's publication. `version` is None while the table does not exist; `changed` has accepted rows first."""

    table: str
    version: int | None
    accepted: int = 0
    unchanged: int = 0
    restated: int = 0
    refused: pl.DataFrame = field(default_factory=pl.DataFrame)
    changed: pl.DataFrame = field(default_factory=pl.DataFrame)


def publish(
    lake: Lake,
    exchange: str,
    schema: TableSchema,
    incoming: pl.DataFrame,
    *,
    priorities: Mapping[str, int],
    batches: Sequence[str],
    metadata: Mapping[str, str] | None = None,
) -> Published:
    """Merge rows into `{lake}/{exchange}/{table}` in one commit; nothing is written when nothing changes.

    `incoming` has the table's columns and `received_at`. Replaced rows are stored in `<table>_superseded` before the commit that
    replaces them; doing so twice for one batch adds nothing. A batch that is published again as of its first arrival, as by a retry
    or a replay, does not undo its correction: its replaced rows count as unchanged. One that was delivered again after it does,
    unless a person decided for the row that stands. What comes after a withdrawal of the same key is a restatement. `metadata` is
    kept with the commit besides the batches.
    """
    return publish_parts(lake, exchange, schema, lambda: [incoming], priorities=priorities, batches=batches, metadata=metadata)


def publish_parts(
    lake: Lake,
    exchange: str,
    schema: TableSchema,
    parts: Callable[[], Iterable[pl.DataFrame]],
    *,
    priorities: Mapping[str, int],
    batches: Sequence[str],
    metadata: Mapping[str, str] | None = None,
    keep: Sequence[str] | None = None,
) -> Published:
    """`publish` for more rows than fit in memory: part by part, each of partitions of its own, in one commit.

    `parts` gives them anew each time it is called. `keep`: columns of the result's `changed`; None: all.
    """
    table = LakeTable(lake.table_uri(exchange, schema.name), schema)
    columns = list(keep or schema.names)
    outcome: list[_PartOutcome] = []

    def decide(read: Callable[[Sequence[PartitionValue] | None], pl.DataFrame]) -> Iterator[Change]:
        outcome.clear()
        for rows in parts():
            if rows.is_empty():
                continue
            partitions = _partitions(rows, schema)
            incoming = known_since_withdrawal(lake, exchange, schema, rows, partitions)
            merge = _merged(lake, exchange, schema, incoming, read(partitions), priorities)
            outcome.append(
                _PartOutcome(merge.accepted.select(columns), merge.restated.select(columns), merge.refused, merge.unchanged)
            )
            if not merge.changes:
                continue
            keep_superseded(lake, exchange, schema, merge.superseded)
            if partitions is None:
                yield Change(merge.rows, None)
                continue
            touched = _partitions(pl.concat([merge.accepted, merge.restated]), schema) or []
            yield Change(merge.rows.filter(pl.col(str(schema.partition_by)).is_in(touched)), touched)

    version = table.update_in_parts(decide, {"batches": ",".join(sorted(batches)), **(metadata or {})})
    crash_point("lake.committed")
    if not outcome:
        return Published(schema.name, version, refused=empty_frame(schema))
    return Published(
        schema.name,
        version,
        accepted=sum(part.accepted.height for part in outcome),
        unchanged=sum(part.unchanged for part in outcome),
        restated=sum(part.restated.height for part in outcome),
        refused=pl.concat([part.refused for part in outcome]),
        changed=pl.concat([*(part.accepted for part in outcome), *(part.restated for part in outcome)]),
    )


@dataclass(frozen=True)
class _PartOutcome:
    """What became of the rows of one part."""

    accepted: pl.DataFrame
    restated: pl.DataFrame
    refused: pl.DataFrame
    unchanged: int


def try_publish(lake: Lake, exchange: str, schema: TableSchema, incoming: pl.DataFrame, priorities: Mapping[str, int]) -> Merge:
    """What `publish` would do with these rows at the table's head; nothing is written."""
    partitions = _partitions(incoming, schema)
    incoming = known_since_withdrawal(lake, exchange, schema, incoming, partitions)
    stored = LakeTable(lake.table_uri(exchange, schema.name), schema).read(partitions=partitions)
    return _merged(lake, exchange, schema, incoming, stored, priorities)


def _merged(
    lake: Lake, exchange: str, schema: TableSchema, incoming: pl.DataFrame, stored: pl.DataFrame, priorities: Mapping[str, int]
) -> Merge:
    merge = merge_by_key(stored, incoming, schema, priorities)
    if not merge.restated.height:
        return merge
    current = without_replaced(lake, exchange, schema, incoming, stored, _partitions(incoming, schema))
    merge = merge_by_key(stored, current, schema, priorities)
    return replace(merge, unchanged=merge.unchanged + incoming.height - current.height)


def append_new(lake: Lake, exchange: str, schema: TableSchema, rows: pl.DataFrame, metadata: Mapping[str, str]) -> int | None:
    """Add the rows whose keys the table does not have yet; the same rows twice change nothing. Returns the version."""
    table = LakeTable(lake.table_uri(exchange, schema.name), schema)
    key = list(schema.key)
    rows = rows.select(schema.names).unique(key, keep="first", maintain_order=True)
    partitions = _partitions(rows, schema)

    def decide(read: Callable[[Sequence[PartitionValue] | None], pl.DataFrame]) -> Change:
        stored = read(partitions)
        fresh = rows.join(stored.select(key), on=key, how="anti", nulls_equal=True)
        if fresh.is_empty():
            return Change(stored, [])
        if partitions is None:
            return Change(pl.concat([stored, fresh]), None)
        touched = _partitions(fresh, schema) or []
        everything = pl.concat([stored, fresh])
        return Change(everything.filter(pl.col(str(schema.partition_by)).is_in(touched)), touched)

    return table.update(decide, metadata) if rows.height else table.version()


def replace_rows(
    lake: Lake,
    exchange: str,
    schema: TableSchema,
    rows: pl.DataFrame,
    outdated: Callable[[pl.DataFrame], pl.Series],
    partitions: Sequence[PartitionValue] | None,
    metadata: Mapping[str, str],
) -> int | None:
    """Replace the stored rows for which `outdated` is true by `rows`, in one commit; write nothing when they are equal.

    `partitions` bounds what is read and rewritten (None: the table is small and has no partitions).
    """
    return replace_in_parts(lake, exchange, schema, lambda _: rows, outdated, [partitions], metadata)


def replace_in_parts(
    lake: Lake,
    exchange: str,
    schema: TableSchema,
    rows_of: Callable[[Sequence[PartitionValue] | None], pl.DataFrame],
    outdated: Callable[[pl.DataFrame], pl.Series],
    parts: Sequence[Sequence[PartitionValue] | None],
    metadata: Mapping[str, str],
) -> int | None:
    """`replace_rows` for more rows than fit in memory: part by part, by the rows of its partitions, in one commit."""
    table = LakeTable(lake.table_uri(exchange, schema.name), schema)
    types: dict[str, pl.DataType] = dict(empty_frame(schema).schema)

    def decide(read: Callable[[Sequence[PartitionValue] | None], pl.DataFrame]) -> Iterator[Change]:
        for partitions in parts:
            rows = rows_of(partitions).select(schema.names).cast(types)  # type: ignore[arg-type]
            stored = read(partitions)
            kept = stored.filter(~outdated(stored)) if stored.height else stored
            after = pl.concat([kept, rows])
            if partitions is None:
                yield Change(after, [] if same_rows(stored, after, schema) else None)
                continue
            touched = _changed_partitions(stored, after, schema)
            yield Change(after.filter(pl.col(str(schema.partition_by)).is_in(touched)), touched)

    return table.update_in_parts(decide, metadata)


def same_rows(left: pl.DataFrame, right: pl.DataFrame, schema: TableSchema) -> bool:
    """Whether two frames hold the same rows, whatever their order, observational columns apart."""
    if left.height != right.height:
        return False
    names, key = schema.reproducible(), list(schema.key)
    return left.select(names).sort(key).equals(right.select(names).sort(key), null_equal=True)


def _changed_partitions(before: pl.DataFrame, after: pl.DataFrame, schema: TableSchema) -> list[PartitionValue]:
    """Values of the partition column whose rows differ, in order. Each frame is sorted once, a partition is then a slice of it."""
    column, names = str(schema.partition_by), schema.reproducible()
    left, right = (frame.select(list(dict.fromkeys([column, *names]))).sort(column, *schema.key) for frame in (before, after))
    if left.equals(right, null_equal=True):
        return []
    olds, news = _slices(left, column), _slices(right, column)
    shared = olds.keys() & news.keys()
    same = {p for p in shared if left.slice(*olds[p]).equals(right.slice(*news[p]), null_equal=True)}
    return sorted((olds.keys() | news.keys()) - same)


def _slices(rows: pl.DataFrame, column: str) -> dict[PartitionValue, tuple[int, int]]:
    """Offset and length of each run of equal values in a sorted column."""
    runs = rows.get_column(column).rle().struct.unnest()
    starts = (runs["len"].cum_sum() - runs["len"]).to_list()
    return dict(zip(runs["value"].to_list(), zip(starts, runs["len"].to_list(), strict=True), strict=True))


def _partitions(frame: pl.DataFrame, schema: TableSchema) -> list[PartitionValue] | None:
    if schema.partition_by is None:
        return None
    return frame.get_column(schema.partition_by).unique().sort().to_list()


def keep_superseded(lake: Lake, exchange: str, schema: TableSchema, superseded: pl.DataFrame) -> None:
    """Keep replaced rows (columns of the table, superseded_at, superseded_by_batch) where the table has a companion for them."""
    companion = TABLES.get(f"{schema.name}_superseded")
    if companion is None or superseded.is_empty():
        return
    append_new(lake, exchange, companion, superseded, {"of": schema.name})
    crash_point("superseded.committed")
