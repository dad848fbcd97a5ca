"""Where things are in the lake: joining URIs and reaching their file system.

Lives here: `Lake`, the address book of a lake root, and `filesystem_of`.
Does not live here: reading or writing tables (`delta.py`) and raw files (`raw.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

_SAFE_PART = re.compile(r"[A-Za-z0-9_.=-]+")


@dataclass(frozen=True)
class Lake:
    """A lake root: a local path or a URI such as `s3://bucket/prefix`."""

    root: str

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
