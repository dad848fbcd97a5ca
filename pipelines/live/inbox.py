"""The inbox: a folder into which a feed drops files of closed one-minute bars, one batch a file.

Lives here: which files are batches, in which order, and what identifies a batch.
Does not live here: scanning them (`scan.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

_SUFFIXES = (".csv", ".csv.gz")


@dataclass(frozen=True, order=True)
class Batch:
    """A file of the inbox. Batches are ordered by when they were completed, then by name."""

    completed_ns: int
    name: str

    @property
    def cursor(self) -> str:
        """The batch as a sensor's cursor: everything up to it has been seen."""
        return f"{self.completed_ns}/{self.name}"


def inbox_folder(inbox: Path, exchange: str) -> Path:
    """The exchange's folder in the inbox."""
    return inbox / exchange


def batches_after(folder: Path, cursor: str | None) -> list[Batch]:
    """Batches that were completed after the cursor, oldest first.

    A file counts once it bears its final name: a feed writes it under a name with a leading dot and renames it when complete.
    """
    if not folder.is_dir():
        return []
    found = sorted(
        Batch(path.stat().st_mtime_ns, path.name)
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and path.name.endswith(_SUFFIXES)
    )
    if cursor is None:
        return found
    completed, _, name = cursor.partition("/")
    return [batch for batch in found if batch > Batch(int(completed), name)]


def run_key(exchange: str, path: Path) -> str:
    """What identifies a batch: its exchange and its content. The same bytes are scanned once."""
    return f"{exchange}-live-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
