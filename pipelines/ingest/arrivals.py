"""From paths on a command line to an order of deliveries.

Lives here: finding the files a source claims, reading options, storing raw files.
Does not live here: what becomes of the request (`staging.py`), printing (`cli/app.py`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TypedDict, Unpack

from pipelines.ingest.requests import IngestRequest
from pipelines.market.exchanges import exchange as venue_of
from pipelines.sources.protocol import ParseOptions, Source
from pipelines.sources.reading import claims_file
from pipelines.storage.location import Lake
from pipelines.storage.raw import Delivery, identify_delivery, store_raw

#: Parent folders kept in a file's name: enough for layouts that put market, resolution and symbol into folders.
_FOLDERS_KEPT = 5


class NoFilesError(ValueError):
    """The paths hold nothing that the source could read."""


@dataclass(frozen=True)
class LeftOut:
    """A file, or several of one kind, that is not delivered: `name`, why, and whether it is a fault (`refused`)."""

    name: str
    reason: str
    refused: bool = False


@dataclass(frozen=True)
class Collected:
    """What some paths lead to: the order of the files, what was left out of it, and the file of each delivery by its batch."""

    order: IngestRequest
    left_out: tuple[LeftOut, ...]
    paths: Mapping[str, Path] = field(default_factory=dict)


class Reading(TypedDict, total=False):
    """How files are read: `timezone` is the zone of times written without one (default: the exchange's), `symbol` the instrument of
    a one-symbol file (default: its stem), `session` the date of rows that carry only times, `extra` the source's own options.
    """

    timezone: str | None
    symbol: str | None
    session: date | None
    extra: Mapping[str, str] | None


def make_request(
    lake: Lake, mic: str, paths: Sequence[Path], source: Source, *, received_at: datetime, **reading: Unpack[Reading]
) -> IngestRequest:
    """The order of `collect`, for callers who know their files to be there and readable."""
    return collect(lake, mic, paths, source, received_at=received_at, **reading).order


def collect(
    lake: Lake,
    mic: str,
    paths: Sequence[Path],
    source: Source,
    *,
    received_at: datetime,
    store: bool = True,
    **reading: Unpack[Reading],
) -> Collected:
    """Store the files (unless `store` is false) and make the order that reads them. A file named in several paths counts once.

    A file that cannot be read is left out, the others go on. Raises FileNotFoundError for a path that does not exist, NoFilesError
    when there is nothing for the source.
    """
    timezone = reading.get("timezone")
    options = ParseOptions(
        exchange=mic,
        timezone=timezone or venue_of(mic).timezone,
        symbol=reading.get("symbol"),
        session=reading.get("session"),
        extra=dict(reading.get("extra") or {}),
        timezone_stated=timezone is not None,
    )
    canonical = json.loads(options.canonical_json())
    files, left_out = find_files(paths, source)
    deliveries: dict[str, Delivery] = {}
    places: dict[str, Path] = {}
    for path in files:
        about = {"name": delivered_name(path), "source": source.name}
        try:
            if store:
                delivery = store_raw(lake, mic, path, **about, options=canonical, received_at=received_at)
            else:
                delivery = identify_delivery(mic, path, **about, options=canonical, received_at=received_at)
        except OSError as error:
            # A fault of the lake itself (no space, no permission to write) would befall every file; it is no fault of this one.
            if not _concerns(error, path):
                raise
            left_out.append(LeftOut(delivered_name(path), f"cannot be read ({error.strerror})", refused=True))
            continue
        deliveries.setdefault(f"{delivery.batch_id}|{delivery.name}", delivery)
        places.setdefault(delivery.batch_id, path)
    return Collected(IngestRequest(mic, tuple(deliveries.values())), tuple(left_out), places)


def find_files(paths: Sequence[Path], source: Source) -> tuple[list[Path], list[LeftOut]]:
    """Files named, and in folders those that the source claims, each once, in a fixed order; and what was left out.

    A link that leads out of the folder that was named is not followed; one that was named itself is.
    """
    found: dict[Path, None] = {}
    left_out: list[LeftOut] = []
    for path in paths:
        if path.is_file():
            found[path.resolve()] = None
        elif path.is_dir():
            inside, beside = _in_folder(path, source)
            left_out += beside
            if not inside:
                raise NoFilesError(f"{path} holds no file that source {source.name} reads; name the files or another source")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            raise NoFilesError(f"{path} is no regular file and no folder; name a file")
        else:
            raise FileNotFoundError(f"{path} does not exist")
    return list(found), left_out


def _in_folder(folder: Path, source: Source) -> tuple[list[Path], list[LeftOut]]:
    root = folder.resolve()
    claimed: dict[Path, None] = {}
    others: list[str] = []
    left_out: list[LeftOut] = []

    def unreadable(error: OSError) -> None:
        left_out.append(LeftOut(str(error.filename), f"the folder cannot be read ({error.strerror})", refused=True))

    for parent, folders, names in os.walk(root, onerror=unreadable):
        for name in sorted([*names, *(f for f in folders if Path(parent, f).is_symlink())]):
            path = Path(parent, name)
            target = path.resolve()
            if not target.is_relative_to(root):
                left_out.append(
                    LeftOut(delivered_name(path, follow=False), "is a link that leads out of the folder; name the file itself")
                )
                continue
            try:
                is_file = path.is_file()
            except OSError as error:
                left_out.append(LeftOut(delivered_name(path), f"cannot be read ({error.strerror})", refused=True))
                continue
            if is_file and claims_file(source, delivered_name(path)):
                claimed[target] = None
            elif is_file:
                others.append(delivered_name(path))
    if others:
        left_out.append(
            LeftOut(
                f"{len(others):,} other file{'' if len(others) == 1 else 's'}, such as {min(others)}",
                f"the source {source.name} reads no files of such names; name them one by one to try",
            )
        )
    return sorted(claimed), sorted(left_out, key=lambda entry: entry.name)


def _concerns(error: OSError, path: Path) -> bool:
    return error.filename is not None and Path(os.fsdecode(error.filename)).name == path.name


def delivered_name(path: Path, *, follow: bool = True) -> str:
    """A file's name in reports and for its source: with the folders that carry meaning; bytes that are no UTF-8 are written out.

    The whole path, or "…/" and its last folders: what is cut never looks like a path of its own.
    """
    whole = path.resolve() if follow else path.absolute()
    kept = whole.parts[1:][-_FOLDERS_KEPT - 1 :]
    name = ("/" if len(kept) == len(whole.parts) - 1 else "…/") + "/".join(kept)
    return os.fsencode(name).decode("utf-8", "backslashreplace")
