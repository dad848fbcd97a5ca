"""Putting a damaged lake right: what can be copied, taken back, ingested again from raw files, or built again.

Lives here: `repair_exchange` and `repair_releases`: which table is put right by what, and what was done, a sentence each.
Does not live here: the changes of one table (`table_repair.py`), ingesting again (`replay.py`), the build that follows
(`marketlake nightly --full`, which the command runs).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb
import polars as pl

from pipelines.build.derived_tables import DERIVED
from pipelines.indicators.tables import home_tables
from pipelines.maintenance.replay import replay
from pipelines.maintenance.table_repair import (
    TableFault,
    adopt_table,
    copy_twins,
    earlier_rows,
    find_fault,
    note_repair,
    replace_partitions,
    restart_log,
    take_back_foreign,
)
from pipelines.market.tables import TABLES
from pipelines.market.tables.operations import RAW_FILES, RELEASES
from pipelines.sources.limits import Limits
from pipelines.storage.delta import LakeTable, PartitionValue, empty_frame
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.integrity import Damage
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release

_BACKTESTS = ("backtest_runs", "backtest_trades", "backtest_equity", "backtest_verdicts")
#: Tables that a full build makes again, beside those that dbt builds.
_BUILT_BESIDE = (*_BACKTESTS, "risk_var", "signal_outcomes", "scanner_performance", "sessions")
#: Built tables whose rows stay as they were issued: an earlier version's are put back first.
_RECORDS = ("scanner_signals", "scanner_runs")
#: Tables that no file and no build gives again.
_IRREPLACEABLE = ("scanner_signals_superseded", "signals_live", "bars_1m_live", "backtest_trials", "backtest_trial_months")


@dataclass
class Repaired:
    """What a repair did (`done`), what it could not bring back (`lost`), and whether a full build has to follow."""

    done: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    needs_build: bool = False
    #: Damaged files that a build may make again with the same content.
    awaited: list[Damage] = field(default_factory=list)


def repair_releases(lake: Lake, catalogues: Path) -> Repaired:
    """Put the register of releases right, from the newest of the published catalogues, each of which holds all before it."""
    report, table = Repaired(), LakeTable(lake.uri(RELEASES.name), RELEASES)
    newest = _newest_catalogue(catalogues)
    known = _released_in(newest) if newest else empty_frame(RELEASES)
    fault = find_fault(table, None)
    if fault is None:
        stored = table.read()
        if known.height <= stored.height:
            return report
        head = table.version()
        fault = TableFault(table, "log", head, max(head or 0, known.height))
    if fault.fault == "foreign":
        version, count = take_back_foreign(table)
        report.done.append(f"releases: {count} commits of other programs taken back, to version {version}")
        return report
    kept = earlier_rows(fault, None)
    rows = pl.concat([known, *([kept] if kept is not None else [])]).unique("release_id", keep="first").sort("sequence")
    if rows.is_empty():
        report.lost.append("releases: no catalogue is left that tells of them; the next nightly run begins anew")
        return report
    restart_log(fault, rows)
    report.done.append(
        f"releases: {rows.height} releases put back on record, from {newest.name if newest else 'an earlier version'}"
    )
    return report


def repair_exchange(lake: Lake, exchange: str, last: Release | None, state_dir: Path, limits: Limits) -> Repaired:
    """Put right what is wrong with an exchange's tables. Reads every file of their newest versions.

    Tables that a build makes are emptied where they were damaged; the caller runs a full build when `needs_build`.
    """
    report = Repaired()
    faults = _find_faults(lake, exchange, last, report)
    from_files = [fault for fault in faults if fault.table.schema.name in _ingested()]
    for fault in faults:
        if fault not in from_files:
            _empty_for_build(exchange, fault, report)
    if from_files:
        _bring_back_ingested(lake, exchange, from_files, state_dir, limits, report)
    return report


def copy_built_again(report: Repaired) -> None:
    """After the build: bring back files of earlier versions, of which it has made others with the same content."""
    left = copy_twins(report.awaited)
    if back := len(report.awaited) - len(left):
        report.done.append(
            f"{back} damaged files brought back from what was built: earlier releases that hold them can be read again"
        )
    for table in dict.fromkeys(damage.table for damage in left):
        names = [damage.file.name for damage in left if damage.table == table]
        report.done.append(
            f"{table}: built again with other content or other code; earlier releases still miss {', '.join(names[:3])}"
        )
    report.awaited = []


def _find_faults(lake: Lake, exchange: str, last: Release | None, report: Repaired) -> list[TableFault]:
    """Faults that are left once foreign commits were taken back and files with twins copied."""
    faults: list[TableFault] = []
    released = last.versions(exchange) if last else {}
    for name, schema in {**TABLES, **home_tables(lake.indicators)}.items():
        if name == RELEASES.name:
            continue
        table = LakeTable(lake.table_uri(exchange, name), schema)
        fault = find_fault(table, released.get(name))
        if fault is not None and fault.fault == "foreign":
            back_to, count = take_back_foreign(table)
            what = "commit of another program" if count == 1 else "commits of other programs"
            report.done.append(f"{exchange}/{name}: {count} {what} taken back; it holds what version {back_to} held")
            # No release may pin what it holds now under the number of the foreign version.
            fault = find_fault(table, None)
        if fault is not None and fault.fault == "files":
            left = copy_twins(fault.damages)
            if len(left) < len(fault.damages):
                report.done.append(
                    f"{exchange}/{name}: {len(fault.damages) - len(left)} files copied from others of the same content"
                )
            fault = TableFault(table, "files", fault.head, fault.last, tuple(left)) if left else None
        if fault is not None:
            faults.append(fault)
            continue
        version: int | None = released.get(name)
        if version is None or version == table.version() or table.repaired_since(version) is not None:
            continue
        if left := copy_twins(table.find_damage(version, deep=True)):
            # The build compares with what was released: it shall not, and build all instead.
            note_repair(table, "released version")
            report.needs_build = True
            report.awaited += left
            report.done.append(f"{exchange}/{name}: {len(left)} damaged files in its released version; its newest one is whole")
    return faults


def _empty_for_build(exchange: str, fault: TableFault, report: Repaired) -> None:
    """Leave a built table without its damaged parts; of records and of what nothing makes again, as an earlier version had them."""
    name = fault.table.schema.name
    earlier = earlier_rows(fault, fault.partitions) if name in (*_RECORDS, *_IRREPLACEABLE) else None
    rows = empty_frame(fault.table.schema) if earlier is None else earlier
    if fault.fault == "files":
        by = str(fault.table.schema.partition_by)
        replace_partitions(
            fault.table, lambda part: rows if part is None else rows.filter(pl.col(by).is_in(part)), fault.partitions
        )
    else:
        restart_log(fault, rows)
    if name in _IRREPLACEABLE:
        kept = f"{rows.height:,} rows of an earlier version were put back" if rows.height else "nothing of it could be put back"
        report.lost.append(f"{exchange}/{name}: {_describe(fault)}; no file and no build gives its rows again; {kept}")
        return
    report.needs_build = True
    report.awaited += fault.damages
    report.done.append(f"{exchange}/{name}: {_describe(fault)}; it is built again")


def _bring_back_ingested(
    lake: Lake, exchange: str, faults: list[TableFault], state_dir: Path, limits: Limits, report: Repaired
) -> None:
    register = _register(lake, exchange, faults, state_dir)
    folder = state_dir / "repair" / exchange
    replayed = replay(lake, exchange, register, folder, limits)
    report.done.append(f"{exchange}: {register.height} deliveries ingested again beside the lake, from the raw files")
    report.lost += [
        f"{exchange}: the raw file of {name} is missing or changed; ask the vendor for it again" for name in replayed.lost
    ]
    report.needs_build = True
    for fault in faults:
        name = fault.table.schema.name
        beside = LakeTable(replayed.lake.table_uri(exchange, name), fault.table.schema)
        if fault.fault == "files":
            count = replace_partitions(fault.table, partial(_read_part, beside), fault.partitions)
        else:
            adopt_table(fault, beside)
            count = beside.row_count()
        left = copy_twins(fault.damages)
        proof = ""
        if fault.damages:
            proof = ", equal to what was written by its checksum" if not left else "; not every file is equal to the lost one"
        report.done.append(f"{exchange}/{name}: {_describe(fault)}; {count:,} rows brought back from the raw files{proof}")


def _read_part(table: LakeTable, partitions: Sequence[PartitionValue] | None) -> pl.DataFrame:
    return table.read(partitions=partitions)


def _describe(fault: TableFault) -> str:
    if fault.fault == "files":
        return f"{len(fault.damages)} damaged {'file' if len(fault.damages) == 1 else 'files'}"
    return "its folder was gone" if fault.fault == "gone" else f"its log could not be followed to version {fault.last}"


def _register(lake: Lake, exchange: str, faults: list[TableFault], state_dir: Path) -> pl.DataFrame:
    """The register of deliveries; where it is damaged itself, what an earlier version and the requests on record hold of it."""
    mine = next((fault for fault in faults if fault.table.schema.name == RAW_FILES.name), None)
    if mine is None:
        return LakeTable(lake.table_uri(exchange, RAW_FILES.name), RAW_FILES).read()
    kept = earlier_rows(mine, None)
    rows = [kept] if kept is not None else []
    types = dict(empty_frame(RAW_FILES).schema)
    for path in sorted((state_dir / "orders").glob("*.json")):
        content: Mapping[str, list[dict[str, object]]] = json.loads(path.read_text(encoding="utf-8"))
        found = pl.DataFrame([d for d in content["deliveries"] if d["exchange"] == exchange])
        if found.height:
            moment = pl.col("received_at").str.to_datetime(time_zone="UTC")
            whole = found.with_columns(moment, status=pl.lit("accepted"), rows_read=pl.lit(0, pl.Int64))
            missing = [pl.lit(None, kind).alias(name) for name, kind in types.items() if name not in whole.columns]
            rows.append(whole.with_columns(missing).select(RAW_FILES.names).cast(types))  # type: ignore[arg-type]
    if not rows:
        raise DamagedTableError(f"{exchange}/{RAW_FILES.name} is lost: ingest the vendor's files again, or restore a backup")
    return pl.concat(rows).unique("batch_id", keep="first").sort("received_at", "name")


def _ingested() -> set[str]:
    built = {*DERIVED, *_BUILT_BESIDE, *_IRREPLACEABLE, RELEASES.name}
    return TABLES.keys() - built


def _newest_catalogue(folder: Path) -> Path | None:
    return max(folder.glob("r*.duckdb"), default=None)


def _released_in(catalogue: Path) -> pl.DataFrame:
    types = dict(empty_frame(RELEASES).schema)
    with duckdb.connect(str(catalogue), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.sql("SELECT * FROM releases").pl().select(RELEASES.names).cast(types)
