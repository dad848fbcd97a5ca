"""Making a backup of a home while runs write to it.

Lives here: `make_backup`: what is copied, and what is there already.
Does not live here: which files belong together (`snapshot.py`), the folder's layout (`folder.py`), the command (`cli/backup.py`).
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pipelines.maintenance.backups.folder import Backup, BackupError, BackupFolder, ChangedContentError, StoredFile, chunks_of
from pipelines.maintenance.backups.home_files import SETTINGS_FILE, list_home_files, list_outside, settings_without_secrets
from pipelines.maintenance.backups.snapshot import LakeFile, Snapshot, take_snapshot
from pipelines.package_data import code_version
from pipelines.settings import Settings
from pipelines.storage.errors import WAY_OUT
from pipelines.storage.hold import read_hold
from pipelines.storage.location import Lake
from pipelines.storage.retention import read_retention

#: Snapshots that are tried where a clean-up deletes files while they are copied.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Made:
    """A backup, and what of it was copied now."""

    backup: Backup
    copied_files: int
    copied_bytes: int


class _GoneError(RuntimeError):
    """A file of the snapshot is not there any more."""


def make_backup(settings: Settings, folder: BackupFolder, now: datetime) -> Made:
    """Back a home up. `now` (aware): the moment that it is called by.

    Raises BackupError, DamagedTableError where a version that has to be kept cannot be opened.
    """
    lake = Lake.from_settings(settings)
    _require_apart(folder.folder, Path(lake.root), settings)
    with folder.locked():
        for _ in range(_ATTEMPTS):
            snapshot = take_snapshot(lake)
            if not snapshot.tables:
                raise BackupError(f"{settings.home} has no lake: there is nothing to back up")
            retention = read_retention(lake)
            copy = _Copy(Path(lake.root), folder)
            copy.require_room(snapshot)
            try:
                for file in snapshot.files:
                    copy.take(file)
            except _GoneError as gone:
                copy.gone.append(str(gone))
            if read_retention(lake) != retention:
                # `maintain` has expired releases, and deletes what they alone had: another snapshot is without it.
                continue
            if copy.gone:
                raise BackupError(f"{copy.gone[0]} is missing: {WAY_OUT}")
            for name, content in snapshot.small.items():
                copy.take_bytes(f"lake/{name}", content, 0)
            for path in list_home_files(settings):
                copy.take_bytes(f"home/{path.relative_to(settings.home)}", path.read_bytes(), path.stat().st_mtime_ns)
            if (own := settings_without_secrets(settings.home / SETTINGS_FILE)) is not None:
                copy.take_bytes(f"home/{SETTINGS_FILE}", own, 0)
            backup = Backup(
                made_at=now,
                home=str(settings.home),
                code_version=code_version(),
                releases=tuple(release.release_id for release in snapshot.releases),
                published=_published(lake, snapshot),
                tables=dict(snapshot.tables),
                files=tuple(copy.files),
                left_out=(*copy.left_out, *(f"{place} lies outside the home" for place in list_outside(settings))),
            )
            known = folder.write(backup)
            return Made(folder.read(known), copy.copied_files, copy.copied_bytes)
    raise BackupError("releases expire faster than their files can be copied; run the command again")


def _published(lake: Lake, snapshot: Snapshot) -> str | None:
    hold = read_hold(lake)
    return hold.release_id if hold else snapshot.releases[-1].release_id if snapshot.releases else None


def _require_apart(folder: Path, root: Path, settings: Settings) -> None:
    """Raise BackupError where backups would lie in what is backed up, or among other files."""
    for place in (root, settings.state_dir):
        if folder.absolute().is_relative_to(place.absolute()):
            raise BackupError(f"{folder} lies in {place}, which is backed up: give a folder elsewhere, best on another disk")
    if folder.is_dir() and not (folder / "backups").is_dir() and any(folder.iterdir()):
        raise BackupError(f"{folder} holds other files: give a folder of backups, an empty one, or one that is not there yet")


@dataclass
class _Copy:
    """The files of one backup on their way into the folder."""

    root: Path
    folder: BackupFolder
    files: list[StoredFile] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    copied_files: int = 0
    copied_bytes: int = 0

    def __post_init__(self) -> None:
        self._sizes = self.folder.contents()
        #: By the part of the checksum that names of data files hold.
        self._by_name = {sha256[:32]: sha256 for sha256 in self._sizes}

    def require_room(self, snapshot: Snapshot) -> None:
        """Raise BackupError where the disk cannot take what is not there yet."""
        needed = sum(self._size(file) for file in snapshot.files if self._known(file) is None)
        free = shutil.disk_usage(self.folder.folder).free
        if needed > free:
            raise BackupError(f"{self.folder.folder} has {free / 1e9:,.1f} GB free, and the backup needs {needed / 1e9:,.1f} GB")

    def take(self, file: LakeFile) -> None:
        """Copy a file of the lake unless its content is there, by its name where that tells it. Raises _GoneError, BackupError."""
        path, name = self.root / file.path, f"lake/{file.path}"
        known = self._known(file)
        if known is not None:
            changed = path.stat().st_mtime_ns if path.is_file() else 0
            self.files.append(StoredFile(name, known, self._sizes[known], changed))
            return
        try:
            changed, size = path.stat().st_mtime_ns, path.stat().st_size
            if file.checksum is None:
                with path.open("rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
                if self._sizes.get(digest) == size:
                    self.files.append(StoredFile(name, digest, size, changed))
                    return
            sha256, size = self._store(chunks_of(path), file.checksum)
        except FileNotFoundError:
            if file.use == "needed" and not file.raw:
                raise _GoneError(file.path) from None
            self._leave_out(file, "is missing")
            return
        except ChangedContentError:
            if file.use == "needed" and not file.raw:
                raise BackupError(f"{file.path} has other content than was written: {WAY_OUT}") from None
            self._leave_out(file, "has other content than was written")
            return
        if file.size is not None and size != file.size and not file.raw:
            raise BackupError(f"{file.path} has another size than was written: {WAY_OUT}")
        self.files.append(StoredFile(name, sha256, size, changed))

    def _leave_out(self, file: LakeFile, fault: str) -> None:
        """Note a file that cannot be taken and whose loss harms nothing that is newest; what nothing needs goes without a word."""
        if file.raw:
            self.left_out.append(f"lake/{file.path} {fault}: ingest the vendor's file again")
        elif file.use == "kept":
            self.left_out.append(f"lake/{file.path}, which only earlier releases have, {fault}")

    def take_bytes(self, name: str, content: bytes, changed_ns: int) -> None:
        """Store a small file whose content was read."""
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._sizes:
            self._store(iter([content]), digest)
        self.files.append(StoredFile(name, digest, len(content), changed_ns))

    def _store(self, content: Iterator[bytes], expected: str | None) -> tuple[str, int]:
        sha256, size = self.folder.store(content, expected)
        self.copied_files += 1
        self.copied_bytes += size
        self._sizes[sha256] = size
        self._by_name[sha256[:32]] = sha256
        return sha256, size

    def _known(self, file: LakeFile) -> str | None:
        """The content of a file whose name tells it, where it is in the folder, whole."""
        sha256 = self._by_name.get(file.checksum[:32]) if file.checksum else None
        if sha256 is None or not sha256.startswith(file.checksum or ""):
            return None
        return sha256 if file.size is None or self._sizes[sha256] == file.size else None

    def _size(self, file: LakeFile) -> int:
        if file.size is not None:
            return file.size
        path = self.root / file.path
        return path.stat().st_size if path.is_file() else 0
