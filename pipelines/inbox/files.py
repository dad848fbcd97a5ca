"""What lies in a folder of an inbox, and why some of it cannot be taken.

Lives here: `InboxFile`, and looking into a folder without following links out of it.
Does not live here: when a file is complete (`watch.py`), what is read from it (`sources/`).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from pipelines.printable import visible_line

#: Names that copying programs give to what they have not finished; those that begin with a dot are left alone too.
_UNFINISHED: Final = (".part", ".partial", ".filepart", ".crdownload", ".tmp", "~")


@dataclass(frozen=True)
class InboxFile:
    """A file as it was found: `name` relative to the folder looked into, with forward slashes and surrogate escapes for bytes that
    are no UTF-8; `size` in bytes; `mtime_ns` in nanoseconds since 1970. `fault` is why it cannot be taken, None where it can.
    """

    name: str
    size: int
    mtime_ns: int
    inode: int
    fault: str | None = None

    @cached_property
    def identity(self) -> str:
        """Hash that changes with name, size, time of change, inode and fault: a file with a new identity is looked at anew."""
        state = f"|{self.size}|{self.mtime_ns}|{self.inode}|{self.fault or ''}"
        return hashlib.sha256(os.fsencode(self.name) + os.fsencode(state)).hexdigest()[:16]

    @property
    def shown(self) -> str:
        """The name as one printable line: bytes that are no UTF-8 and control characters are written out."""
        return visible_line(os.fsencode(self.name).decode("utf-8", "backslashreplace"))


def is_unfinished(name: str) -> bool:
    """Whether a file or folder bears the name of something that is not complete yet: a leading dot, `.part` and the like."""
    return name.startswith(".") or name.endswith(_UNFINISHED)


def look(folder: Path, *, max_bytes: int | None = None, deep: bool = False) -> list[InboxFile]:
    """Everything in a folder (`deep`: and in the folders below it) that is not named as unfinished, sorted by name.

    Nothing is opened. What cannot be taken has a fault: links that lead out of the folder or nowhere, what is no regular file,
    is not readable, is larger than `max_bytes`, or has a name that no report could show. A folder that is not there is empty.
    """
    root = folder.resolve()
    found = [file for path in _entries(root, deep=deep) if (file := _examine(root, path, max_bytes)) is not None]
    return sorted(found, key=lambda file: file.name)


def find(folder: Path, name: str) -> InboxFile | None:
    """The file of this name below a folder as it is now; None when there is none, or the name leads out of the folder."""
    root = folder.resolve()
    return _examine(root, root / name, None) if is_inside(root, root / name) else None


def _entries(root: Path, *, deep: bool) -> Iterator[Path]:
    """Paths of files, links and special files, and of folders that cannot be listed."""
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(root, onerror=unreadable.append):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in [*names, *links] if not is_unfinished(name))
        folders[:] = [name for name in folders if deep and not is_unfinished(name)]
    yield from (Path(error.filename) for error in unreadable if not isinstance(error, FileNotFoundError))


def _examine(root: Path, path: Path, max_bytes: int | None) -> InboxFile | None:
    """The file at `path`; None when it vanished, or is a link to a folder beside it, whose files are found there."""
    name = "." if path == root else path.relative_to(root).as_posix()
    try:
        entry = path.lstat()
        target = path.stat() if stat.S_ISLNK(entry.st_mode) else entry
    except FileNotFoundError:
        if not path.is_symlink():
            return None
        return InboxFile(name, 0, 0, 0, "is a link that leads nowhere")
    except OSError as error:
        return InboxFile(name, 0, 0, 0, f"cannot be read ({error.strerror})")
    is_link = stat.S_ISLNK(entry.st_mode)
    inside = not is_link or is_inside(root, path)
    if is_link and inside and stat.S_ISDIR(target.st_mode):
        return None
    return InboxFile(name, target.st_size, target.st_mtime_ns, target.st_ino, _fault(path, name, target, max_bytes, inside=inside))


def is_inside(root: Path, path: Path) -> bool:
    """Whether a path, its links followed, lies in the folder `root`, which has no links itself."""
    # Not Path.resolve, which fails at links in a circle.
    return Path(os.path.realpath(path)).is_relative_to(root)


def _fault(path: Path, name: str, target: os.stat_result, max_bytes: int | None, *, inside: bool) -> str | None:
    too_large = max_bytes is not None and target.st_size > max_bytes
    faults = (
        (not inside, "is a link that leads out of the folder: put the file itself there"),
        (not _is_plain(name), "has a name that is no UTF-8 or holds control characters: rename it"),
        (stat.S_ISDIR(target.st_mode), "is a folder that cannot be read: change its permissions"),
        (not stat.S_ISREG(target.st_mode), "is no regular file"),
        (not os.access(path, os.R_OK), "cannot be read: change its permissions"),
        (too_large, f"has {target.st_size >> 20:,} MiB, more than MARKETLAKE_MAX_LIVE_FILE_MB allows: split it"),
    )
    return next((text for applies, text in faults if applies), None)


def _is_plain(name: str) -> bool:
    try:
        os.fsencode(name).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return visible_line(name) == name
