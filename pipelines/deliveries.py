"""From paths on a command line to an order of deliveries.

Lives here: finding the files a source claims, reading options, storing raw files.
Does not live here: what becomes of the order (`quality/`), printing (`cli.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

from pipelines.market.exchanges import exchange as venue_of
from pipelines.quality.orders import Order
from pipelines.sources.protocol import ParseOptions, Source
from pipelines.storage.location import Lake
from pipelines.storage.raw import Delivery, store_raw

#: Parent folders kept in a file's name: enough for layouts that put market, resolution and symbol into folders.
_FOLDERS_KEPT = 5


class NoFilesError(ValueError):
    """The paths hold nothing that the source could read."""


def make_order(
    lake: Lake,
    mic: str,
    paths: Sequence[Path],
    source: Source,
    *,
    received_at: datetime,
    timezone: str | None = None,
    symbol: str | None = None,
    session: date | None = None,
    extra: Mapping[str, str] | None = None,
) -> Order:
    """Store the files and make the order that reads them. A file named in several paths counts once.

    `timezone` is the zone of times written without one (default: the exchange's). Raises FileNotFoundError for a path that does not
    exist, NoFilesError when a folder holds nothing for the source, OSError for an unreadable file.
    """
    options = ParseOptions(
        exchange=mic, timezone=timezone or venue_of(mic).timezone, symbol=symbol, session=session, extra=dict(extra or {})
    )
    canonical = json.loads(options.canonical_json())
    deliveries: dict[str, Delivery] = {}
    for path in find_files(paths, source):
        delivery = store_raw(lake, mic, path, name=_name(path), source=source.name, options=canonical, received_at=received_at)
        deliveries.setdefault(f"{delivery.batch_id}|{delivery.name}", delivery)
    return Order(mic, tuple(deliveries.values()))


def find_files(paths: Sequence[Path], source: Source) -> list[Path]:
    """Files named, and in folders those that the source claims, each once, in a fixed order."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_file():
            found[path.resolve()] = None
        elif path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and source.claims(_name(p)))
            if not inside:
                raise NoFilesError(f"{path} holds no file that source {source.name} reads; name the files or another source")
            found.update(dict.fromkeys(p.resolve() for p in inside))
        else:
            raise FileNotFoundError(f"{path} does not exist")
    return list(found)


def _name(path: Path) -> str:
    return "/".join(path.resolve().parts[-_FOLDERS_KEPT - 1 :]).lstrip("/")
