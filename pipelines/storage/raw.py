"""Raw files: kept as received, addressed by content, never changed.

Lives here: storing a delivery's bytes, and the register of deliveries (`raw_files`).
Does not live here: reading what is in them (`sources/`).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow.fs as pafs

from pipelines.market.tables.operations import RAW_FILES
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake, filesystem_of

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Delivery:
    """One raw file with the source and options that read it. `batch_id` identifies the three together."""

    batch_id: str
    exchange: str
    source: str
    name: str
    content_hash: str
    size_bytes: int
    options: str
    received_at: datetime


def identify_delivery(
    exchange: str, path: Path, *, name: str, source: str, options: Mapping[str, object], received_at: datetime
) -> Delivery:
    """The delivery that a file is; nothing is copied. `received_at` is aware. Raises OSError when the file cannot be read."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = stream.tell()
    canonical = json.dumps(options, sort_keys=True, default=str)
    batch_id = hashlib.sha256(f"{digest}|{source}|{canonical}".encode()).hexdigest()[:16]
    return Delivery(batch_id, exchange, source, name, digest, size, canonical, received_at)


def store_raw(
    lake: Lake,
    exchange: str,
    path: Path,
    *,
    name: str,
    source: str,
    options: Mapping[str, object],
    received_at: datetime,
) -> Delivery:
    """Copy a file into the lake unless its content is there already.

    `received_at` (aware) counts only for content that was never seen; the first arrival stays on record.
    Raises OSError when the file cannot be read.
    """
    delivery = identify_delivery(exchange, path, name=name, source=source, options=options, received_at=received_at)
    filesystem, target = filesystem_of(raw_uri(lake, exchange, delivery.content_hash))
    # A copy of another size was cut, by a disk or a person: this file is what it was.
    info = filesystem.get_file_info(target)
    if info.type == pafs.FileType.NotFound or info.size != delivery.size_bytes:
        _copy_atomically(path, filesystem, target, delivery.content_hash)
        crash_point("raw.stored")
    return delivery


def raw_uri(lake: Lake, exchange: str, content_hash: str) -> str:
    """Address of a raw file: `{lake}/{MIC}/raw/ab/abcdef…`."""
    return lake.uri(exchange, "raw", content_hash[:2], content_hash)


@contextmanager
def local_copy(lake: Lake, exchange: str, content_hash: str) -> Iterator[Path]:
    """A readable local path of a raw file's bytes for the duration of the block."""
    filesystem, path = filesystem_of(raw_uri(lake, exchange, content_hash))
    if isinstance(filesystem, pafs.LocalFileSystem):
        # Opened here, so that a copy that is gone is distinguished from a file that its source cannot read.
        with Path(path).open("rb"):
            yield Path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / content_hash
        with filesystem.open_input_stream(path) as stream:
            copy.write_bytes(stream.read())
        yield copy


def registered(lake: Lake, exchange: str) -> pl.DataFrame:
    """The register of deliveries of an exchange (`raw_files`)."""
    return LakeTable(lake.table_uri(exchange, RAW_FILES.name), RAW_FILES).read()


def is_kept(lake: Lake, exchange: str, content_hash: str) -> bool:
    """Whether a raw file is there with the content that was received. Reads it."""
    try:
        with local_copy(lake, exchange, content_hash) as path, path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == content_hash
    except FileNotFoundError:
        return False


def damaged_raw_files(lake: Lake, exchange: str) -> list[str]:
    """Names of the deliveries on record whose kept copy is missing or has other content than was received. Reads every copy."""
    files = registered(lake, exchange).select("name", "content_hash").unique().sort("name")
    return [name for name, content_hash in files.iter_rows() if not is_kept(lake, exchange, content_hash)]


def _copy_atomically(path: Path, filesystem: pafs.FileSystem, target: str, digest: str) -> None:
    """An object store shows an object only when its upload is complete; a local file is renamed into place.

    Raises OSError when the file changed since its `digest` was made.
    """
    if not isinstance(filesystem, pafs.LocalFileSystem):
        with path.open("rb") as stream, filesystem.open_output_stream(target) as copy:
            shutil.copyfileobj(stream, copy, _CHUNK)
        return
    folder = Path(target).parent
    folder.mkdir(parents=True, exist_ok=True)
    # For reading only, by those whom the user's umask leaves: mkstemp would leave the owner alone, chmod everybody.
    temporary = folder / f".{digest}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444)
    with os.fdopen(handle, "wb") as copy, path.open("rb") as stream:
        written = hashlib.sha256()
        while chunk := stream.read(_CHUNK):
            written.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    if written.hexdigest() != digest:
        temporary.unlink()
        raise OSError(errno.EBUSY, "changed while it was read; ingest it when it is complete", str(path))
    os.replace(temporary, target)
