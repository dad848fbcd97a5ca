"""The GX suites: which file judges a table, and what its expectations find in the profile of a batch.

Lives here: `run_suite`, where a suite's file is, its hash, and the columns in it, which follow the table's schema.
Does not live here: what a failed expectation refuses (`gate.py`), the profile (`quality/profile.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.deferred_import import defer_import
from pipelines.market.schema import TableSchema
from pipelines.market.tables.profiles import profile_schema
from pipelines.package_data import shipped

_SAMPLES = 5
#: The expectation that names the columns.
_COLUMNS = "profile_has_its_columns"


@dataclass(frozen=True)
class ExpectationResult:
    """One expectation's result. `sessions` are those with unexpected rows, `failures` adds the instruments; empty on success."""

    name: str
    expectation: str
    severity: str
    success: bool
    unexpected: int
    sessions: tuple[date, ...]
    sample: str
    failures: tuple[tuple[date, str], ...] = ()


#: Judges a table's profile. The gate takes one, so that a test can put its own in the place of the shipped suites.
Suite = Callable[[str, pl.DataFrame], tuple[ExpectationResult, ...]]
#: Results that a process keeps: of a batch's tables, and of those of the batches before.
_KEPT = 64


def suite_path(table: str) -> Path:
    """The suite of a table."""
    return shipped("expectations") / f"{table}.json"


def suite_hash(table: str) -> str:
    """SHA-256 of the suite's file."""
    return hashlib.sha256(suite_path(table).read_bytes()).hexdigest()


def suite_text(table: TableSchema, written: str) -> str:
    """The file of a table's suite: its expectations as `written` by people, the columns of the profile as the schema gives them."""
    document = json.loads(written)
    expectation = {
        "type": "expect_table_columns_to_match_set",
        "kwargs": {"column_set": profile_schema(table).names, "exact_match": True},
        "severity": "critical",
        "meta": {"name": _COLUMNS, "why": "A missing figure would make the other expectations pass unseen."},
    }
    others = [each for each in document["expectations"] if each["meta"]["name"] != _COLUMNS]
    return json.dumps({**document, "expectations": [expectation, *others]}, indent=2) + "\n"


def asked_once(suite: Suite) -> Suite:
    """The same suite, asked once a process for the same figures: its result follows from them and from the suite's file alone.

    A batch is judged when it is staged, and by the gate that records its pass.
    """
    known: OrderedDict[tuple[str, str, str], tuple[ExpectationResult, ...]] = OrderedDict()

    def judge(table: str, figures: pl.DataFrame) -> tuple[ExpectationResult, ...]:
        content = BytesIO()
        figures.write_ipc(content)
        asked = (table, suite_hash(table), hashlib.sha256(content.getvalue()).hexdigest())
        if asked not in known:
            known[asked] = suite(table, figures)
        while len(known) > _KEPT:
            known.popitem(last=False)
        return known[asked]

    return judge


@asked_once
def run_suite(table: str, figures: pl.DataFrame) -> tuple[ExpectationResult, ...]:
    """What the shipped suite of a table finds in a profile. Great Expectations is imported here and nowhere else."""
    # A third of the time that importing GX takes, for expectations about distributions, which no suite has.
    defer_import("scipy.stats")
    import great_expectations as gx
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.analytics_enabled = False
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    suite = ExpectationSuite(**json.loads(suite_path(table).read_text(encoding="utf-8")))
    asset = context.data_sources.add_pandas("staged").add_dataframe_asset(table)
    batch = asset.add_batch_definition_whole_dataframe("profile").get_batch(
        batch_parameters={"dataframe": figures.with_columns(pl.col("session").cast(pl.String)).to_pandas()}
    )
    result = batch.validate(
        suite,
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["session", "instrument_id"]},
    )
    return tuple(_expectation_result(r) for r in result.results)


def _expectation_result(result: Any) -> ExpectationResult:
    config = result.expectation_config
    rows = result.result.get("unexpected_index_list") or []
    severity = getattr(config.severity, "value", str(config.severity or "critical"))
    error = (result.exception_info or {}).get("exception_message")
    shown = "; ".join(", ".join(f"{k}={v}" for k, v in row.items()) for row in rows[:_SAMPLES])
    observed = result.result.get("observed_value")
    failures = {(date.fromisoformat(str(row["session"])[:10]), str(row["instrument_id"])) for row in rows}
    return ExpectationResult(
        name=(config.meta or {}).get("name", config.type),
        expectation=config.type,
        severity=severity,
        success=bool(result.success),
        unexpected=int(result.result.get("unexpected_count") or len(rows)),
        sessions=tuple(sorted({day for day, _ in failures})),
        sample=error or shown or (f"observed {observed}" if observed is not None else ""),
        failures=tuple(sorted(failures)),
    )
