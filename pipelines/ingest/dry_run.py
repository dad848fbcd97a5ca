"""A trial of an order: what an ingest would do, and nothing written.

Lives here: `run_dry`, which stages, gates and merges as the ingest job does, and forgets the result.
Does not live here: the steps themselves (`staging.py`, `publish.py`, `storage/upsert.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from pipelines.ingest.accounting import Account, account_of, count_held, count_quarantined
from pipelines.ingest.gate import refused_parts
from pipelines.ingest.held_rows import refused_again, without_held
from pipelines.ingest.judging import judge_tables
from pipelines.ingest.parsing import Parsed, RawCopies, parse_deliveries
from pipelines.ingest.publish import warnings_of
from pipelines.ingest.quarantine import refused_before
from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.staged import Staged
from pipelines.ingest.staging import stage_parsed
from pipelines.market.tables import TABLES
from pipelines.quality.contract import check_contract
from pipelines.sources.limits import Limits
from pipelines.sources.protocol import Source
from pipelines.storage.location import Lake
from pipelines.storage.raw import Delivery
from pipelines.storage.row_parts import PartWriter, RowParts
from pipelines.storage.upsert import try_publish


class DryRunFailedError(RuntimeError):
    """An ingest would fail. The message says why, in the words of the ingest."""


@dataclass(frozen=True)
class DryRun:
    """What an ingest would report: `files` and `tables` as the contract's JSON, `refused` sessions by table, and the account."""

    files: list[dict[str, Any]]
    tables: dict[str, dict[str, int]]
    refused: dict[str, list[str]]
    account: Account


def run_dry(lake: Lake, order: IngestRequest, sources: Mapping[str, Source], paths: Mapping[str, Path], limits: Limits) -> DryRun:
    """Take an order through row rules, gate and merge without writing anything. `paths`: the file of each delivery by its batch.

    A ticker whose stored bars a late link would give to another instrument is compared under its present one. Raises
    DryRunFailedError where the gate refuses more once the sessions that it refused are taken out.
    """
    with TemporaryDirectory(prefix="marketlake-") as scratch:
        content = parse_deliveries(lake, order, sources, _where_they_are(paths), limits=limits, scratch=Path(scratch))
        return _try_parsed(lake, order, sources, content)


def _try_parsed(lake: Lake, order: IngestRequest, sources: Mapping[str, Source], content: Parsed) -> DryRun:
    held = refused_before(lake, order.exchange)
    refused: dict[str, list[str]] = {}
    staged = stage_parsed(lake, order, sources, content, held)
    passing = _without(staged, held)
    stopped, warnings, lines = _gated(lake, order.exchange, passing)
    if stopped:
        refused.update(lines)
        again = [rows.select("batch_id", "row_number", "rule", table_name=pl.lit(table)) for table, rows in stopped.items()]
        held = pl.concat([held, *(rows.select(held.columns) for rows in again)])
        staged = stage_parsed(lake, order, sources, content, held)
        passing = _without(staged, held)
        stopped, warnings, lines = _gated(lake, order.exchange, passing)
        if stopped:
            refused.update(lines)
            unpublished = ", ".join(lines)
            raise DryRunFailedError(
                f"the gate refused sessions twice in a row: {refused}; an ingest fails there and publishes nothing of {unpublished}"
            )
    priorities = {name: source.priority for name, source in sources.items()}
    tables, lost = {}, []
    for table, batch in passing.items():
        counts, figures, published = staged.counts[table], dict.fromkeys(("accepted", "unchanged", "restated", "refused"), 0), 0
        for rows in batch.parts():
            check_contract(TABLES[table], rows)
            merge = try_publish(lake, order.exchange, TABLES[table], rows, priorities)
            lost.append(count_held(table, merge.refused))
            published += rows.height
            figures["accepted"] += merge.accepted.height
            figures["unchanged"] += merge.unchanged
            figures["restated"] += merge.restated.height
            figures["refused"] += merge.refused.height
        refused_rows = figures.pop("refused")
        quarantined = counts.quarantined + staged.rows(table).height() - published + refused_rows
        tables[table] = {"read": counts.read, **figures, "duplicates": counts.duplicates, "quarantined": quarantined}
    counted = pl.concat([count_quarantined(staged.quarantine), *refused_again(staged, held), *lost])
    names = {f.delivery.batch_id: f.delivery.name for f in staged.files}
    files = [
        {"path": f.delivery.name, "status": f.status, "rows": f.rows_read, **({"reason": f.reason} if f.reason else {})}
        for f in staged.files
    ]
    return DryRun(files, tables, refused, account_of(order.exchange, staged.read, counted, names, warnings, lake.calendars))


def _where_they_are(paths: Mapping[str, Path]) -> RawCopies:
    @contextmanager
    def found(delivery: Delivery) -> Iterator[Path]:
        yield paths[delivery.batch_id]

    return found


def _without(staged: Staged, held: pl.DataFrame) -> dict[str, RowParts]:
    """Staged tables without the rows in `held`; those on disk in files of their own."""
    passing = {}
    for table in staged.counts:
        files = staged.rows(table).files
        writer = PartWriter(files[0].parent.with_name(f"{table}.passing") if files else None)
        for rows in without_held(staged, table, held):
            writer.add(rows)
        passing[table] = writer.written()
    return passing


def _gated(
    lake: Lake, exchange: str, staged: Mapping[str, RowParts]
) -> tuple[dict[str, pl.DataFrame], list[dict[str, Any]], dict[str, list[str]]]:
    """Rows of each table that its gate refuses (with `rule`), the gates' warnings, and a line per table that refuses."""
    validations = judge_tables(lake, exchange, staged)
    stopped = {table: out for table, found in validations.items() if (out := refused_parts(found, staged[table])).height}
    lines = {table: [validations[table].describe()] for table in stopped}
    return stopped, [warning for validation in validations.values() for warning in warnings_of(validation)], lines
