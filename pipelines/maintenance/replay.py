"""Everything that an exchange was ever sent, ingested again beside the lake.

Lives here: `replay`, which fills a lake of its own from the kept raw files, in the order in which they came.
Does not live here: the steps of an ingest (`ingest/`), what is taken out of that lake (`repair.py`).

The rows, their known_at and their batches follow from the files and the moments of their arrival. What people decided by hand since
(rows released from quarantine) is no file, and is not repeated.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from pipelines.ingest.batches import staged_tables
from pipelines.ingest.judging import stage_judged
from pipelines.ingest.publish import publish_staged, run_gate
from pipelines.ingest.requests import IngestRequest, deliveries_of
from pipelines.ingest.withdrawal import Withdrawal, withdraw
from pipelines.sources.limits import Limits
from pipelines.sources.registry import load_sources
from pipelines.storage.location import Lake
from pipelines.storage.raw import is_kept

#: Bars are published after their instruments and before the names.
_PLACE = {"instruments": 0, "instrument_aliases": 2}


@dataclass(frozen=True)
class Replayed:
    """The lake that was filled, and the names of deliveries whose kept file is missing or not what was received."""

    lake: Lake
    lost: tuple[str, ...]


def replay(lake: Lake, exchange: str, register: pl.DataFrame, folder: Path, limits: Limits) -> Replayed:
    """Ingest the deliveries of a register (`raw_files`) into an empty lake below `folder`, and take withdrawn ones back.

    Nothing of the exchange's own tables is read.
    """
    shutil.rmtree(folder, ignore_errors=True)
    beside = replace(lake, root=str(folder / "lake"))
    raw = Path(beside.uri(exchange, "raw"))
    raw.parent.mkdir(parents=True)
    raw.symlink_to(Path(lake.uri(exchange, "raw")).absolute(), target_is_directory=True)
    lost = _lost(lake, exchange, register)
    present = register.filter(~pl.col("name").is_in(list(lost)))
    for _, event in sorted(_events(beside, exchange, present, folder / "state", limits), key=lambda timed: timed[0]):
        event()
    return Replayed(beside, lost)


def _events(
    lake: Lake, exchange: str, register: pl.DataFrame, state: Path, limits: Limits
) -> list[tuple[datetime, Callable[[], None]]]:
    """What happened to the lake, each with its moment: deliveries, those of one moment together, and withdrawals."""
    events: list[tuple[datetime, Callable[[], None]]] = []
    for (moment,), files in register.group_by(["received_at"], maintain_order=True):
        order = IngestRequest(exchange, deliveries_of(files))
        events.append((moment, lambda order=order: _ingest(lake, order, state, limits)))  # type: ignore[misc]
    taken_back = register.filter(pl.col("status") == "withdrawn").drop_nulls("withdrawn_at")
    for row in taken_back.iter_rows(named=True):
        withdrawal = Withdrawal(row["batch_id"], row["reason"] or "", row["withdrawn_by"] or "", row["withdrawn_at"])
        events.append((row["withdrawn_at"], lambda found=withdrawal: _withdraw(lake, exchange, found)))  # type: ignore[misc]
    return events


def _ingest(lake: Lake, order: IngestRequest, state: Path, limits: Limits) -> None:
    sources = load_sources()
    priorities = {name: source.priority for name, source in sources.items()}
    folder = stage_judged(lake, order, sources, state, limits)
    tables = sorted(staged_tables(folder), key=lambda name: _PLACE.get(name, 1))
    for table in tables:
        run_gate(lake, order.exchange, table, folder, state)
    for table in tables:
        publish_staged(lake, order.exchange, table, folder, state, priorities)


def _withdraw(lake: Lake, exchange: str, withdrawal: Withdrawal) -> None:
    withdraw(lake, exchange, withdrawal)


def _lost(lake: Lake, exchange: str, register: pl.DataFrame) -> tuple[str, ...]:
    files = register.select("name", "content_hash").unique().sort("name")
    return tuple(name for name, content_hash in files.iter_rows() if not is_kept(lake, exchange, content_hash))
