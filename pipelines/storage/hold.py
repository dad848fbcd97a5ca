"""A hold: an older release that somebody published again, which stays published whatever nightly runs release.

Lives here: setting, reading and clearing it, and `published_release`.
Does not live here: the link that analysts open (`catalogue.py`), recording releases (`releases.py`).

It lies in the lake and not in the derived state, whose loss must lose nothing but time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow.fs as pafs

from pipelines.storage.errors import DamagedTableError
from pipelines.storage.location import Lake, filesystem_of, read_small_file, write_small_file
from pipelines.storage.releases import Release, find_release, latest_release

_FILE = "hold.json"


@dataclass(frozen=True)
class Hold:
    """Which release is held, since when (UTC), by which user of the operating system, and why (may be empty)."""

    release_id: str
    since: datetime
    by: str
    reason: str

    def describe(self) -> str:
        """For people: what is held, and the way out."""
        why = f": {self.reason}" if self.reason else ""
        held = f"{self.release_id} stays published (held since {self.since:%Y-%m-%d %H:%M} UTC by {self.by}{why})"
        return f"{held}; `marketlake rollback --clear` publishes the newest release"


def set_hold(lake: Lake, hold: Hold) -> None:
    """Record a hold in place of the one before."""
    content = json.dumps({**asdict(hold), "since": hold.since.isoformat()})
    write_small_file(lake.uri(_FILE), content.encode())


def clear_hold(lake: Lake) -> None:
    """Remove the hold where there is one."""
    filesystem, path = filesystem_of(lake.uri(_FILE))
    if filesystem.get_file_info(path).type == pafs.FileType.File:
        filesystem.delete_file(path)


def read_hold(lake: Lake) -> Hold | None:
    """The hold of a lake; None where there is none. Raises DamagedTableError where its file cannot be read."""
    text = read_small_file(lake.uri(_FILE))
    if text is None:
        return None
    try:
        content = json.loads(text)
        return Hold(**{**content, "since": datetime.fromisoformat(content["since"])})
    except (ValueError, TypeError, KeyError):
        way_out = "run `marketlake rollback ID` or `marketlake rollback --clear`"
        raise DamagedTableError(f"{lake.uri(_FILE)}, which says what release stays published, is damaged: {way_out}") from None


def published_release(lake: Lake) -> Release | None:
    """The release that analysts see: the held one, else the newest; None before the first."""
    hold = read_hold(lake)
    return latest_release(lake) if hold is None else find_release(lake, hold.release_id)
