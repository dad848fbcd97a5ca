"""How far a build in parts has come, so that one that was killed goes on where it was.

Lives here: `BuildProgress`, a small file of the home's derived state.
Does not live here: the parts (`parts.py`), what makes a build the same as one before (`prepare.py`).

It is trusted only for the very same build, while the derived tables are as its last part left them. Without it, or with one that
cannot be read, the build begins again: losing it costs time and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.build.plan import BuildPlan
from pipelines.whole_files import write_whole


@dataclass(frozen=True)
class BuildProgress:
    """The progress of one build of an exchange. build: a hash of all that it follows from, of its division too."""

    path: Path
    build: str

    @classmethod
    def of(cls, state_dir: Path, exchange: str, build: str) -> BuildProgress:
        """The progress within a home's state."""
        return cls(state_dir / "build" / f"{exchange}.progress.json", build)

    def finished(self, parts: Sequence[BuildPlan], tables: str) -> int:
        """How many of the parts are committed already. tables: a hash of what the derived tables hold."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return 0
        if (content["build"], content["tables"]) != (self.build, tables):
            return 0
        until = date.fromisoformat(content["until"])
        return sum(part.until is not None and part.until <= until for part in parts)

    def write(self, part: BuildPlan, tables: str) -> None:
        """Record that a part is committed, and what it left; after the last one there is nothing to go on with."""
        if part.until is None:
            self.path.unlink(missing_ok=True)
            return
        write_whole(self.path, json.dumps({"build": self.build, "until": str(part.until), "tables": tables}))
