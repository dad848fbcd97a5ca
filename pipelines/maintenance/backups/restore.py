"""Restoring a home from a backup, at any path.

Lives here: `restore_home`: into which folder, in which order, comparing every content on its way.
Does not live here: the folder's layout (`folder.py`), the published catalogue (`../moved_home.py`), the command (`cli/backup.py`).

The lake is copied under another name and gets its own when all of it is there: a restore that is killed leaves a folder that no
command takes for a home, and the next restore begins anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.maintenance.backups.folder import Backup, BackupError, BackupFolder, StoredFile, chunks_of
from pipelines.maintenance.backups.home_files import SETTINGS_FILE
from pipelines.settings import Settings

_UNFINISHED = ".restoring"


@dataclass(frozen=True)
class Restored:
    """What was restored, to where."""

    backup: Backup
    home: Path


def choose_backup(folder: BackupFolder, backup_id: str | None) -> Backup:
    """The newest backup, or the one whose id begins so. Raises BackupError."""
    known = folder.backups()
    if not known:
        raise BackupError(f"{folder.folder} holds no backup that is whole")
    if backup_id is None:
        return folder.read(known[-1])
    named = [one for one in known if one.startswith(backup_id)]
    if len(named) != 1:
        found = f"begins {len(named)} backups" if named else "is no backup there"
        raise BackupError(f"{backup_id!r} {found}; the latest are: {', '.join(known[-5:])}")
    return folder.read(named[0])


def restore_home(settings: Settings, folder: BackupFolder, backup_id: str | None = None) -> Restored:
    """Restore a backup into the home of these settings. Raises BackupError where that is not empty, or a content is not whole."""
    backup = choose_backup(folder, backup_id)
    home, root = settings.home, Path(settings.lake_root)
    unfinished = root.with_name(f"{root.name}{_UNFINISHED}")
    own = [file for file in backup.files if file.path.startswith("home/")]
    _require_empty(home, root, unfinished, {Path(file.path).parts[1] for file in own})
    _require_room(unfinished.parent, backup)
    shutil.rmtree(unfinished, ignore_errors=True)
    for file in backup.files:
        if file.path.startswith("lake/"):
            _put(folder, file, unfinished / file.path.removeprefix("lake/"))
    for file in own:
        target = home / file.path.removeprefix("home/")
        # The settings that somebody wrote for this home stay.
        if target.name != SETTINGS_FILE or not target.exists():
            _put(folder, file, target)
    if root.is_dir():
        root.rmdir()
    os.replace(unfinished, root)
    return Restored(backup, home)


def _require_empty(home: Path, root: Path, unfinished: Path, own: set[str]) -> None:
    """Raise BackupError where files would be overwritten; what a restore left that was killed is none of them."""
    # Those that a restore makes are in its way only where no restore was at work.
    ours = {SETTINGS_FILE, unfinished.name, *(own if unfinished.exists() else ())}
    there = sorted(path.name for path in home.iterdir() if path.name not in ours and path != root) if home.is_dir() else []
    there += [root.name] if root.is_dir() and any(root.iterdir()) else []
    if there:
        shown = ", ".join(there[:5])
        raise BackupError(
            f"{home} is not empty ({shown}): restore into an empty folder (`--to FOLDER`), or move what is there away"
        )


def _require_room(folder: Path, backup: Backup) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if backup.size_bytes > free:
        raise BackupError(f"{folder} has {free / 1e9:,.1f} GB free, and the backup holds {backup.size_bytes / 1e9:,.1f} GB")


def _put(folder: BackupFolder, file: StoredFile, target: Path) -> None:
    """Copy a content to its place, comparing it on the way. Raises BackupError."""
    source = folder.path_of(file.sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as stream:
            stream.writelines(_noted(chunks_of(source), digest))
            stream.flush()
            os.fsync(stream.fileno())
    except FileNotFoundError:
        raise BackupError(f"{file.path} is missing in the backup ({source}): {_other_way(folder)}") from None
    if digest.hexdigest() != file.sha256:
        part.unlink()
        raise BackupError(f"{file.path} has other content in the backup than was written ({source}): {_other_way(folder)}")
    if "/raw/" in file.path:
        part.chmod(0o444)
    if file.changed_ns:
        os.utime(part, ns=(file.changed_ns, file.changed_ns))
    os.replace(part, target)


def _noted(chunks: Iterator[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _other_way(folder: BackupFolder) -> str:
    count = len(folder.backups())
    return f"`--backup ID` restores another of {count}; `marketlake backup {folder.folder} --verify` names what is damaged"
