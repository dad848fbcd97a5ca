"""What a build verifies of the lake before it computes anything.

Lives here: that the tables of the last release are there and have no commit of others, and that the files which a plan's models
read are as they were written.
Does not live here: comparing one file (`storage/integrity.py`), what rows are read through `LakeTable.read`, which compares them
itself; the models' rows come through DuckDB, which does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from pipelines.build.derived_tables import derived_schemas, partition_values
from pipelines.build.plan import INPUTS, BuildPlan
from pipelines.build.replacement_windows import looked_at, touched_sessions
from pipelines.indicators.tables import home_tables
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.errors import WAY_OUT, DamagedTableError
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release

#: How far back of the window models look into daily tables: a year of sessions, and what makes a year of them complete.
_DAILY_REACH = timedelta(days=400)


def require_tables(lake: Lake, exchange: str, last: Release | None) -> tuple[Release | None, bool]:
    """The last release as it can be read, and whether a repair came after it: then nothing built stands as that release holds it.

    Of a table that was repaired since, the version of the repair takes the place of the released one. Raises DamagedTableError
    where a table of the release is gone or ends before the released version, ForeignCommitError where the newest version of a
    table is not marketlake's.
    """
    readable = dict(last.versions(exchange)) if last else {}
    for name, schema in {**TABLES, **home_tables(lake.indicators)}.items():
        if name == "releases":
            continue
        table = LakeTable(lake.table_uri(exchange, name), schema)
        head, known = table.own_version(), readable.get(name)
        if known is None:
            continue
        if head is None or head < known:
            found = "is gone" if head is None else f"ends with version {head}"
            raise DamagedTableError(f"{exchange}/{name} {found}, and the latest release holds version {known} of it: {WAY_OUT}")
        if (repaired := table.repaired_since(known)) is not None:
            readable[name] = repaired
    if last is None or readable == last.versions(exchange):
        return last, False
    return replace(last, table_versions={**last.table_versions, exchange: readable}), True


def require_intact_inputs(lake: Lake, plan: BuildPlan, derived_versions: Mapping[str, int], records: Mapping[str, int]) -> int:
    """Compare the files that a plan's models read with their checksums; returns how many. Raises DamagedTableError.

    derived_versions, records: as of `database.prepare_build`. An empty plan reads nothing.
    """
    if plan.is_empty:
        return 0
    schemas = {**{name: TABLES[name] for name in INPUTS}, **derived_schemas(lake.indicators)}
    versions = {**({} if plan.full else derived_versions), **plan.inputs}
    if "scanner_signals" in records:
        versions["scanner_signals"] = records["scanner_signals"]
    count = 0
    for name, version in versions.items():
        if name not in schemas:
            continue
        table = LakeTable(lake.table_uri(plan.exchange, name), schemas[name])
        partitions = None if plan.full else _partitions(plan, schemas[name])
        count += table.require_intact(version, partitions)
    return count


def _partitions(plan: BuildPlan, schema: TableSchema) -> Sequence[PartitionValue] | None:
    """Partitions of a table that the models may read: of a table by session the window and 20 sessions about it, else its years."""
    if schema.partition_by is None:
        return None
    sessions = looked_at(plan)
    if schema.partition_by == "session_date":
        return list(sessions)
    touched = touched_sessions(plan)
    return list(range((touched[0] - _DAILY_REACH).year, touched[-1].year + 1)) if touched else partition_values(schema, sessions)
