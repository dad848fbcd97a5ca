"""Mutual exclusion of writers: one operating-system file lock per home.

Lives here: `home_lock`. The lock is freed by the kernel when its process dies, so a crash never blocks the next run.
Does not live here: the order of daemon runs (Dagster's run queue).
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

_POLL_SECONDS = 0.1
#: Locks that this process holds: a command that launches a run in its own process holds the lock once.
_held: set[Path] = set()


class LockHeldError(RuntimeError):
    """Another writer holds the lock of this home."""


@contextmanager
def home_lock(state_dir: Path, purpose: str, wait: timedelta = timedelta(0)) -> Iterator[None]:
    """Hold the writer's lock of a home while the block runs.

    Waits up to `wait`; then raises LockHeldError that names the holder (process, purpose, since when).
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    path = (state_dir / "writer.lock").resolve()
    if path in _held:
        yield
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(handle, path, wait)
        holder = {"pid": os.getpid(), "purpose": purpose, "since": datetime.now(UTC).isoformat(timespec="seconds")}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(holder).encode(), 0)
        _held.add(path)
        yield
    finally:
        _held.discard(path)
        os.close(handle)


def lock_holder(state_dir: Path) -> str | None:
    """Who holds the writer's lock of a home (process, purpose, since when); None where nobody does.

    From the kernel's list: to try the lock would keep out a writer that comes at that moment.
    """
    path = state_dir / "writer.lock"
    if not path.is_file():
        return None
    inode = str(path.stat().st_ino)
    held = (line.split() for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines())
    if not any(fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode for fields in held if len(fields) > 5):
        return None
    handle = os.open(path, os.O_RDONLY)
    try:
        return _holder(handle).partition(";")[0]
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path, wait: timedelta) -> None:
    deadline = time.monotonic() + wait.total_seconds()
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockHeldError(f"another writer is at work in {path.parent.parent}: {_holder(handle)}") from None
            time.sleep(_POLL_SECONDS)
        else:
            return


def _holder(handle: int) -> str:
    text = os.pread(handle, 4096, 0).decode(errors="replace")
    try:
        holder = json.loads(text)
    except json.JSONDecodeError:
        return "its name is not written yet; try again, or pass --wait SECONDS"
    return f"process {holder['pid']} ({holder['purpose']}) since {holder['since']}; pass --wait SECONDS to wait for it"
