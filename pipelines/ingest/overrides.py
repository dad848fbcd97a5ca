"""Decisions of people about rows in quarantine: which rows, which rules no longer count for them, why, by whom, when.

Lives here: choosing rows of the quarantine, what decisions on record mean for staging, recording one.
Does not live here: carrying a decision out (`overridden_rows.py`), shaping quarantine rows (`quarantine.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from pipelines.market.tables.operations import QUARANTINE, RAW_FILES
from pipelines.storage.delta import Change, LakeTable, PartitionValue
from pipelines.storage.location import Lake

#: Between the names of rules in the column `overruled`; no rule has it in its name.
_BETWEEN = ", "
_ROW = ["table_name", "batch_id", "row_number"]
#: What staging asks: for each row that was let in, the rules that do not count for it, and since when.
_OVERRIDE = {
    "table_name": pl.String,
    "batch_id": pl.String,
    "row_number": pl.Int64,
    "overrules": pl.List(pl.String),
    "decided_at": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True)
class Selection:
    """Rows of a quarantine; what is None does not narrow. `rule` may leave out what follows its colon, `batch_id` its end.

    `symbol` is a symbol or an instrument_id.
    """

    table: str | None = None
    rule: str | None = None
    source: str | None = None
    symbol: str | None = None
    session: date | None = None
    batch_id: str | None = None
    row_number: int | None = None

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The selected ones among rows of the quarantine table."""
        wanted: list[pl.Expr] = []
        if self.rule is not None:
            wanted.append((pl.col("rule") == self.rule) | pl.col("rule").str.starts_with(f"{self.rule}:"))
        if self.batch_id is not None:
            wanted.append(pl.col("batch_id").str.starts_with(self.batch_id))
        if self.symbol is not None:
            identifiers = [
                pl.col("row").str.json_path_match(f"$.{name}").str.to_uppercase() for name in ("symbol", "instrument_id")
            ]
            wanted.append(pl.any_horizontal(value == self.symbol.upper() for value in identifiers))
        exact = {"table_name": self.table, "source": self.source, "session_date": self.session, "row_number": self.row_number}
        wanted += [pl.col(column) == value for column, value in exact.items() if value is not None]
        return rows.filter(*wanted) if wanted else rows


@dataclass(frozen=True)
class Override:
    """Let the selected rows in although they break the rules `overruled`. `decided_by`: user of the operating system."""

    selection: Selection
    overruled: tuple[str, ...]
    reason: str
    decided_by: str
    decided_at: datetime


def quarantined(lake: Lake, exchange: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The exchange's quarantine, or some columns of it."""
    return LakeTable(lake.table_uri(exchange, QUARANTINE.name), QUARANTINE).read(columns=columns)


def undecided(lake: Lake, exchange: str, selection: Selection) -> pl.DataFrame:
    """The selected rows that nobody has let in yet: table_name, batch_id, row_number."""
    rows = quarantined(lake, exchange).filter(pl.col("released_at").is_null())
    return selection.of(rows).select(_ROW).unique(maintain_order=True)


def overridden_rules(lake: Lake, exchange: str, pending: Override | None = None) -> pl.DataFrame:
    """What was decided so far, and `pending` besides: table_name, batch_id, row_number, overrules (list), decided_at (UTC)."""
    known = quarantined(lake, exchange, [*_ROW, "rule", "released_at", "overruled"]).filter(pl.col("released_at").is_not_null())
    rules = pl.coalesce("overruled", "rule").str.split(_BETWEEN).alias("overrules")
    frames = [known.select(*_ROW, rules, pl.col("released_at").alias("decided_at")).cast(_OVERRIDE)]  # type: ignore[arg-type]
    if pending is not None:
        rows = undecided(lake, exchange, pending.selection)
        decided = rows.with_columns(
            pl.lit(list(pending.overruled), dtype=pl.List(pl.String)).alias("overrules"),
            pl.lit(pending.decided_at).alias("decided_at"),
        )
        frames.append(decided.cast(_OVERRIDE))  # type: ignore[arg-type]
    return (
        pl.concat(frames)
        .group_by(_ROW, maintain_order=True)
        .agg(pl.col("overrules").explode().unique(maintain_order=True), pl.col("decided_at").max())
    )


def with_overrides(rows: pl.DataFrame, overridden: pl.DataFrame, table: str) -> pl.DataFrame:
    """Rows of a table with `overrules` and `decided_at`, both null where nobody decided anything."""
    here = overridden.filter(pl.col("table_name") == table).drop("table_name")
    if here.is_empty():
        types = overridden.schema
        return rows.with_columns(pl.lit(None, dtype=types[name]).alias(name) for name in ("overrules", "decided_at"))
    return rows.join(here, on=["batch_id", "row_number"], how="left", maintain_order="left")


def record(lake: Lake, exchange: str, table: str, rows: pl.DataFrame, decision: Override) -> int | None:
    """Note on every open record of these rows (batch_id, row_number) that they were let in. Returns the quarantine's version.

    All records of a row: it is in the lake now, whichever rule had stopped it first.
    """
    let_in = rows.select("batch_id", "row_number", table_name=pl.lit(table), __in=pl.lit(value=True)).unique()

    def decide(read: Callable[[Sequence[PartitionValue] | None], pl.DataFrame]) -> Change:
        stored = read(None).join(let_in, on=_ROW, how="left", maintain_order="left")
        fresh = pl.col("__in").is_not_null() & pl.col("released_at").is_null()
        if not stored.select(fresh.any()).item():
            return Change(stored.drop("__in"), [])
        noted = {
            "decided_by": decision.decided_by,
            "decision": decision.reason,
            "overruled": _BETWEEN.join(decision.overruled),
            "released_at": decision.decided_at,
        }
        changed = [pl.when(fresh).then(pl.lit(value)).otherwise(name).alias(name) for name, value in noted.items()]
        return Change(stored.with_columns(changed).drop("__in"), None)

    return LakeTable(lake.table_uri(exchange, QUARANTINE.name), QUARANTINE).update(decide, {"why": "release from quarantine"})


def quarantine_counts(lake: Lake, exchange: str, selection: Selection, *, only_open: bool) -> list[dict[str, Any]]:
    """The selected rows counted by table, rule, source and session, most first; batch_id and row_number of the first of each."""
    rows = selection.of(quarantined(lake, exchange))
    if only_open:
        rows = rows.filter(pl.col("released_at").is_null())
    by = {"table": "table_name", "rule": "rule", "source": "source", "session": "session_date"}
    counted = (
        rows.sort("batch_id", "row_number")
        .group_by([pl.col(column).alias(name) for name, column in by.items()], maintain_order=True)
        .agg(
            pl.len().alias("rows"),
            pl.col("released_at").is_null().sum().alias("open"),
            pl.col("batch_id").first(),
            pl.col("row_number").first(),
        )
    )
    return counted.sort("rows", *by, descending=[True, *(False for _ in by)], nulls_last=True).to_dicts()


def quarantine_totals(lake: Lake, exchange: str, selection: Selection, *, only_open: bool) -> list[dict[str, Any]]:
    """The selected rows counted by delivery, table and rule, newest delivery first.

    Each with name and arrival of the raw file, first and last session, rows, how many nobody released (`open`), and the
    row_number of the first.
    """
    rows = selection.of(quarantined(lake, exchange))
    if only_open:
        rows = rows.filter(pl.col("released_at").is_null())
    raw_files = LakeTable(lake.table_uri(exchange, RAW_FILES.name), RAW_FILES).read(columns=["batch_id", "name"])
    counted = rows.group_by("batch_id", "source", pl.col("table_name").alias("table"), "rule").agg(
        pl.col("quarantined_at").min().alias("received_at"),
        pl.col("session_date").min().alias("first_session"),
        pl.col("session_date").max().alias("last_session"),
        pl.len().alias("rows"),
        pl.col("released_at").is_null().sum().alias("open"),
        pl.col("row_number").min(),
    )
    named = counted.join(raw_files, on="batch_id", how="left")
    order = ["received_at", "rows", "batch_id", "table", "rule"]
    return named.sort(order, descending=[True, True, False, False, False]).to_dicts()
