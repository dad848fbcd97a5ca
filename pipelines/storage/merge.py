"""Merging a delivery into stored rows by key.

Lives here: `merge_by_key`, a pure function, and the figures of a merge.
Does not live here: reading and committing (`upsert.py`), duplicates inside one delivery (`quality/row_rules.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.market.schema import TableSchema

#: Columns that say where a row came from; two deliveries of one value differ in them without being a restatement.
PROVENANCE_COLUMNS = ("source", "known_at", "batch_id", "row_number")

#: Figures that files of one day round differently, with how far apart they may lie: NSE's turnover in lakhs has two decimals.
ROUNDED = {"turnover": 500.0}


@dataclass(frozen=True)
class Merge:
    """Outcome of a merge. Frames have the table's columns.

    rows: the table after the merge, for the partitions that were handed in.
    accepted: new keys; restated: new rows of known keys; superseded: the rows they replaced, with superseded_at and
    superseded_by_batch; refused: rows that lost against a stored row, with `rule` and `reason`; unchanged: number of equal rows.
    """

    rows: pl.DataFrame
    accepted: pl.DataFrame
    restated: pl.DataFrame
    superseded: pl.DataFrame
    refused: pl.DataFrame
    unchanged: int

    @property
    def changes(self) -> int:
        """Rows that differ from what was stored."""
        return self.accepted.height + self.restated.height


def merge_by_key(stored: pl.DataFrame, incoming: pl.DataFrame, schema: TableSchema, priorities: Mapping[str, int]) -> Merge:
    """Merge `incoming` into `stored`.

    `incoming` has the table's columns and `received_at` (UTC), and no key twice. A new key is accepted; an equal row is unchanged;
    a differing row of the same source, or of a source with a higher priority, replaces the stored one and becomes known at
    `received_at`; a differing row of a lower priority is refused as `source_priority`, of equal priority as `source_conflict`.
    A row whose list `overrules` (where there is such a column) names the rule replaces the stored one all the same.
    Of the figures that the table completes a null says nothing: it neither contradicts a stored figure nor replaces it. A row that
    agrees and has figures that the stored one lacks fills them in, which is a restatement, unless its priority is lower.
    A source without a priority (its plug-in cannot be loaded) neither replaces another's rows nor is replaced by another's.
    A key that is absent from `incoming` is never removed.
    """
    key = list(schema.key)
    values = [c for c in schema.names if c not in {*key, *PROVENANCE_COLUMNS}]
    theirs = incoming.with_row_index("__row")
    was = {name: f"__stored_{name}" for name in (*values, "source")}
    matched = theirs.join(stored.select(*key, *(pl.col(name).alias(alias) for name, alias in was.items())), on=key, how="left")
    contradicts, fills = _compared(values, schema.completed)
    rank = pl.col("source").replace_strict(dict(priorities), default=None, return_dtype=pl.Int64)
    stored_rank = pl.col("__stored_source").replace_strict(dict(priorities), default=None, return_dtype=pl.Int64)
    decided = pl.lit(value=False)
    if "overrules" in incoming.columns:
        decided = (pl.col("overrules").list.set_intersection(["source_priority", "source_conflict"]).list.len() > 0).fill_null(
            value=False
        )
    outcome = (
        pl.when(pl.col("__stored_source").is_null())
        .then(pl.lit("accepted"))
        .when(~contradicts & ~fills)
        .then(pl.lit("unchanged"))
        .when(
            (pl.col("source") == pl.col("__stored_source"))
            | (rank > stored_rank)
            | decided
            | (~contradicts & (rank == stored_rank))
        )
        .then(pl.lit("restated"))
        .when(rank < stored_rank)
        .then(pl.lit("source_priority"))
        .otherwise(pl.lit("source_conflict"))
    )
    judged = matched.with_columns(outcome.alias("__outcome"))

    accepted = judged.filter(pl.col("__outcome") == "accepted").select(schema.names)
    kept_figures = (pl.coalesce(name, f"__stored_{name}").alias(name) for name in schema.completed)
    restated_in = judged.filter(pl.col("__outcome") == "restated").with_columns(kept_figures)
    restated = restated_in.with_columns(pl.max_horizontal("known_at", "received_at").alias("known_at")).select(schema.names)
    superseded = stored.join(
        restated.select(*key, pl.col("known_at").alias("superseded_at"), pl.col("batch_id").alias("superseded_by_batch")),
        on=key,
    )
    refused = judged.filter(pl.col("__outcome").is_in(["source_priority", "source_conflict"]))
    kept = stored.join(restated.select(key), on=key, how="anti")
    return Merge(
        rows=pl.concat([kept.select(schema.names), accepted, restated]),
        accepted=accepted,
        restated=restated,
        superseded=superseded,
        refused=refused.select(
            *schema.names,
            pl.col("__outcome").alias("rule"),
            pl.format("a row of source {} is already stored and differs", "__stored_source").alias("reason"),
        ),
        unchanged=judged.filter(pl.col("__outcome") == "unchanged").height,
    )


def _compared(values: Sequence[str], completed: Collection[str]) -> tuple[pl.Expr, pl.Expr]:
    """Whether an incoming row says otherwise than the stored one, and whether it says more."""
    otherwise, more = [pl.lit(value=False)], [pl.lit(value=False)]
    for name in values:
        now, was = pl.col(name), pl.col(f"__stored_{name}")
        if name not in completed:
            otherwise.append(now.ne_missing(was))
            continue
        equal = (now - was).abs() <= ROUNDED[name] if name in ROUNDED else now == was
        otherwise.append((~equal).fill_null(value=False))
        more.append(now.is_not_null() & was.is_null())
    return pl.any_horizontal(otherwise), pl.any_horizontal(more)
