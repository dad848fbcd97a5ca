"""Staging an order so that what its gates refuse stays out and the rest goes on.

Lives here: judging all staged tables of an order together, and staging it again without the sessions that are refused.
Does not live here: what a suite says of one table (`gate.py`), the check that records a pass (`publish.py::run_gate`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.ingest.batches import batch_rows, stage_content, staged_tables
from pipelines.ingest.gate import ValidationResult, refused_parts
from pipelines.ingest.parsing import parse_deliveries
from pipelines.ingest.publish import kept_rows, note_nothing_withheld, validate_staged, withheld_in
from pipelines.ingest.quarantine import quarantine_rows, store_quarantine
from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.suites import Suite, run_suite
from pipelines.ingest.withheld import SIGHTED, withheld_sessions
from pipelines.market.tables import BAR_TABLES
from pipelines.sources.limits import Limits
from pipelines.sources.protocol import Source
from pipelines.storage.location import Lake
from pipelines.storage.row_parts import RowParts, scratch_folder


@dataclass(frozen=True)
class Finding:
    """What a gate says of a staged table, in figures: sessions judged, refused and withheld, expectations, and those that failed
    (expectation, severity, unexpected, sample).
    """

    description: str
    sessions: int
    sessions_refused: int
    sessions_withheld: int
    expectations: int
    suite_hash: str
    failed: list[dict[str, Any]]


def describe_finding(validation: ValidationResult) -> Finding:
    """The figures of a validation."""
    return Finding(
        validation.describe(),
        len(validation.sessions),
        len(validation.refused),
        len({w.session for w in validation.withheld}),
        len(validation.judgements),
        validation.suite_hash,
        [
            {"expectation": j.name, "severity": j.severity, "unexpected": j.unexpected, "sample": j.sample}
            for j in validation.judgements
            if not j.success
        ],
    )


def judge_tables(
    lake: Lake, exchange: str, staged: Mapping[str, RowParts], suite: Suite = run_suite
) -> dict[str, ValidationResult]:
    """What the suites say of an order's staged tables, with what the refusals of one hold back in the others. Writes nothing."""
    validations: dict[str, ValidationResult] = {}
    for table, rows in staged.items():
        daily = staged["bars_daily"].frame() if table == "bars_1m" else None
        validations[table] = validate_staged(lake, exchange, table, rows, daily, suite)
    concerned = {table: validations[table].refused for table in (*SIGHTED, *BAR_TABLES)}
    withheld = withheld_sessions(concerned, staged)
    for table, rows in staged.items():
        validations[table] = replace(validations[table], withheld=withheld_in(table, rows, withheld))
    return validations


def stage_judged(
    lake: Lake,
    order: IngestRequest,
    sources: Mapping[str, Source],
    state_dir: Path,
    limits: Limits,
    suite: Suite = run_suite,
) -> Path:
    """Parse an order once and stage it; where gates refuse sessions of it, keep their rows in quarantine and stage the rest.

    Returns the order's folder. No pass is recorded: that is left to the gate's checks, which judge what is staged in the end. They
    refuse it too where the rest is no more sound than the whole was.
    """
    with scratch_folder(state_dir / "staged" / order.exchange / ".scratch") as scratch:
        content = parse_deliveries(lake, order, sources, limits=limits, scratch=scratch)
        folder = stage_content(lake, order, sources, state_dir, content)
        staged = {table: batch_rows(folder, table) for table in staged_tables(folder)}
        validations = judge_tables(lake, order.exchange, staged, suite)
        stopped = {table: found for table, found in validations.items() if found.refused or found.withheld}
        if not stopped:
            note_nothing_withheld(folder)
            return folder
        for table, found in stopped.items():
            kept = kept_rows(found, refused_parts(found, staged[table]))
            if kept.height:
                store_quarantine(lake, order.exchange, quarantine_rows(order.exchange, table, kept))
        refusals = {table: asdict(describe_finding(found)) for table, found in stopped.items()}
        return stage_content(lake, order, sources, state_dir, content, refusals)
