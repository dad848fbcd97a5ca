"""Staged rows that a gate refused before, and nobody has released since.

Lives here: leaving them out of what goes on, and counting them.
Does not live here: which rows these are (`quarantine.py`), writing the rest (`batches.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from pipelines.ingest.accounting import count_held
from pipelines.ingest.staged import SESSION_COLUMN, Staged


def without_held(staged: Staged, table: str, held: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Parts of a staged table without the rows that a gate refused before (`held`: table_name, batch_id, row_number)."""
    out = held.filter(pl.col("table_name") == table)
    for rows in staged.rows(table).parts():
        yield rows.join(out, on=["batch_id", "row_number"], how="anti", maintain_order="left") if out.height else rows


def refused_again(staged: Staged, held: pl.DataFrame) -> list[pl.DataFrame]:
    """Counts (columns of `account.HELD`) of staged rows that a gate refused before (`held`), by table."""
    row = ["batch_id", "row_number"]
    counts = []
    for table in staged.counts:
        out = held.filter(pl.col("table_name") == table).select(*row, "rule")
        columns = [*row, SESSION_COLUMN[table]]
        parts = staged.rows(table).parts(columns) if out.height else ()
        counts += [count_held(table, rows.join(out, on=row)) for rows in parts]
    return counts
