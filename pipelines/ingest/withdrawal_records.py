"""Withdrawals on record: which deliveries were taken back, when, by whom and why.

Lives here: `Withdrawal`, reading the record and adding to it.
Does not live here: carrying one out (`withdrawal.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from pipelines.market.tables.operations import RAW_FILES
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import Change, LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.raw import registered
from pipelines.storage.withdrawn import WITHDRAWAL, WITHDRAWN

_RECORD = ["batch_id", "reason", "withdrawn_by", "withdrawn_at"]


@dataclass(frozen=True)
class Withdrawal:
    """A delivery taken back at `withdrawn_at` (aware; from then on the lake counts as knowing it) for a reason.

    `withdrawn_by`: user of the operating system.
    """

    batch_id: str
    reason: str
    withdrawn_by: str
    withdrawn_at: datetime

    def describe(self) -> str:
        """For people: when, by whom and why."""
        return f"withdrawn on {self.withdrawn_at:%Y-%m-%d} by {self.withdrawn_by}: {self.reason}"


def withdrawals(lake: Lake, exchange: str) -> dict[str, Withdrawal]:
    """The withdrawals of an exchange by batch."""
    table = LakeTable(lake.table_uri(exchange, RAW_FILES.name), RAW_FILES)
    rows = table.read(columns=[*_RECORD, "status"]).filter(pl.col("status") == WITHDRAWN)
    return {row["batch_id"]: Withdrawal(**row) for row in rows.sort("batch_id").select(_RECORD).iter_rows(named=True)}


def replaced_by(lake: Lake, exchange: str) -> dict[str, str]:
    """What replaced a row, for people, by `superseded_by_batch`: a file, or a withdrawal with its reason."""
    names = dict(registered(lake, exchange).select("batch_id", "name").iter_rows())
    withdrawn = {
        f"{WITHDRAWAL}{batch}": f"{names[batch]} was {found.describe()}" for batch, found in withdrawals(lake, exchange).items()
    }
    return {**names, **withdrawn}


def record_withdrawal(lake: Lake, exchange: str, withdrawal: Withdrawal) -> None:
    """Note on the delivery's row of `raw_files` that it was taken back."""

    def decide(read: Callable[[Sequence[PartitionValue] | None], pl.DataFrame]) -> Change:
        here = pl.col("batch_id") == withdrawal.batch_id
        noted = {**vars(withdrawal), "status": WITHDRAWN}
        changed = [pl.when(here).then(pl.lit(value)).otherwise(name).alias(name) for name, value in noted.items()]
        return Change(read(None).with_columns(changed), None)

    table = LakeTable(lake.table_uri(exchange, RAW_FILES.name), RAW_FILES)
    table.update(decide, {"why": "withdrawal", "withdrawn": withdrawal.batch_id})
    crash_point("raw.registered")
