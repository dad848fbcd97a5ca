"""Keys that a delivery names more than once.

Lives here: telling exact duplicates (dropped, counted) from conflicting ones (all quarantined unless a source priority decides).
Does not live here: rows that differ from what the lake holds (`storage/merge.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from pipelines.storage.merge import ROUNDED

#: Rules on rivals that a person can override for the row that shall win.
_RIVALRY = ("conflicting_duplicate", "source_priority", "source_conflict")


def resolve_duplicates(
    rows: pl.DataFrame, key: Sequence[str], values: Sequence[str], priorities: Mapping[str, int], completed: Collection[str] = ()
) -> tuple[pl.DataFrame, int, pl.DataFrame]:
    """One row per key.

    Returns the rows to keep, how many exact copies were dropped, and the rows to quarantine with `rule` and `reason`: of a key with
    different values only those of the source with the highest priority may stay; when these differ too, none does. Where
    deliveries of one source arrived one after the other, as in a replay, the latest counts and earlier ones that say otherwise are
    dropped. Of the figures in `completed` a null says nothing: rows that agree in what both have are one, with the figures of all.
    A row whose list `overrules` (where there is such a column) names one of these rules wins against the others; of several the
    one decided last.
    """
    key, values = list(key), list(values)
    counted = rows.with_columns(pl.len().over(key).alias("__copies"))
    single = counted.filter(pl.col("__copies") == 1).drop("__copies")
    if single.height == rows.height:
        return rows, 0, _rejected(rows.clear(), "", "")
    several = counted.filter(pl.col("__copies") > 1).drop("__copies")
    winners, losers = _by_decision(several, key)
    copies = losers.join(winners.select(*key, *values), on=[*key, *values], how="semi", nulls_equal=True).height
    losers = losers.join(winners.select(*key, *values), on=[*key, *values], how="anti", nulls_equal=True, maintain_order="left")
    several = several.join(winners.select(key), on=key, how="anti", maintain_order="left") if winners.height else several
    candidates = several.height
    several = _without_older(several, key, values, completed)
    rank = pl.col("source").replace_strict(dict(priorities), default=0, return_dtype=pl.Int64)
    ranked = several.with_columns(rank.alias("__rank"), pl.struct(values).alias("__values"))
    best = ranked.filter(pl.col("__rank") == pl.col("__rank").max().over(key))
    lower = ranked.filter(pl.col("__rank") < pl.col("__rank").max().over(key))
    conflict = _contradiction(values, completed).over(key)
    filled = [pl.col(name).drop_nulls().first().over(key).alias(name) for name in completed]
    agreed = best.filter(~conflict).with_columns(filled).unique(key, keep="first", maintain_order=True)
    conflicting = best.filter(conflict)
    outranked = lower.join(agreed.select(*key, "__values"), on=[*key, "__values"], how="anti", nulls_equal=True)
    dropped = copies + candidates - agreed.height - conflicting.height - outranked.height
    helper = ["__rank", "__values"]
    refused = pl.concat(
        [
            _rejected(
                conflicting.drop(helper),
                "conflicting_duplicate",
                "the delivery holds this key more than once, with different values",
            ),
            _rejected(outranked.drop(helper), "source_priority", "a source of higher priority in the same delivery says otherwise"),
            _rejected(losers, "conflicting_duplicate", "a person decided for another row of this key"),
        ]
    )
    return pl.concat([single, agreed.drop(helper), winners]), dropped, refused


def _without_older(several: pl.DataFrame, key: list[str], values: Sequence[str], completed: Collection[str]) -> pl.DataFrame:
    """Without rows that a later delivery of the same source contradicts."""
    if "received_at" not in several.columns or several.is_empty():
        return several
    of_source = [*key, "source"]
    older = pl.col("received_at") < pl.col("received_at").max().over(of_source)
    return several.filter(~(older & _contradiction(values, completed).over(of_source)))


def _contradiction(values: Sequence[str], completed: Collection[str]) -> pl.Expr:
    """Whether rows of one key say different things about anything."""
    whole = [name for name in values if name not in completed]
    found = [pl.struct(whole).n_unique() > 1]
    for name in completed:
        figure = pl.col(name).drop_nulls()
        found.append(figure.max() - figure.min() > ROUNDED[name] if name in ROUNDED else figure.n_unique() > 1)
    return pl.any_horizontal(pl.coalesce(each, pl.lit(value=False)) for each in found)


def _by_decision(several: pl.DataFrame, key: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that a decision made winners of their keys, and the others of these keys."""
    if "overrules" not in several.columns:
        return several.clear(), several.clear()
    decided = several.filter(pl.col("overrules").list.set_intersection(list(_RIVALRY)).list.len() > 0)
    winners = decided.sort("decided_at", maintain_order=True).unique(key, keep="last", maintain_order=True)
    rivals = several.join(winners.select(key), on=key, how="semi", maintain_order="left")
    return winners, rivals.join(winners, on=["batch_id", "row_number"], how="anti", maintain_order="left")


def _rejected(rows: pl.DataFrame, rule: str, reason: str) -> pl.DataFrame:
    return rows.with_columns(rule=pl.lit(rule, pl.String), reason=pl.lit(reason, pl.String))
