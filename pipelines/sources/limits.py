"""How much one file may take: what protects a delivery from a file that was made, or damaged, to fill the memory.

Lives here: the limits, as configured, and unpacking within them.
Does not live here: decoding what was unpacked (`text.py`, `parquet.py`).
"""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Protocol

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK: Final = 1 << 20
#: Below this size a high ratio of unpacked to packed is no sign of anything: a small file of equal lines packs very well.
_RATIO_COUNTS_FROM: Final = 16 << 20
#: A row of market data has fewer fields than this; more of them in all than rows × this is no table of bars.
_FIELDS_A_ROW: Final = 20
_SEPARATORS: Final = (b",", b";", b"\t", b"|")
_DAMAGED: Final = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class LimitError(ValueError):
    """A file exceeds a limit; the message says which, and by which setting it is raised."""


class UnpackError(ValueError):
    """A file cannot be unpacked; the message says why, without the file's name."""


@dataclass(frozen=True)
class Limits:
    """The most that one file may hold.

    `unpacked_bytes`: size after unpacking; `ratio`: unpacked over packed size, of files above 16 MiB unpacked; `members`: files in
    an archive; `line_bytes`: the longest line of text; `rows`: rows that are held in memory at once.
    """

    unpacked_bytes: int = 1 << 30
    ratio: int = 250
    members: int = 1_000
    line_bytes: int = 100_000
    rows: int = 10_000_000


class LimitSettings(Protocol):
    """Where a home says how much one file may take: its settings, or the resource made of them."""

    @property
    def max_unpacked_mb(self) -> int:
        """Most that one vendor file may hold unpacked, MiB."""

    @property
    def max_packing_ratio(self) -> int:
        """Most that a packed file may grow, times its size."""

    @property
    def max_archive_members(self) -> int:
        """Most files that an archive may hold."""

    @property
    def max_line_bytes(self) -> int:
        """Longest line of a text file, bytes."""

    @property
    def max_rows_in_file(self) -> int:
        """Most rows of one file."""


def configured_limits(settings: LimitSettings) -> Limits:
    """The limits that a home has configured."""
    return Limits(
        unpacked_bytes=settings.max_unpacked_mb << 20,
        ratio=settings.max_packing_ratio,
        members=settings.max_archive_members,
        line_bytes=settings.max_line_bytes,
        rows=settings.max_rows_in_file,
    )


def unpack(path: Path, limits: Limits) -> bytes:
    """The bytes of a plain, gzip or zstd file, or of the one member of a zip; distinguished by content.

    Raises LimitError before more than `limits` allow is in memory, UnpackError for a damaged or encrypted file or a zip of
    several members.
    """
    packed = path.stat().st_size
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
            stream.seek(0)
            if start[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=stream) as member:
                    return _bounded(member, packed, limits)
            if start == b"\x28\xb5\x2f\xfd":
                with pa.CompressedInputStream(pa.PythonFile(stream), "zstd") as member:
                    return _bounded(member, packed, limits)
            if start in (b"PK\x03\x04", b"PK\x05\x06"):
                with zipfile.ZipFile(stream) as archive, _only_member(archive, limits) as member:
                    return _bounded(member, packed, limits)
            return _bounded(stream, packed, limits)
    except (LimitError, UnpackError):
        raise
    except _DAMAGED as error:
        raise UnpackError(f"cannot be unpacked ({error}); it is damaged or cut off, fetch it again") from error


def check_table_size(content: bytes, limits: Limits, *, longest_line: bool = True) -> None:
    """LimitError when a text has more lines, a longer line or more fields than `limits` allow. Memory: one byte a byte."""
    if longest_line:
        found = np.frombuffer(content, dtype=np.uint8)
        ends = np.flatnonzero((found == ord("\n")) | (found == ord("\r")))
        if len(ends) > 2 * limits.rows:
            check_rows(len(ends), limits)
        edges = np.concatenate([[-1], ends, [len(content)]])
        longest = int(np.diff(edges).max()) - 1
        if longest > limits.line_bytes:
            row = int(np.diff(edges).argmax()) + 1
            raise LimitError(
                f"row {row} has {longest:,} bytes, {limits.line_bytes:,} are allowed; it is no table of bars, "
                "or raise MARKETLAKE_MAX_LINE_BYTES"
            )
        check_rows(int((np.diff(edges) > 1).sum()), limits)
    separators = sum(map(content.count, _SEPARATORS))
    if separators > limits.rows * _FIELDS_A_ROW:
        raise LimitError(
            f"has {separators:,} fields, {limits.rows * _FIELDS_A_ROW:,} are allowed; it is no table of bars, "
            "or raise MARKETLAKE_MAX_ROWS_IN_FILE"
        )


def check_rows(rows: int, limits: Limits) -> None:
    """LimitError when a table has more rows than `limits` allow."""
    if rows > limits.rows:
        raise LimitError(
            f"has {rows:,} rows, {limits.rows:,} are allowed; split the file, or raise MARKETLAKE_MAX_ROWS_IN_FILE "
            "where there is memory for it"
        )


def check_size(size: int, limits: Limits) -> None:
    """LimitError when unpacked content has more bytes than `limits` allow."""
    if size > limits.unpacked_bytes:
        raise LimitError(
            f"holds more than {limits.unpacked_bytes >> 20:,} MiB; split the file, or raise MARKETLAKE_MAX_UNPACKED_MB "
            "where there is memory for it"
        )


def _bounded(stream: _Readable, packed: int, limits: Limits) -> bytes:
    """Everything in `stream`, unless that is more than the limits allow."""
    content = io.BytesIO()
    while chunk := stream.read(_CHUNK):
        content.write(chunk)
        size = content.tell()
        check_size(size, limits)
        if size > max(_RATIO_COUNTS_FROM, packed * limits.ratio):
            raise LimitError(
                f"grows to more than {limits.ratio} times its size when unpacked; it is made to fill the memory or damaged, "
                "or raise MARKETLAKE_MAX_PACKING_RATIO"
            )
    return content.getvalue()


def _only_member(archive: zipfile.ZipFile, limits: Limits) -> IO[bytes]:
    names = archive.namelist()
    if len(names) > limits.members:
        raise LimitError(
            f"the zip holds {len(names):,} files, {limits.members:,} are allowed; unpack it and ingest the folder, "
            "or raise MARKETLAKE_MAX_ARCHIVE_MEMBERS"
        )
    members = [m for m in names if not m.endswith("/") and not m.startswith("__MACOSX/")]
    if len(members) != 1:
        raise UnpackError(f"the zip holds {len(members)} files, one is expected; unpack it and ingest the folder")
    return archive.open(members[0])
