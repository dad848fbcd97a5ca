"""Which files of an inbox are complete, and which were taken: what a sensor remembers from one look to the next.

Lives here: `Watch`, and the file of the state folder that keeps it; the sensor's cursor names that file.
Does not live here: looking (`files.py`), launching (`orchestration/sensors.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.inbox.files import InboxFile
from pipelines.whole_files import write_whole

#: Files that arrive together are taken together; one that never comes to rest holds the others up for this many settle times.
_PATIENCE = 10


@dataclass(frozen=True)
class Watch:
    """Files by their identity: those `taken` or refused that are still there, and since when (seconds since 1970, this machine's
    clock) each of the others was found unchanged. It holds no more than the folder does.

    A file's own times are never compared with the clock or with another file's: copying programs set them, old and future ones.
    """

    taken: frozenset[str] = frozenset()
    waiting: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Any) -> Watch:
        """The watch that `to_json` gave; an empty one for anything else, such as None."""
        if not isinstance(content, dict) or not {"taken", "waiting"} <= content.keys():
            return cls()
        return cls(frozenset(content["taken"]), dict(content["waiting"]))

    def to_json(self) -> dict[str, Any]:
        """The watch in types of JSON."""
        return {"taken": sorted(self.taken), "waiting": dict(sorted(self.waiting.items()))}

    def settled(self, files: Iterable[InboxFile], now: float, settle_seconds: float) -> list[InboxFile]:
        """Files not taken yet that were found unchanged for `settle_seconds`, oldest first by their own times, then by name.

        now: a moment before the look at `files`, so that a pause during the look makes no file older.
        """
        ready = [f for f in files if f.identity not in self.taken and self._age(f, now) >= settle_seconds]
        return sorted(ready, key=lambda file: (file.mtime_ns, file.name))

    def settled_together(self, files: Sequence[InboxFile], now: float, settle_seconds: float) -> list[InboxFile]:
        """The settled files, or none while others of the same folder are still changing and may belong to the same delivery."""
        ready = self.settled(files, now, settle_seconds)
        fresh = sum(f.identity not in self.taken for f in files)
        patient = all(self._age(f, now) < _PATIENCE * settle_seconds for f in ready)
        return [] if len(ready) < fresh and patient else ready

    def after(self, files: Sequence[InboxFile], taken: Iterable[InboxFile], now: float) -> Watch:
        """The watch after a look at `files` of which some were `taken` or refused. Files that are gone are forgotten.

        now: a moment after the look.
        """
        there = {f.identity for f in files}
        done = (self.taken & there) | {f.identity for f in taken}
        return Watch(frozenset(done), {key: min(self.waiting.get(key, now), now) for key in sorted(there - done)})

    def _age(self, file: InboxFile, now: float) -> float:
        return now - min(self.waiting.get(file.identity, now), now)


def recall(folder: Path, cursor: str | None) -> dict[str, Any]:
    """What `remember` kept under this cursor, an empty object for none; earlier versions kept it in the cursor."""
    path = folder / f"{cursor}.json"
    return read_cursor(path.read_text(encoding="utf-8") if cursor and cursor.isalnum() and path.is_file() else cursor)


def remember(folder: Path, cursor: str | None, content: Mapping[str, Any]) -> str:
    """Keep what a sensor knows after a look and return the cursor that names it: Dagster copies cursors into each tick's record.

    What the cursor before named stays until the next change, should this one never be recorded.
    """
    text = json.dumps(content, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = folder / f"{name}.json"
    if not path.is_file():
        write_whole(path, text)
    for other in folder.glob("*.json"):
        if other.stem not in {name, cursor}:
            other.unlink()
    return name


def read_cursor(cursor: str | None) -> dict[str, Any]:
    """The object that a sensor's cursor holds; an empty one for none and for cursors of earlier versions, which held other text."""
    try:
        content = json.loads(cursor or "{}")
    except json.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}
