"""Whether everything that a release shows is there, and as it was written.

Lives here: `damaged_tables` of a release.
Does not live here: one table and one file (`delta.py`, `integrity.py`), putting a damage right (`pipelines/maintenance`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipelines.market.schema import TableSchema
from pipelines.storage.delta import LakeTable
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.integrity import describe_damage
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release


def damaged_tables(lake: Lake, release: Release, schemas: Mapping[str, TableSchema], *, deep: bool) -> Iterator[str]:
    """A line for each table of a release that is not whole: its log, missing files and files of another size.

    deep: every file is read and compared with its checksum besides.
    """
    for exchange, versions in sorted(release.table_versions.items()):
        for name in sorted(versions.keys() & schemas.keys()):
            table = LakeTable(lake.table_uri(exchange, name), schemas[name])
            try:
                damages = table.find_damage(versions[name], deep=deep)
            except DamagedTableError as error:
                yield str(error)
                continue
            if damages:
                yield describe_damage(f"{exchange}/{name}", damages)
