"""The live inbox: a folder into which a feed drops files of closed one-minute bars, one batch a file.

Lives here: which files are batches, and what identifies a batch.
Does not live here: when a file is complete (`inbox/`), scanning it (`scan.py`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipelines.inbox.files import InboxFile, look

#: What names of batches end with.
SUFFIXES = (".csv", ".csv.gz")


def inbox_folder(inbox: Path, exchange: str) -> Path:
    """The exchange's folder in the inbox."""
    return inbox / exchange


def batches(folder: Path, max_bytes: int) -> list[InboxFile]:
    """Files of the folder itself that bear the name of a batch, sorted by name; those that cannot be scanned with their fault.

    A folder that cannot be listed is one such, called ".".
    """
    return [file for file in look(folder, max_bytes=max_bytes) if file.name.endswith(SUFFIXES) or file.name == "."]


def newest_batch(folder: Path, max_bytes: int) -> str | None:
    """Name of the batch that was changed last; None when the folder holds none that can be scanned."""
    sound = [file for file in batches(folder, max_bytes) if file.fault is None]
    return max(sound, key=lambda file: (file.mtime_ns, file.name)).name if sound else None


def run_key(exchange: str, path: Path) -> str:
    """What identifies a batch: its exchange and its content. The same bytes are scanned once. OSError when it cannot be read."""
    with path.open("rb") as stream:
        return f"{exchange}-live-{hashlib.file_digest(stream, 'sha256').hexdigest()[:16]}"
