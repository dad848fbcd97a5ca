"""The yml of models whose columns are a table schema, made from that schema.

Lives here: one yml per staging model, indicator table and mart, with descriptions, types and the tests that follow from the key.
Does not live here: the yml of scanners (`scanners/model_columns.py`) and of schema `scan`, which people write; that of the sources
(`build/source_docs.py`); writing files (`cli/generate.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.indicators.tables import INDICATOR_TABLE_NAMES
from pipelines.market.schema import Column, TableSchema
from pipelines.market.tables.quality import PRICE_FLAG_KINDS
from pipelines.storage.relations import sql_type

#: The first line of every yml that is made from schemas.
HEADER = "# Written by `make generate` from the schemas in pipelines/market/tables; edit those.\n"


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


def model_docs(tables: Mapping[str, TableSchema]) -> Iterator[ModelDoc]:
    """Every yml that follows from a schema. tables: the lake's, those of the built-in indicators among them."""
    for name, left_out in _STAGING.items():
        table = tables[name]
        columns = tuple(c for c in table.names if c not in left_out)
        yield ModelDoc("staging", f"stg_{name}", table, columns, tested=False)
    for name in INDICATOR_TABLE_NAMES:
        yield ModelDoc("indicators", name, tables[name], tuple(tables[name].names), enforced=False, follows_lake=True)
    # Python models: dbt enforces contracts on SQL only.
    for name in ("intraday_curves", "intraday_profiles"):
        yield ModelDoc("indicators", name, tables[name], tuple(tables[name].names), enforced=False)
    for name, extra in _MARTS.items():
        yield ModelDoc("marts", name, tables[name], tuple(tables[name].names), extra=extra)


def render(doc: ModelDoc) -> str:
    """The text of one yml."""
    model: dict[str, Any] = {"name": doc.model, "description": doc.table.description}
    if doc.enforced:
        model["config"] = {"contract": {"enforced": True}}
    if doc.tested:
        required = [c for c in doc.columns if not doc.table.column(c).nullable]
        model["data_tests"] = [
            {"unique_combination": {"name": "key_is_unique", "arguments": {"columns": list(doc.table.key)}}},
            {"no_nulls": {"name": "required_columns_are_filled", "arguments": {"columns": required}}},
        ]
    if doc.follows_lake:
        model["data_tests"].append(
            {"same_columns": {"name": "columns_are_the_lake_tables", "arguments": {"table_name": doc.model}}}
        )
    model["columns"] = [_column(doc, name) for name in doc.columns]
    return yml_text({"models": [model]})


def yml_text(content: Mapping[str, Any]) -> str:
    """The text of a yml that is made from schemas."""
    import yaml  # comes with dbt

    return HEADER + yaml.safe_dump(dict(content), sort_keys=False, width=130, allow_unicode=True)


def inline_yml(text: str) -> str:
    """A text as it stands in a line of yml: in quotes where it needs them."""
    import yaml  # comes with dbt

    line: str = yaml.safe_dump({"text": text}, width=10_000, allow_unicode=True)
    return line.removeprefix("text: ").rstrip("\n")


def path_of(doc: ModelDoc) -> Path:
    """Where the yml of a model lies in the dbt project."""
    return Path("models") / doc.folder / f"{doc.model}.yml"


def column_entry(column: Column) -> dict[str, Any]:
    """A column of a yml: its name, type and meaning."""
    return {"name": column.name, "data_type": sql_type(column.type).lower(), "description": column.comment}


def _column(doc: ModelDoc, name: str) -> dict[str, Any]:
    entry = column_entry(doc.table.column(name))
    if name in doc.extra:
        entry["data_tests"] = [
            {kind: {"name": f"{name}_{_NAMED[kind]}", **test}} for each in doc.extra[name] for kind, test in each.items()
        ]
    return entry


#: What a test of one column is called after the column: the name of its check in Dagster, where dbt's own would list its arguments.
_NAMED = {"within": "is_in_range", "accepted_values": "is_an_accepted_value", "not_before": "is_in_order"}

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
