"""Small local files that another process may read at any moment, or that a killed one must not leave half-written.

Lives here: `write_whole`, and `hash_file` of what a file holds.
Does not live here: small files of the lake, which may be no local folder (`storage/location.py`).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place and rename it into it. Its folder is made. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(temporary, path)


def hash_file(path: Path) -> str | None:
    """SHA-256 of a file's content; None where there is no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
