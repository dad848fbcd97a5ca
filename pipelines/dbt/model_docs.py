"""The yml of models whose columns are a table schema, written from that schema: `python -m pipelines.dbt.model_docs`.

Lives here: one yml per staging model, indicator table and mart, with descriptions, types and the tests that follow from the key.
Does not live here: the yml of scanners and of schema `scan`, which people write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.indicators.registry import REGISTRY
from pipelines.indicators.tables import indicator_tables
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.market.tables.quality import PRICE_FLAG_KINDS
from pipelines.package_data import shipped
from pipelines.storage.relations import sql_type

_HEADER = "# Written by `python -m pipelines.dbt.model_docs` from the table schemas; edit those.\n"


@dataclass(frozen=True)
class ModelDoc:
    """One yml to write: a model, the schema it follows, and what a key does not say.

    enforced: whether dbt refuses other columns. follows_lake: plug-ins and chosen indicators widen the table, so a test compares
    its columns with those of the lake table at hand instead. tested: whether key and required columns are tested (staging is not:
    the gate tested those rows before they were let into the lake). extra: further data tests by column.
    """

    folder: str
    model: str
    table: TableSchema
    columns: tuple[str, ...]
    enforced: bool = True
    follows_lake: bool = False
    tested: bool = True
    extra: Mapping[str, list[Any]] = field(default_factory=dict)


def model_docs() -> Iterator[ModelDoc]:
    """Every yml that follows from a schema."""
    for name, left_out in _STAGING.items():
        table = TABLES[name]
        columns = tuple(c for c in table.names if c not in left_out)
        yield ModelDoc("staging", f"stg_{name}", table, columns, tested=False)
    # What an installation or a home adds is not written into files that ship with the code.
    for name, table in indicator_tables(REGISTRY).items():
        yield ModelDoc("indicators", name, table, tuple(table.names), enforced=False, follows_lake=True)
    # Python models: dbt enforces contracts on SQL only.
    for name in ("intraday_curves", "intraday_profiles"):
        yield ModelDoc("indicators", name, TABLES[name], tuple(TABLES[name].names), enforced=False)
    for name, extra in _MARTS.items():
        yield ModelDoc("marts", name, TABLES[name], tuple(TABLES[name].names), extra=extra)


def render(doc: ModelDoc) -> str:
    """The text of one yml."""
    import yaml  # comes with dbt

    model: dict[str, Any] = {"name": doc.model, "description": doc.table.description}
    if doc.enforced:
        model["config"] = {"contract": {"enforced": True}}
    if doc.tested:
        required = [c for c in doc.columns if not doc.table.column(c).nullable]
        model["data_tests"] = [
            {"unique_combination": {"arguments": {"columns": list(doc.table.key)}}},
            {"no_nulls": {"arguments": {"columns": required}}},
        ]
    if doc.follows_lake:
        model["data_tests"].append({"same_columns": {"arguments": {"table_name": doc.model}}})
    model["columns"] = [_column(doc, name) for name in doc.columns]
    return _HEADER + yaml.safe_dump({"models": [model]}, sort_keys=False, width=130, allow_unicode=True)


def path_of(doc: ModelDoc, project: Path) -> Path:
    """Where the yml of a model lies in the dbt project."""
    return project / "models" / doc.folder / f"{doc.model}.yml"


def _column(doc: ModelDoc, name: str) -> dict[str, Any]:
    column = doc.table.column(name)
    unit = f" [{column.unit}]" if column.unit else ""
    entry: dict[str, Any] = {
        "name": name,
        "data_type": sql_type(column.type).lower(),
        "description": column.description + unit,
    }
    if name in doc.extra:
        entry["data_tests"] = doc.extra[name]
    return entry


_PROVENANCE = {"source", "batch_id", "row_number", "session_year"}
_STAGING: Mapping[str, set[str]] = {
    "bars_daily": {*_PROVENANCE, "trades", "delivery_qty"},
    "bars_1m": _PROVENANCE,
    "corporate_actions": {*_PROVENANCE, "amount", "successor_id"},
    "instruments": {*_PROVENANCE, "isin", "name", "sector", "lot_size", "is_active", "known_at"},
    "instrument_aliases": {*_PROVENANCE, "known_at"},
    "sessions": {"windows", "status"},
}


def _within(low: float, high: float) -> dict[str, Any]:
    return {"within": {"arguments": {"low": low, "high": high}}}


_MARTS: Mapping[str, Mapping[str, list[Any]]] = {
    "scanner_signals": {
        "signal_type": [{"accepted_values": {"arguments": {"values": ["BUY", "SELL"]}}}],
        "confidence_score": [_within(0, 1)],
        "known_at": [{"not_before": {"arguments": {"other": "ts"}}}],
    },
    "scanner_runs": {
        "coverage_pct": [_within(0, 100)],
        "status": [{"accepted_values": {"arguments": {"values": ["complete", "partial", "withheld"]}}}],
    },
    "market_regime": {
        "regime": [{"accepted_values": {"arguments": {"values": ["trend", "range", "volatile"]}}}],
    },
    "confluence": {
        "signal_type": [{"accepted_values": {"arguments": {"values": ["BUY", "SELL"]}}}],
        "combined_score": [_within(0, 1)],
    },
    "price_flags": {
        "flag": [{"accepted_values": {"arguments": {"values": list(PRICE_FLAG_KINDS)}}}],
    },
    "minute_reconciliation": {},
    "data_quality_metrics": {"data_quality_score": [_within(0, 1)], "missing_data_pct": [_within(0, 100)]},
}


def main() -> None:
    """Write every yml into the dbt project of this checkout."""
    project = shipped("dbt_project")
    for doc in model_docs():
        path_of(doc, project).write_text(render(doc), encoding="utf-8")
        sys.stdout.write(f"{path_of(doc, project).relative_to(project)}\n")


if __name__ == "__main__":
    main()
