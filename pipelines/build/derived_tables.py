"""The tables that dbt builds and the lake keeps.

Lives here: `DERIVED`, their schemas in a home, and their versions and partitions.
Does not live here: their columns (`market/tables`, `indicators/tables.py`), what a build replaces of them
(`replacement_windows.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipelines.build import replacement_windows
from pipelines.build.replacement_windows import ReplacementStrategy
from pipelines.indicators.tables import INDICATOR_TABLE_NAMES, home_tables
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake


@dataclass(frozen=True)
class Derived:
    """A table that dbt builds and the lake keeps: the relation it comes from, and what a build replaces of it."""

    relation: str
    replaced: ReplacementStrategy


#: Every derived table by name, in the order in which they are committed.
DERIVED: dict[str, Derived] = {
    name: Derived(f"{folder}.{name}", replaced)
    for folder, name, replaced in (
        *(("indicators", name, replacement_windows.replace_indicators) for name in INDICATOR_TABLE_NAMES),
        ("indicators", "intraday_curves", replacement_windows.replace_curves),
        ("indicators", "intraday_profiles", replacement_windows.replace_profiles),
        ("marts", "scanner_signals", replacement_windows.scanned),
        ("marts", "scanner_runs", replacement_windows.replace_nightly_scans),
        ("marts", "market_regime", replacement_windows.scanned),
        ("marts", "confluence", replacement_windows.scanned),
        ("marts", "data_quality_metrics", replacement_windows.replace_quality_metrics),
        ("marts", "price_flags", replacement_windows.daily),
        ("marts", "minute_reconciliation", replacement_windows.replace_reconciliation),
    )
}


def derived_schemas(indicators: Path | None) -> dict[str, TableSchema]:
    """The schemas of `DERIVED` in a home whose file of chosen indicators this is (`Lake.indicators`)."""
    tables = {**TABLES, **home_tables(indicators)}
    return {name: tables[name] for name in DERIVED}


def versions_of(lake: Lake, exchange: str, schemas: Mapping[str, TableSchema]) -> dict[str, int]:
    """Latest version of each of an exchange's tables that exists."""
    found = {name: LakeTable(lake.table_uri(exchange, name), schema).version() for name, schema in schemas.items()}
    return {name: version for name, version in found.items() if version is not None}


def partition_values(schema: TableSchema, days: Collection[date]) -> list[PartitionValue]:
    """Partitions of a derived table that these days lie in."""
    return sorted({d.year for d in days}) if schema.partition_by == "session_year" else sorted(days)
