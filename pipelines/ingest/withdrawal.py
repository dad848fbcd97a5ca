"""Withdrawing a delivery: what it brought into the lake is taken out, and what it had replaced comes back.

Lives here: finding the delivery, and `withdraw`, which goes through the tables in the order in which ingest writes them.
Does not live here: what that means for the rows of one table (`storage/withdraw.py`), withdrawals on record
(`withdrawal_records.py`).

The record comes first, the tables after it: an interrupted withdrawal is completed by the same command, at the moment and with the
reason on record, and the delivery cannot come back meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from pipelines.ingest.withdrawal_records import Withdrawal, record_withdrawal, withdrawals
from pipelines.ingest.withdrawn_names import settle_names
from pipelines.market.tables import BAR_TABLES, MERGED
from pipelines.storage.location import Lake
from pipelines.storage.locks import home_lock
from pipelines.storage.raw import registered
from pipelines.storage.withdraw import TakenBack, withdraw_rows

__all__ = ["UnknownBatchError", "Withdrawal", "Withdrawn", "find_batch", "withdraw", "withdraw_delivery"]

#: Letters of a batch that name it beyond doubt to a person.
_SHORTEST = 4


class UnknownBatchError(ValueError):
    """No accepted delivery is meant, or several are. The message says which are near."""


@dataclass(frozen=True)
class Withdrawn:
    """What a withdrawal did: rows by table (those it changed nothing of left out), and whether it had been done before.

    sessions: those that lost a row for which no other version is on record. others: names of further accepted deliveries that hold
    sessions of these; what they said may have been the same, of which the lake keeps no row.
    """

    withdrawal: Withdrawal
    name: str
    tables: dict[str, TakenBack]
    sessions: list[date]
    others: list[str]
    was_done_before: bool


def find_batch(lake: Lake, exchanges: Sequence[str], text: str) -> tuple[str, str]:
    """Exchange and batch_id of the accepted delivery whose batch begins with `text`. Raises UnknownBatchError."""
    if len(text) < _SHORTEST:
        raise UnknownBatchError(f"{text!r} is too short for a batch; give at least its first {_SHORTEST} characters")
    found = [
        (exchange, batch, status, name, reason)
        for exchange in exchanges
        for batch, status, name, reason in registered(lake, exchange)
        .filter(pl.col("batch_id").str.starts_with(text.lower()))
        .select("batch_id", "status", "name", "reason")
        .sort("batch_id")
        .iter_rows()
    ]
    if not found:
        known = '`marketlake explain` and `marketlake sql "select batch_id, name from raw_files"` tell the batches'
        raise UnknownBatchError(f"no delivery of {' or '.join(exchanges)} has a batch that begins with {text!r}; {known}")
    if len(found) > 1:
        raise UnknownBatchError(f"{text!r} begins several batches: {', '.join(batch for _, batch, *_ in found)}")
    exchange, batch, status, name, reason = found[0]
    if status == "refused":
        raise UnknownBatchError(f"{name} (batch {batch}) was refused, so nothing of it is in the lake: {reason}")
    return exchange, batch


def withdraw_delivery(lake: Lake, exchange: str, withdrawal: Withdrawal, state_dir: Path, wait: timedelta) -> Withdrawn:
    """`withdraw` as the only writer of the home. Raises LockHeldError when another one is at work for longer than `wait`."""
    with home_lock(state_dir, f"withdrawal of batch {withdrawal.batch_id}", wait):
        return withdraw(lake, exchange, withdrawal)


def withdraw(lake: Lake, exchange: str, withdrawal: Withdrawal) -> Withdrawn:
    """Take a delivery (a batch on record) out of the lake. Safe to repeat; the first record of it stays.

    The caller holds the writer's lock. The tables computed from the lake follow with the next build.
    """
    done = withdrawals(lake, exchange)
    before = done.get(withdrawal.batch_id)
    if before is None:
        record_withdrawal(lake, exchange, withdrawal)
        done[withdrawal.batch_id] = withdrawal
    carried_out = before or withdrawal
    at, batch = carried_out.withdrawn_at, carried_out.batch_id
    tables = {schema.name: withdraw_rows(lake, exchange, schema, batch, done.keys(), at) for schema in MERGED}
    settle_names(lake, exchange, carried_out)
    days = [tables[name].lost.get_column("session_date") for name in BAR_TABLES]
    sessions: list[date] = pl.concat(days).unique().sort().to_list()
    files = registered(lake, exchange)
    return Withdrawn(
        carried_out,
        str(files.filter(pl.col("batch_id") == batch)["name"].item()),
        {name: figures for name, figures in tables.items() if figures.changes},
        sessions,
        _others(files, batch, sessions),
        before is not None,
    )


def _others(files: pl.DataFrame, batch: str, sessions: Sequence[date]) -> list[str]:
    """Accepted deliveries beside the batch whose span of sessions meets one of these."""
    if not sessions:
        return []
    days = pl.Series("day", list(sessions), dtype=pl.Date)
    accepted = files.filter((pl.col("status") == "accepted") & (pl.col("batch_id") != batch)).drop_nulls("first_session")
    # One day of slack was added to either end when the span was recorded.
    meets = [
        bool(days.is_between(first, last, closed="none").any())
        for first, last in accepted.select("first_session", "last_session").iter_rows()
    ]
    return accepted.filter(pl.Series(meets, dtype=pl.Boolean)).get_column("name").sort().to_list()
