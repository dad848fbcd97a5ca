"""Faults of the machine in one line: no room, no permission, a read-only disk, too many open files, a locked database.

Lives here: `describe_fault`, which tells such an error from a defect of the program.
Does not live here: damaged tables (`storage/errors.py`), printing (`console.py`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

_FULL = "no room is left on the disk: free some (`marketlake doctor` says how much the next run needs)"
_READ_ONLY = "the disk is mounted read-only: mount it for writing, or name another home by MARKETLAKE_HOME"
_NO_PERMISSION = "this user may not write there: run as the user who owns the home, or give this one the right"
_OPEN_FILES = "too many open files: raise the limit (`ulimit -n 4096`)"
_LOCKED = "Dagster's database is locked by another process: wait for it to end, or see which one by `marketlake doctor`"
_BY_NUMBER = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FULL),
    errno.EROFS: _READ_ONLY,
    **dict.fromkeys((errno.EACCES, errno.EPERM), _NO_PERMISSION),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), _OPEN_FILES),
}
#: What libraries write that raise errors of their own for what the operating system said.
_BY_WORDS = {
    "No space left on device": _FULL,
    "database or disk is full": _FULL,
    "Read-only file system": _READ_ONLY,
    "attempt to write a readonly database": _NO_PERMISSION,
    "Permission denied": _NO_PERMISSION,
    "Too many open files": _OPEN_FILES,
    "database is locked": _LOCKED,
}
_AFTERWARDS = "nothing half-written is visible, and the same command goes on from there"


def describe_fault(error: BaseException) -> str | None:
    """What of the machine stood in the way, where, and what to do; None for an error that is about something else."""
    for cause in _chain(error):
        number = cause.errno if isinstance(cause, OSError) else None
        advice = _BY_NUMBER.get(number or 0) or next((advice for words, advice in _BY_WORDS.items() if words in str(cause)), None)
        if advice is not None:
            place = f"{cause.filename}: " if isinstance(cause, OSError) and cause.filename else ""
            return f"{place}{advice}; {_AFTERWARDS}"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
