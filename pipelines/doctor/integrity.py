"""Checks of the lake's files: what the release shows, what came since, raw files.

Lives here: judging whether every table is there and is what marketlake wrote.
Does not live here: comparing (`storage/integrity.py`, `storage/release_integrity.py`), putting it right (`marketlake repair`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pipelines.doctor.model import Finding
from pipelines.indicators.tables import home_tables
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.integrity import describe_damage
from pipelines.storage.location import Lake
from pipelines.storage.raw import damaged_raw_files
from pipelines.storage.release_integrity import damaged_tables
from pipelines.storage.releases import Release

_ADVICE = "run `marketlake repair`, which says what it can bring back; else restore the files from a backup"
#: Raw files that one finding names.
_SHOWN = 5


def check_lake_files(lake: Lake, last: Release | None, mics: Collection[str], *, deep: bool) -> Iterator[Finding]:
    """A finding for each table that is not whole, of the release and as it is now; one that all is well otherwise.

    Missing files and files of another size; `deep`: every file, raw ones too, is read and compared with its checksum.
    """
    # Not those of the home's own file, which may be broken: which indicators are its columns is no matter here.
    schemas = {name: schema for name, schema in {**TABLES, **home_tables(None)}.items() if name != "releases"}
    found = dict.fromkeys(damaged_tables(lake, last, schemas, deep=deep)) if last else {}
    for mic in mics:
        for name, schema in schemas.items():
            table = LakeTable(lake.table_uri(mic, name), schema)
            try:
                head = table.own_version()
                # What the release shows was looked at already.
                if head is None or (last and last.versions(mic).get(name) == head):
                    continue
                if damages := table.find_damage(head, deep=deep):
                    found[describe_damage(f"{mic}/{name}", damages)] = None
            except DamagedTableError as error:
                found[str(error)] = None
    yield from (Finding("lake", "error", message, _ADVICE) for message in found)
    if not found:
        how = "every file has the content that was written" if deep else "every file is there, in its size"
        yield Finding("lake", "ok", how if deep else f"{how}; --deep reads them")
    if deep:
        yield from _check_raw(lake, mics)


def _check_raw(lake: Lake, mics: Collection[str]) -> Iterator[Finding]:
    for mic in mics:
        damaged = damaged_raw_files(lake, mic)
        if not damaged:
            yield Finding(f"raw files {mic}", "ok", "every file has the content that was received")
            continue
        more = f" and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
        message = f"kept copies that are missing or changed: {', '.join(damaged[:_SHOWN])}{more}"
        advice = "ingest the vendor's file again, which stores the copy anew, or restore it from a backup"
        yield Finding(f"raw files {mic}", "error", message, advice)
