"""Whether a home lies where its derived files say: a glance at one small file, which every command takes.

Lives here: that file. Imports nothing heavy.
Does not live here: what is made anew in a home that was copied or moved (`maintenance/moved_home.py`).
"""

from __future__ import annotations

from pathlib import Path

from pipelines.whole_files import write_whole

#: Below the state: the root of the lake whose files catalogues name.
_NOTE = "lake_root"


def noted_place(state_dir: Path) -> str | None:
    """The root of the lake that the derived files of a home name; None where that is not on record."""
    note = state_dir / _NOTE
    return note.read_text(encoding="utf-8") if note.is_file() else None


def note_place(state_dir: Path, lake_root: str) -> None:
    """Record that from now on the derived files name this lake."""
    write_whole(state_dir / _NOTE, lake_root)


def is_in_place(state_dir: Path, lake_root: str) -> bool:
    """Whether the derived files are known to name this lake, however its address is written; True while there are none."""
    if not state_dir.is_dir():
        return True
    noted = noted_place(state_dir)
    if noted is None or noted == lake_root:
        return noted is not None
    return Path(noted).is_dir() and Path(lake_root).is_dir() and Path(noted).samefile(lake_root)
