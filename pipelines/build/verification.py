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

from pipelines.build.derived_tables import derived_schemas
from pipelines.build.plan import INPUTS, BuildPlan
from pipelines.build.replacement_windows import looked_at, touched_sessions
from pipelines.indicators.registry import home_registry
from pipelines.indicators.tables import home_tables
from pipelines.indicators.window_reads import sessions_behind
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.errors import WAY_OUT, DamagedTableError
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release

#: Tables of replaced rows of the inputs, which a build reads as they are now.
_REPLACED_INPUTS = ("bars_daily_superseded", "bars_1m_superseded", "corporate_actions_superseded")
#: Lake tables that models read. Rows of other derived tables come through `LakeTable`, where a build compares them with its own.
READ_BY_MODELS = (
    *INPUTS,
    *_REPLACED_INPUTS,
    *("indicators_daily", "indicator_state_daily", "indicator_state_1m", "intraday_curves", "intraday_profiles"),
    *("scanner_signals", "scanner_signals_superseded"),
)
#: Tables of which the sessions about a window are read.
_LOOKED_AROUND = ("intraday_curves", "intraday_profiles")
#: How far back of the window models look into daily tables: a year of sessions, and what makes a year of them complete.
_DAILY_REACH = timedelta(days=400)
#: Days that hold the sessions before a window in which the tails of its minutes lie.
_MINUTE_REACH = timedelta(days=60)


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
    schemas = {**TABLES, **derived_schemas(lake.indicators)}
    versions = {**({} if plan.full else derived_versions), **plan.inputs}
    versions |= {name: records[name] for name in ("scanner_signals", "scanner_signals_superseded") if name in records}
    count = 0
    for name in READ_BY_MODELS:
        table = LakeTable(lake.table_uri(plan.exchange, name), schemas[name])
        version = table.version() if name in _REPLACED_INPUTS else versions.get(name)
        if version is not None:
            count += table.require_intact(version, None if plan.full else _partitions(lake, plan, schemas[name]))
    return count


def _partitions(lake: Lake, plan: BuildPlan, schema: TableSchema) -> Sequence[PartitionValue] | None:
    """Partitions of a table that the models read as a rule, so that a night compares no history: that of an instrument which was
    rarely traded, or whose restatement opens the walk earlier, is read further back.
    """
    if schema.partition_by is None:
        return None
    touched = touched_sessions(plan)
    if not touched:
        return []
    if schema.partition_by != "session_date":
        return list(range((touched[0] - _DAILY_REACH).year, touched[-1].year + 1))
    if schema.name in _LOOKED_AROUND:
        return list(looked_at(plan))
    calendar = plan.calendar
    per_session = max((session.bars_expected for session in calendar.sessions), default=1)
    behind = sessions_behind(home_registry(lake.indicators).lookback(), per_session)
    before = [session.session_date for session in calendar.between(touched[0] - _MINUTE_REACH, touched[0])]
    return sorted({*[day for day in before if day < touched[0]][-behind:], *touched})
