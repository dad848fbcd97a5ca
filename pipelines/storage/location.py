"""Where things are in the lake: joining URIs and reaching their file system.

Lives here: `Lake`, the address book of a lake root, with what its home states about it, and `filesystem_of`.
Does not live here: reading or writing tables (`delta.py`) and raw files (`raw.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow.fs as pafs

if TYPE_CHECKING:
    from pipelines.market.calendar import ExchangeCalendar

_SAFE_PART = re.compile(r"[A-Za-z0-9_.=-]+")


class LakeSettings(Protocol):
    """The settings of a home that say what its lake is."""

    @property
    def lake_root(self) -> str:
        """Root URI or path of the lake."""

    @property
    def calendars(self) -> Path:
        """Folder of the home's calendar files."""

    @property
    def indicators(self) -> Path | None:
        """File of chosen indicators."""


@dataclass(frozen=True)
class Lake:
    """A lake as one home sees it. Whoever works on tables is handed one, and needs no settings.

    root: a local path or a URI such as `s3://bucket/prefix`. calendars: folder of the home's own calendar files; None: the
    calendars as they ship. indicators: the home's file of chosen indicators, which its tables have columns of; None: it has none.
    """

    root: str
    calendars: Path | None = None
    indicators: Path | None = None

    @classmethod
    def from_settings(cls, settings: LakeSettings) -> Lake:
        """The lake of a home."""
        return cls(settings.lake_root, settings.calendars, settings.indicators)

    def calendar(self, exchange: str) -> ExchangeCalendar:
        """The calendar of an exchange, with what the home states in its own file. Raises HomeCalendarError."""
        from pipelines.market.calendar import calendar  # polars: not for those who only want an address

        return calendar(exchange, self.calendars)

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return "://" not in self.root or self.root.startswith("file://")

    def uri(self, *parts: str) -> str:
        """Address of something below the root. ValueError when a part could lead outside it."""
        for part in parts:
            if not _SAFE_PART.fullmatch(part) or part in {".", ".."}:
                raise ValueError(f"{part!r} cannot be part of a path in the lake")
        return "/".join([self.root.rstrip("/"), *parts])

    def table_uri(self, exchange: str, table: str) -> str:
        """Address of one exchange's table: `{root}/{MIC}/{table}`."""
        return self.uri(exchange, table)


def filesystem_of(uri: str) -> tuple[pafs.FileSystem, str]:
    """File system and path of an address: of a folder of this machine, or a URI such as `s3://bucket/prefix`."""
    if "://" not in uri:
        return pafs.LocalFileSystem(), str(Path(uri).absolute())
    filesystem, path = pafs.FileSystem.from_uri(uri)
    return filesystem, path


def read_small_file(uri: str) -> bytes | None:
    """Content of a file of the lake; None where there is none."""
    filesystem, path = filesystem_of(uri)
    if filesystem.get_file_info(path).type != pafs.FileType.File:
        return None
    with filesystem.open_input_stream(path) as stream:
        content: bytes = stream.read()
    return content


def write_small_file(uri: str, content: bytes) -> None:
    """Write a file of the lake as a whole: under its name there is the old content or the new one."""
    filesystem, path = filesystem_of(uri)
    # An object store shows an object when it is complete; a folder is shown the file under its own name only then.
    local = isinstance(filesystem, pafs.LocalFileSystem)
    if local:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    target = f"{path}.new" if local else path
    with filesystem.open_output_stream(target) as stream:
        stream.write(content)
    if local:
        filesystem.move(target, path)
