"""The folder of a home's backups: contents by their SHA-256, and one record a backup that says which file has which content.

Lives here: `BackupFolder`, the layout, reading and comparing it.
Does not live here: what is backed up (`make.py`), putting it back (`restore.py`).

    objects/ab/abcdef…           one content, whatever files and backups have it
    backups/<moment>-<hash>.json   a backup: written last, under its name only when it is whole; the hash is of its content

Nothing there is ever changed: what a killed backup leaves is a part that the next one deletes, and contents that it takes up.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

_CHUNK = 1 << 20
_PART = ".part"
_FORMAT = 1
_HASH_DIGITS = 32


class BackupError(RuntimeError):
    """A backup cannot be made, read or restored; the message is one line with the way out."""


@dataclass(frozen=True)
class StoredFile:
    """A file of the home and its content. path: below the lake's root (`lake/…`) or the home (`home/…`). changed: its own time."""

    path: str
    sha256: str
    size: int
    changed_ns: int


@dataclass(frozen=True)
class Backup:
    """What a backup holds. made_at: UTC. tables: version by place in the lake. releases: their ids, oldest first.

    left_out: files that could not be taken, with the reason.
    """

    made_at: datetime
    home: str
    code_version: str
    releases: tuple[str, ...]
    published: str | None
    tables: dict[str, int]
    files: tuple[StoredFile, ...]
    left_out: tuple[str, ...] = ()
    backup_id: str = field(default="", compare=False)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class BackupFolder:
    """The backups at a folder."""

    folder: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers of this folder out, and delete what a killed one left half-written. Raises BackupError."""
        for name in ("objects", "backups"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupError(f"another backup is being written to {self.folder}; try again when it has ended") from None
            for part in (*self.folder.glob(f"objects/*{_PART}"), *self.folder.glob(f"backups/*{_PART}")):
                part.unlink()
            yield

    def backups(self) -> list[str]:
        """Ids of the backups that are whole, oldest first."""
        return sorted(path.stem for path in (self.folder / "backups").glob("*.json"))

    def read(self, backup_id: str) -> Backup:
        """A backup's record. Raises BackupError where it is not as it was written, or of a later version of marketlake."""
        path = self.folder / "backups" / f"{backup_id}.json"
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest()[:_HASH_DIGITS] != backup_id.rpartition("-")[2]:
            raise BackupError(
                f"{path} has other content than was written: the backup {backup_id} is lost; {self._others(backup_id)}"
            )
        record = json.loads(content)
        if record.pop("format") != _FORMAT:
            raise BackupError(f"{path} was written by a later version of marketlake: install that")
        files = tuple(StoredFile(*entry) for entry in record.pop("files"))
        lists: dict[str, Any] = {name: tuple(record.pop(name)) for name in ("releases", "left_out")}
        moment = datetime.fromisoformat(record.pop("made_at"))
        return Backup(made_at=moment, files=files, backup_id=backup_id, **lists, **record)

    def write(self, backup: Backup) -> str:
        """Record a backup whose contents are all there; returns its id. From here on it can be restored."""
        record: dict[str, Any] = {**asdict(backup), "format": _FORMAT, "made_at": backup.made_at.isoformat()}
        del record["backup_id"]
        record["files"] = [[file.path, file.sha256, file.size, file.changed_ns] for file in backup.files]
        content = json.dumps(record, sort_keys=True, ensure_ascii=False).encode()
        backup_id = f"{backup.made_at:%Y%m%dT%H%M%SZ}-{hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]}"
        # The names of all contents are on the disk before the record that needs them.
        for folder in {self.path_of(file.sha256).parent for file in backup.files}:
            _sync_folder(folder)
        with _written_whole(self.folder / "backups" / f"{backup_id}.json") as stream:
            stream.write(content)
        return backup_id

    def path_of(self, sha256: str) -> Path:
        """Where a content is, or would be."""
        return self.folder / "objects" / sha256[:2] / sha256

    def contents(self) -> dict[str, int]:
        """Size of every content that is there, by its SHA-256."""
        return {
            entry.name: entry.stat().st_size for sub in self._subfolders() for entry in os.scandir(sub) if _PART not in entry.name
        }

    def store(self, content: Iterator[bytes], expected: str | None) -> tuple[str, int]:
        """Write a content unless it is there; returns its SHA-256 and size.

        Raises ChangedContentError where the hash does not begin with `expected`; nothing of it is kept then.
        """
        part = self.folder / "objects" / f"{uuid.uuid4().hex}{_PART}"
        digest, size = hashlib.sha256(), 0
        try:
            with part.open("wb") as stream:
                for chunk in content:
                    digest.update(chunk)
                    size += stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
            sha256 = digest.hexdigest()
            if expected is not None and not sha256.startswith(expected):
                raise ChangedContentError(sha256)
            target = self.path_of(sha256)
            target.parent.mkdir(exist_ok=True)
            part.chmod(0o444)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
        return sha256, size

    def verify(self) -> tuple[int, int, list[str]]:
        """Read every content of every backup. Returns how many files and bytes that were, and a line for each that is damaged."""
        files: dict[str, StoredFile] = {}
        damages, used_by = [], dict[str, list[str]]()
        for backup_id in self.backups():
            try:
                backup = self.read(backup_id)
            except BackupError as error:
                damages.append(str(error))
                continue
            for file in backup.files:
                files[file.sha256] = file
                used_by.setdefault(file.sha256, []).append(backup_id)
        for sha256, file in sorted(files.items(), key=lambda item: item[1].path):
            fault = self._fault(file)
            if fault is not None:
                shown = ", ".join(used_by[sha256][-3:])
                path = self.path_of(sha256)
                damages.append(
                    f"{file.path} {fault} ({path}, of {len(used_by[sha256])} backups: {shown}): delete that file and run "
                    "`marketlake backup` again, which copies it anew where the lake still has it"
                )
        return len(files), sum(file.size for file in files.values()), damages

    def _fault(self, file: StoredFile) -> str | None:
        path = self.path_of(file.sha256)
        if not path.is_file():
            return "is missing"
        if path.stat().st_size != file.size:
            return "has another size than was written"
        with path.open("rb") as stream:
            same = hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
        return None if same else "has other content than was written"

    def _subfolders(self) -> list[Path]:
        return [path for path in (self.folder / "objects").glob("??") if path.is_dir()]

    def _others(self, backup_id: str) -> str:
        others = [known for known in self.backups() if known != backup_id]
        return f"restore another with `--backup {others[-1]}`" if others else "there is no other"


class ChangedContentError(RuntimeError):
    """A file's content is not what its name says; the message is its SHA-256."""


def chunks_of(path: Path) -> Iterator[bytes]:
    """A file's content, part by part."""
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


@contextmanager
def _written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A new file under its name only when all of it is on the disk."""
    part = path.with_name(f"{path.name}{_PART}")
    with part.open("wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
