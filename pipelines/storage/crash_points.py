"""Named points at which a test can kill the process, to prove that a crash there loses nothing.

Lives here: the list of commit points and `crash_point`.
Does not live here: recovery; there is none to run, the next run simply starts.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

#: Every moment at which the lake's state changes, in the order in which a nightly run passes them.
COMMIT_POINTS = (
    "raw.stored",
    "raw.registered",
    "staged.written",
    "quarantine.committed",
    "gate.recorded",
    "superseded.committed",
    "lake.committed",
    "build.finished",
    "derived.committed",
    "research.committed",
    "release.recorded",
    "catalogue.written",
    "catalogue.published",
)

_VARIABLE = "MARKETLAKE_CRASH_AT"
#: How often this process has come by what was asked for.
_reached: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Kill this process without any clean-up when the environment asks for it at `name` (`name:3` means the third time)."""
    wanted = os.environ.get(_VARIABLE)
    if not wanted:
        return
    if name not in COMMIT_POINTS:
        raise ValueError(f"unknown commit point {name!r}")
    point, _, count = wanted.partition(":")
    if point != name:
        return
    _reached[wanted] += 1
    if _reached[wanted] >= int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
