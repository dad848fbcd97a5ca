"""What staging hands on: tables, what became of each file, and counts that add up.

Lives here: the shapes alone.
Does not live here: making them (`staging.py`), writing them (`batches.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pipelines.storage.moves import MOVE
from pipelines.storage.raw import Delivery


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

    `tables` hold the lake's columns and `received_at`; `quarantine` the rows set aside; `moves` says which stored rows become
    another instrument's (see `storage/moves.py`).
    """

    tables: dict[str, pl.DataFrame]
    quarantine: pl.DataFrame
    files: list[FileOutcome]
    counts: dict[str, Counts] = field(default_factory=dict)
    moves: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MOVE))
