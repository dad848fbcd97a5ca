"""Orders: which deliveries a run stages and publishes together.

Lives here: `Order`, its file in the state folder, and the order that replays a session from the raw files on record.
Does not live here: what staging does with it (`staging.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl

from pipelines.storage.location import Lake
from pipelines.storage.raw import Delivery, registered


@dataclass(frozen=True)
class Order:
    """Deliveries of one exchange that travel together; `sessions` None means all that they hold."""

    exchange: str
    deliveries: tuple[Delivery, ...]
    sessions: tuple[date, ...] | None = None

    @property
    def order_id(self) -> str:
        """Hash of exchange, deliveries and sessions: the same order has the same id."""
        content = [self.exchange, [d.batch_id for d in self.deliveries], [str(s) for s in self.sessions or ()]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def folder(self, state_dir: Path) -> Path:
        """Where the order's staged tables and outcome are kept."""
        return state_dir / "staged" / self.exchange / self.order_id


def save_order(order: Order, state_dir: Path) -> Path:
    """Write the order where a run can find it by its id."""
    path = _path(state_dir, order.order_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "exchange": order.exchange,
        "sessions": [str(s) for s in order.sessions] if order.sessions is not None else None,
        "deliveries": [{**vars(d), "received_at": d.received_at.isoformat()} for d in order.deliveries],
    }
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    os.replace(temporary, path)
    return path


def load_order(order_id: str, state_dir: Path) -> Order:
    """The order with this id. FileNotFoundError when the state folder no longer has it."""
    path = _path(state_dir, order_id)
    if not path.is_file():
        raise FileNotFoundError(f"order {order_id} is not in {path.parent}: ingest its files again")
    content = json.loads(path.read_text(encoding="utf-8"))
    deliveries = tuple(Delivery(**{**d, "received_at": datetime.fromisoformat(d["received_at"])}) for d in content["deliveries"])
    sessions = content["sessions"]
    return Order(content["exchange"], deliveries, None if sessions is None else tuple(date.fromisoformat(s) for s in sessions))


def replay_order(lake: Lake, exchange: str, sessions: Sequence[date]) -> Order:
    """The order that stages these sessions again from every accepted raw file on record that holds one of them."""
    files = registered(lake, exchange).filter(
        (pl.col("status") == "accepted")
        & (pl.col("first_session").is_null() | (pl.col("first_session") <= max(sessions)))
        & (pl.col("last_session").is_null() | (pl.col("last_session") >= min(sessions)))
    )
    names = list(Delivery.__dataclass_fields__)
    ordered = files.sort("received_at", "name", "batch_id").select(names)
    deliveries = tuple(Delivery(**row) for row in ordered.iter_rows(named=True))
    return Order(exchange, deliveries, tuple(sorted(sessions)))


def _path(state_dir: Path, order_id: str) -> Path:
    return state_dir / "orders" / f"{order_id}.json"
