"""What staging hands on: tables, what became of each file, and counts that add up.

Lives here: the shapes alone.
Does not live here: making them (`staging.py`), writing them (`batches.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pipelines.storage.raw import Delivery
from pipelines.storage.reassign import MOVE
from pipelines.storage.row_parts import RowParts

#: The column that says to which session (or day) a row of a table belongs.
SESSION_COLUMN = {
    "bars_daily": "session_date",
    "bars_other_series": "session_date",
    "bars_1m": "session_date",
    "bars_1m_extended": "session_date",
    "corporate_actions": "ex_date",
    "instruments": "valid_from",
    "instrument_aliases": "valid_from",
}


@dataclass(frozen=True)
class FileOutcome:
    """What became of one delivery: `status` accepted (`reason`: a warning, if any) or refused (with `reason`)."""

    delivery: Delivery
    status: str
    reason: str | None
    rows_read: int
    first_session: date | None = None
    last_session: date | None = None
    price_basis: str | None = None


@dataclass
class Counts:
    """Rows of one table on their way: read = staged + duplicates + quarantined."""

    read: int = 0
    duplicates: int = 0
    quarantined: int = 0


@dataclass(frozen=True)
class Staged:
    """An order, staged.

    `tables` hold the lake's columns and `received_at`; `spilled` are those of them that are too large for memory; `quarantine` the
    rows set aside; `moves` says which stored rows become another instrument's (see `storage/reassign.py`); `read` counts the rows
    of bars and actions that were read (columns of `account.READ`).
    """

    tables: dict[str, pl.DataFrame]
    quarantine: pl.DataFrame
    files: list[FileOutcome]
    counts: dict[str, Counts] = field(default_factory=dict)
    moves: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MOVE))
    read: pl.DataFrame = field(default_factory=pl.DataFrame)
    spilled: dict[str, RowParts] = field(default_factory=dict)

    def rows(self, table: str) -> RowParts:
        """The rows of a table, in memory or not."""
        return self.spilled[table] if table in self.spilled else RowParts([self.tables[table]])
