"""Quarantine: rows that were not let in, kept with the rule that stopped them.

Lives here: shaping quarantine rows, storing them, and asking which rows a gate refused before.
Does not live here: the rules themselves (`quality/row_rules.py`, `gate.py`).
"""

from __future__ import annotations

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.upsert import append_new

#: What a rule's name begins with when the gate refused the row's whole session; the expectation follows.
REFUSED = "session_refused:"

_NOT_EVIDENCE = {
    "rule",
    "reason",
    "received_at",
    "batch_id",
    "source",
    "ambiguous",
    "within_calendar",
    "in_line",
    "in_traded_basis",
    "stale",
    "overrules",
    "decided_at",
}
#: Columns that a decision fills; see `overrides.py`.
_OF_A_DECISION = ("decided_by", "decision", "overruled")


def quarantine_rows(exchange: str, table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with `rule` and `reason` in the shape of the quarantine table; `row` is what was read, as JSON."""
    evidence = sorted(c for c in rows.columns if c not in _NOT_EVIDENCE)
    day = next((c for c in ("session_date", "ex_date", "valid_from") if c in rows.columns), None)
    return rows.select(
        "batch_id",
        "row_number",
        table_name=pl.lit(table),
        exchange=pl.lit(exchange),
        source="source",
        reason="reason",
        rule="rule",
        row=pl.struct(evidence).struct.json_encode(),
        session_date=pl.col(day) if day else pl.lit(None, pl.Date),
        quarantined_at=pl.col("received_at").cast(pl.Datetime("us", "UTC")),
        released_at=pl.lit(None, pl.Datetime("us", "UTC")),
        **{column: pl.lit(None, pl.String) for column in _OF_A_DECISION},
    )


def store_quarantine(lake: Lake, exchange: str, rows: pl.DataFrame) -> int | None:
    """Keep rows in the exchange's quarantine; rows that are there already are not kept twice. Returns the table's version."""
    version = append_new(lake, exchange, TABLES["quarantine"], rows, {"why": "quarantine"})
    crash_point("quarantine.committed")
    return version


def refused_before(lake: Lake, exchange: str) -> pl.DataFrame:
    """table_name, batch_id, row_number and rule of rows whose session a gate refused and nobody has released since."""
    held = pl.col("rule").str.starts_with(REFUSED) & pl.col("released_at").is_null()
    columns = ["table_name", "batch_id", "row_number"]
    rows = LakeTable(lake.table_uri(exchange, "quarantine"), TABLES["quarantine"]).read(columns=[*columns, "rule", "released_at"])
    return rows.filter(held).select(*columns, "rule").unique(columns, keep="first", maintain_order=True)
