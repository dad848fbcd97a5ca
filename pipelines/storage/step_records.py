"""What the outputs of a step were made of, so that the step need not repeat itself when nothing of it changed.

Lives here: `StepRecord`, a small file of the home's derived state, and hashes of what tables hold.
Does not live here: what a step is made of (the steps), the tables (`delta.py`).

A record is trusted only if the step's inputs and its outputs are both what it says. Without it, or with one that cannot be read,
the step runs: losing a record costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.whole_files import write_whole


@dataclass(frozen=True)
class StepRecord:
    """The record of one step of an exchange; `path` is its file."""

    path: Path

    @classmethod
    def of(cls, state_dir: Path, exchange: str, step: str) -> StepRecord:
        """The record of a step within a home's state."""
        return cls(state_dir / "steps" / f"{exchange}_{step}.json")

    def holds(self, inputs: str, outputs: str | None) -> bool:
        """Whether the step's last run had these inputs and left these outputs (hashes)."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return False
        return bool(content == {"inputs": inputs, "outputs": outputs})

    def write(self, inputs: str, outputs: str | None) -> None:
        """Record a run, after its outputs were stored. The file is replaced whole."""
        write_whole(self.path, json.dumps({"inputs": inputs, "outputs": outputs}))


def hash_parts(*parts: object) -> str:
    """A hash of values that JSON can hold, or that their `str` tells apart."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def hash_tables(lake: Lake, exchange: str, versions: Mapping[str, int | None]) -> str:
    """A hash of what tables hold at versions (None: the table is absent).

    Of the names of their data files, which no other content ever has. A version alone would not do: a lake that was restored from a
    backup counts them again.
    """
    files = {
        name: None if version is None else LakeTable(lake.table_uri(exchange, name), TABLES[name]).files(version)
        for name, version in versions.items()
    }
    return hash_parts(files)


def hash_heads(lake: Lake, exchange: str, names: Iterable[str]) -> str:
    """`hash_tables` at the tables' newest versions."""
    return hash_tables(lake, exchange, {name: LakeTable(lake.table_uri(exchange, name), TABLES[name]).version() for name in names})
