"""Orders: which deliveries a run stages and publishes together.

Lives here: `IngestRequest`, its file in the state folder, and the order that replays a session from the raw files on record.
Does not live here: what staging does with it (`staging.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.ingest.overrides import Override, Selection
from pipelines.storage.location import Lake
from pipelines.storage.raw import Delivery, registered
from pipelines.whole_files import write_whole


@dataclass(frozen=True)
class IngestRequest:
    """Deliveries of one exchange that travel together; `sessions` None means all that they hold.

    With a `decision` only the rows that it lets in travel, out of deliveries that are on record already.
    """

    exchange: str
    deliveries: tuple[Delivery, ...]
    sessions: tuple[date, ...] | None = None
    decision: Override | None = None

    @property
    def request_id(self) -> str:
        """Hash of exchange, deliveries, sessions and decision (its moment apart): the same order has the same id."""
        content: list[object] = [self.exchange, [d.batch_id for d in self.deliveries], [str(s) for s in self.sessions or ()]]
        if self.decision is not None:
            content.append({name: value for name, value in _decision_json(self.decision).items() if name != "decided_at"})
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def folder(self, state_dir: Path) -> Path:
        """Where the order's staged tables and outcome are kept."""
        return state_dir / "staged" / self.exchange / self.request_id


def save_request(order: IngestRequest, state_dir: Path) -> Path:
    """Write the order where a run can find it by its id."""
    path = _path(state_dir, order.request_id)
    content = {
        "exchange": order.exchange,
        "sessions": [str(s) for s in order.sessions] if order.sessions is not None else None,
        "deliveries": [{**vars(d), "received_at": d.received_at.isoformat()} for d in order.deliveries],
        "decision": None if order.decision is None else _decision_json(order.decision),
    }
    write_whole(path, json.dumps(content))
    return path


def load_request(request_id: str, state_dir: Path) -> IngestRequest:
    """The order with this id. FileNotFoundError when the state folder no longer has it."""
    path = _path(state_dir, request_id)
    if not path.is_file():
        raise FileNotFoundError(f"order {request_id} is not in {path.parent}: ingest its files again")
    content = json.loads(path.read_text(encoding="utf-8"))
    deliveries = tuple(Delivery(**{**d, "received_at": datetime.fromisoformat(d["received_at"])}) for d in content["deliveries"])
    sessions = content["sessions"]
    days = None if sessions is None else tuple(date.fromisoformat(s) for s in sessions)
    return IngestRequest(content["exchange"], deliveries, days, _decision(content.get("decision")))


def resumed(order: IngestRequest, state_dir: Path) -> IngestRequest:
    """The order as an interrupted run left it, which keeps the moment of its decision; else `order`."""
    return load_request(order.request_id, state_dir) if _path(state_dir, order.request_id).is_file() else order


def discard_request(order: IngestRequest, state_dir: Path) -> None:
    """Forget an order that is done with, so that the next one like it is a decision of its own."""
    _path(state_dir, order.request_id).unlink(missing_ok=True)


def replay_request(lake: Lake, exchange: str, sessions: Sequence[date]) -> IngestRequest:
    """The order that stages these sessions again from every accepted raw file on record that holds one of them."""
    files = registered(lake, exchange).filter(
        (pl.col("status") == "accepted")
        & (pl.col("first_session").is_null() | (pl.col("first_session") <= max(sessions)))
        & (pl.col("last_session").is_null() | (pl.col("last_session") >= min(sessions)))
    )
    return IngestRequest(exchange, deliveries_of(files), tuple(sorted(sessions)))


def deliveries_of(files: pl.DataFrame) -> tuple[Delivery, ...]:
    """Deliveries of some rows of `raw_files`, in order of their arrival."""
    ordered = files.sort("received_at", "name", "batch_id").select(list(Delivery.__dataclass_fields__))
    return tuple(Delivery(**row) for row in ordered.iter_rows(named=True))


def save_decision(decision: Override, path: Path) -> None:
    """Write a decision as JSON."""
    path.write_text(json.dumps(_decision_json(decision)), encoding="utf-8")


def load_decision(path: Path) -> Override | None:
    """A decision from its JSON."""
    return _decision(json.loads(path.read_text(encoding="utf-8")))


def _decision_json(decision: Override) -> dict[str, Any]:
    selection = {name: str(value) if isinstance(value, date) else value for name, value in vars(decision.selection).items()}
    return {
        **vars(decision),
        "selection": selection,
        "overruled": list(decision.overruled),
        "decided_at": decision.decided_at.isoformat(),
    }


def _decision(content: dict[str, Any] | None) -> Override | None:
    if content is None:
        return None
    chosen = content["selection"]
    session = chosen["session"]
    return Override(
        Selection(**{**chosen, "session": date.fromisoformat(session) if session else None}),
        tuple(content["overruled"]),
        content["reason"],
        content["decided_by"],
        datetime.fromisoformat(content["decided_at"]),
    )


def _path(state_dir: Path, request_id: str) -> Path:
    return state_dir / "orders" / f"{request_id}.json"
