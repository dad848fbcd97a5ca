"""Every table that a lake may have, as maintenance goes through them.

Lives here: `list_tables`.
Does not live here: what is done to them (`expiry.py`, `compaction.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.indicators.tables import home_tables
from pipelines.market.tables import TABLES
from pipelines.market.tables.operations import RELEASES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake


def list_tables(lake: Lake, exchanges: Iterable[str]) -> dict[tuple[str, str], LakeTable]:
    """Tables of these exchanges and the register of releases, there or not, by exchange (none: empty) and name."""
    found = {("", RELEASES.name): LakeTable(lake.uri(RELEASES.name), RELEASES)}
    for mic in exchanges:
        for name, schema in {**TABLES, **home_tables(lake.indicators)}.items():
            if name != RELEASES.name:
                found[mic, name] = LakeTable(lake.table_uri(mic, name), schema)
    return dict(sorted(found.items()))
