"""What a command costs as a user runs it: wall clock, processor and memory of all its processes together.

Lives here: `measure` and `Usage`.
Does not live here: which commands are measured (the benchmark that uses it).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SECONDS_BETWEEN_SAMPLES = 0.25


@dataclass(frozen=True)
class Usage:
    """Of one command and every process that it started: seconds of wall clock and of processor, peak of memory in bytes.

    Memory is the proportional set size: pages that processes share count once.
    """

    wall: float
    cpu: float
    peak: int
    output: str


def measure(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """Run a command to its end. Raises CalledProcessError, with what it printed, where it fails."""
    before, begun, peak = os.times(), time.perf_counter(), 0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        process = subprocess.Popen([*command], env={**os.environ, **environment}, stdout=printed, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, sum(_proportional(pid) for pid in _tree(process.pid)))
            time.sleep(_SECONDS_BETWEEN_SAMPLES)
        wall, after = time.perf_counter() - begun, os.times()
        printed.seek(0)
        output = printed.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), output)
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Usage(wall, cpu, peak, output)


def _tree(pid: int) -> list[int]:
    found, ahead = [], [pid]
    while ahead:
        found.append(ahead.pop())
        for thread in _listed(Path(f"/proc/{found[-1]}/task")):
            ahead += [int(child) for child in _text(Path(f"/proc/{found[-1]}/task/{thread}/children")).split()]
    return found


def _listed(folder: Path) -> list[str]:
    # A process may end between any two looks at it.
    try:
        return os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError):
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def _proportional(pid: int) -> int:
    for line in _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
