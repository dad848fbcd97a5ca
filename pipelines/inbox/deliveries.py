"""The inbox of vendor files: `<root>/<MIC>/<source>/…`, where what comes to rest together is one delivery.

Lives here: which files a source's folder holds, what lies beside any such folder, and deliveries on record.
Does not live here: launching their runs (`orchestration/vendor_inbox.py`), reading them (`sources/`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.inbox.files import InboxFile, find, is_inside, is_unfinished, look
from pipelines.inbox.options import governing, is_options_file, read_options
from pipelines.ingest.arrivals import delivered_name
from pipelines.sources.protocol import Source, SourceError
from pipelines.sources.reading import claims_file
from pipelines.user_files import UserFileError


@dataclass(frozen=True)
class InboxDelivery:
    """Files of one source that were found complete together: names relative to the source's folder, each with its identity.

    `found_at` (aware) is when, and counts as the moment of their arrival. `options`: how they are read, as `read_options` gives it.
    """

    exchange: str
    source: str
    files: tuple[tuple[str, str], ...]
    found_at: datetime
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def delivery_id(self) -> str:
        """Hash of exchange, source, files and options: the same files found again are the same delivery."""
        identity: list[Any] = [self.exchange, self.source, self.files]
        content = json.dumps([*identity, self.options] if self.options else identity, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def describe(self) -> str:
        """The delivery in a few words: `csv/a.csv and 3 others`."""
        first = f"{self.source}/{self.files[0][0]}"
        others = len(self.files) - 1
        return first if not others else f"{first} and {others:,} other{'' if others == 1 else 's'}"


def source_folder(root: Path, exchange: str, source: str) -> Path:
    """Where the files of a source are dropped."""
    return root / exchange / source


def source_files(root: Path, exchange: str, source: Source) -> list[InboxFile]:
    """Everything below a source's folder; what cannot be taken, files that the source does not read included, with its fault.

    Files that a faulty options file stands for are left out: they wait until it is put right.
    """
    folder = source_folder(root, exchange, source.name).resolve()
    if not is_inside(root.resolve(), folder):
        return []
    found = [_claimed(source, folder, file) for file in look(folder, deep=True)]
    options = {file.name: file for file in found if is_options_file(file.name)}
    return [file for file in found if file.name in options or _can_be_read(file.name, options)]


def by_options(
    root: Path, exchange: str, source: str, names: Sequence[str], there: Collection[str]
) -> list[tuple[dict[str, Any], list[str]]]:
    """Names of files that are read alike, with their options, in the order of their first. `there`: all names of the folder.

    Files of options are none of a delivery. Raises UserFileError where an options file is not what it was when it was looked at.
    """
    folder = source_folder(root, exchange, source)
    options_files = [name for name in there if is_options_file(name)]
    groups: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for name in names:
        if is_options_file(name):
            continue
        place = governing(name, options_files)
        options = read_options(folder / place, source) if place else {}
        groups.setdefault(json.dumps(options, sort_keys=True), (options, []))[1].append(name)
    return list(groups.values())


def _can_be_read(name: str, options: Mapping[str, InboxFile]) -> bool:
    place = governing(name, options)
    return place is None or options[place].fault is None


def unplaced(
    root: Path, exchange: str, exchanges: Collection[str], sources: Collection[str], live_suffixes: tuple[str, ...]
) -> list[InboxFile]:
    """What lies where nothing is taken from, each with its fault: in the exchange's folder anything but folders of sources and live
    bars; in the root anything but folders of the configured `exchanges`, said for the first of them alone.
    """
    found = []
    for name in _names(root / exchange):
        path = root / exchange / name
        if name.endswith(live_suffixes) and not path.is_dir():
            continue
        if not is_inside(root.resolve(), path):
            found.append(InboxFile(f"{exchange}/{name}", 0, 0, 0, "is a link that leads out of the inbox: put the files there"))
        elif name not in sources or not path.is_dir():
            found.append(InboxFile(f"{exchange}/{name}", 0, 0, 0, f"is no folder of a source: known are {', '.join(sources)}"))
    if exchange == next(iter(exchanges)):
        fault = f"is no folder of a configured exchange: configured are {', '.join(exchanges)}"
        found += [InboxFile(name, 0, 0, 0, fault) for name in _names(root) if name not in exchanges]
    return found


def confirm(root: Path, delivery: InboxDelivery) -> tuple[list[Path], list[str]]:
    """Paths of the delivery's files that are still as they were found, and the names of those that are gone.

    One that changed since is neither: it has another identity and comes with a later delivery.
    """
    folder = source_folder(root, delivery.exchange, delivery.source)
    paths, gone = [], []
    for name, identity in delivery.files:
        now = find(folder, name) if is_inside(root.resolve(), folder) else None
        if now is None:
            gone.append(name)
        elif now.identity == identity:
            paths.append(folder / name)
    return paths, gone


def save_delivery(delivery: InboxDelivery, state_dir: Path) -> None:
    """Put a delivery on record, unless it is there already."""
    path = _record(state_dir, delivery.exchange, delivery.delivery_id)
    if not path.is_file():
        _write(path, {**asdict(delivery), "found_at": delivery.found_at.isoformat()})


def load_delivery(state_dir: Path, exchange: str, delivery_id: str) -> InboxDelivery | None:
    """The delivery with this id; None when the state folder does not have it (any more)."""
    path = _record(state_dir, exchange, delivery_id)
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    files = tuple((name, identity) for name, identity in content["files"])
    found_at = datetime.fromisoformat(content["found_at"])
    return InboxDelivery(content["exchange"], content["source"], files, found_at, content.get("options", {}))


def conclude(delivery: InboxDelivery, state_dir: Path, refused: Sequence[str]) -> None:
    """Put on record that a delivery was ingested, with what was refused of it: a concluded delivery is not tried again."""
    _write(_outcome(_record(state_dir, delivery.exchange, delivery.delivery_id)), {"refused": list(refused)})


def conclusion(state_dir: Path, exchange: str, delivery_id: str) -> list[str] | None:
    """What was refused of a concluded delivery; None for one that no run has concluded yet."""
    path = _outcome(_record(state_dir, exchange, delivery_id))
    return list(json.loads(path.read_text(encoding="utf-8"))["refused"]) if path.is_file() else None


def refused_deliveries(root: Path, state_dir: Path, exchange: str) -> list[tuple[InboxDelivery, list[str]]]:
    """Deliveries of which something was refused and whose files still lie in the inbox unchanged, oldest first."""
    found = []
    for path in sorted((state_dir / "deliveries" / exchange).glob("*.outcome")):
        delivery = load_delivery(state_dir, exchange, path.stem)
        refused = conclusion(state_dir, exchange, path.stem)
        if delivery is not None and refused and confirm(root, delivery)[0]:
            found.append((delivery, refused))
    return sorted(found, key=lambda entry: (entry[0].found_at, entry[0].delivery_id))


def _claimed(source: Source, folder: Path, file: InboxFile) -> InboxFile:
    if file.fault is not None:
        return file
    if is_options_file(file.name):
        try:
            read_options(folder / file.name, source.name)
        except UserFileError as error:
            return replace(file, fault=f"{error} (files that it stands for wait until it is put right)")
        return file
    try:
        claimed = claims_file(source, delivered_name(folder / file.name, follow=False))
    except SourceError as error:
        return replace(file, fault=str(error))
    return file if claimed else replace(file, fault=f"has a name that the source {source.name} does not read")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not is_unfinished(name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _record(state_dir: Path, exchange: str, delivery_id: str) -> Path:
    return state_dir / "deliveries" / exchange / f"{delivery_id}.json"


def _outcome(record: Path) -> Path:
    return record.with_suffix(".outcome")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    os.replace(temporary, path)
