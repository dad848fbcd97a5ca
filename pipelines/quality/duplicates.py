"""Keys that a delivery names more than once.

Lives here: telling exact duplicates (dropped, counted) from conflicting ones (all quarantined unless a source priority decides).
Does not live here: rows that differ from what the lake holds (`storage/merge.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl


def resolve_duplicates(
    rows: pl.DataFrame, key: Sequence[str], values: Sequence[str], priorities: Mapping[str, int]
) -> tuple[pl.DataFrame, int, pl.DataFrame]:
    """One row per key.

    Returns the rows to keep, how many exact copies were dropped, and the rows to quarantine with `rule` and `reason`: of a key with
    different values only those of the source with the highest priority may stay; when these differ too, none does.
    """
    key, values = list(key), list(values)
    counted = rows.with_columns(pl.len().over(key).alias("__copies"))
    single = counted.filter(pl.col("__copies") == 1).drop("__copies")
    if single.height == rows.height:
        return rows, 0, _verdict(rows.clear(), "", "")
    several = counted.filter(pl.col("__copies") > 1).drop("__copies")
    rank = pl.col("source").replace_strict(dict(priorities), default=0, return_dtype=pl.Int64)
    ranked = several.with_columns(rank.alias("__rank"), pl.struct(values).alias("__values"))
    best = ranked.filter(pl.col("__rank") == pl.col("__rank").max().over(key))
    lower = ranked.filter(pl.col("__rank") < pl.col("__rank").max().over(key))
    conflict = pl.col("__values").n_unique().over(key) > 1
    agreed = best.filter(~conflict).unique(key, keep="first", maintain_order=True)
    conflicting = best.filter(conflict)
    outranked = lower.join(agreed.select(*key, "__values"), on=[*key, "__values"], how="anti", nulls_equal=True)
    dropped = several.height - agreed.height - conflicting.height - outranked.height
    helper = ["__rank", "__values"]
    refused = pl.concat(
        [
            _verdict(
                conflicting.drop(helper),
                "conflicting_duplicate",
                "the delivery holds this key more than once, with different values",
            ),
            _verdict(outranked.drop(helper), "source_priority", "a source of higher priority in the same delivery says otherwise"),
        ]
    )
    return pl.concat([single, agreed.drop(helper)]), dropped, refused


def _verdict(rows: pl.DataFrame, rule: str, reason: str) -> pl.DataFrame:
    return rows.with_columns(rule=pl.lit(rule, pl.String), reason=pl.lit(reason, pl.String))
