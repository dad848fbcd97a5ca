"""Release from quarantine: rows that a person lets in, through every other rule, the gate and the merge.

Lives here: making the order of a decision, and staging it, or saying what stands against it.
Does not live here: what decisions on record mean for later deliveries (`overrides.py`), publishing (`publish.py`).

A decision names the rules that it overrules; all others still count. It is carried out for all of its rows or for none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from pipelines.ingest.batches import read_batch, write_staged
from pipelines.ingest.overrides import Override, Selection, quarantined, record, undecided
from pipelines.ingest.publish import validate_staged
from pipelines.ingest.quarantine import REFUSED
from pipelines.ingest.requests import IngestRequest, deliveries_of
from pipelines.ingest.staged import Staged
from pipelines.ingest.staging import stage
from pipelines.ingest.suites import Suite, run_suite
from pipelines.market.tables import TABLES
from pipelines.quality.row_rules import FINAL, ROW_RULES
from pipelines.sources.limits import Limits
from pipelines.sources.protocol import Source
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.merge import merge_by_key
from pipelines.storage.raw import registered

_SHOWN = 3


class SelectionError(ValueError):
    """The selection does not say what to release: no such row, several rules or tables, a rule that cannot be overruled."""


class AlreadyReleasedError(RuntimeError):
    """Every selected row was let in before. The message says when, by whom and why."""


class NotReleasedError(RuntimeError):
    """Something else stands against a row; nothing was changed. The message says what."""


def override_request(
    lake: Lake,
    exchange: str,
    selection: Selection,
    *,
    reason: str,
    decided_by: str,
    decided_at: datetime,
    overrule: Sequence[str] = (),
) -> IngestRequest:
    """The order that lets the selected rows in, overruling the rule they are held under and those of `overrule`.

    `decided_at` is aware. Raises SelectionError, or AlreadyReleasedError when no selected row is held any more.
    """
    found = selection.of(quarantined(lake, exchange))
    if found.is_empty():
        raise SelectionError("no row in quarantine is selected; `marketlake quarantine list --all` shows what is there")
    held = found.filter(pl.col("released_at").is_null())
    if held.is_empty():
        last = found.sort("released_at").row(-1, named=True)
        when = f"{last['released_at']:%Y-%m-%d %H:%M:%S} UTC"
        raise AlreadyReleasedError(f"already released {when} by {last['decided_by']}: {last['decision']}")
    kinds = held.select("table_name", "rule").unique().sort("table_name", "rule").rows()
    if len(kinds) > 1:
        listed = "; ".join(f"--table {table} --rule {rule}" for table, rule in kinds)
        raise SelectionError(f"the selected rows are held under several rules or tables, decide for one at a time: {listed}")
    ((table, rule),) = kinds
    overruled = tuple(dict.fromkeys([rule, *overrule]))
    _refuse_rules(table, overruled)
    batches = held.get_column("batch_id").unique()
    files = registered(lake, exchange).filter(pl.col("batch_id").is_in(batches.implode()))
    missing = sorted(set(batches) - set(files["batch_id"]))
    if missing:
        raise SelectionError(
            f"the raw file of batch {missing[0]} is not on record (a live file): ingest it as a file, then release"
        )
    narrowed = Selection(**{**vars(selection), "table": table, "rule": rule})
    decision = Override(narrowed, overruled, reason, decided_by, decided_at)
    return IngestRequest(exchange, deliveries_of(files), decision=decision)


def stage_release(
    lake: Lake,
    order: IngestRequest,
    sources: Mapping[str, Source],
    state_dir: Path,
    limits: Limits,
    suite: Suite = run_suite,
) -> Path:
    """Stage the rows that the order's decision lets in. Returns the order's folder; nothing else is written.

    Raises NotReleasedError when another rule, or the merge, stands against one of them. What the gate says is left to its check: if
    it is going to refuse, only the table in question is staged, so that nothing beside it is published.
    """
    assert order.decision is not None
    table = str(order.decision.selection.table)
    chosen = undecided(lake, order.exchange, order.decision.selection)
    if chosen.is_empty():
        raise NotReleasedError("no selected row is held in quarantine any more")
    staged = stage(lake, order, sources, limits=limits)
    priorities = {name: source.priority for name, source in sources.items()}
    _refuse_stopped(lake, order.exchange, table, chosen, staged, priorities)
    rows = staged.tables[table]
    allowed = {name: [frame] for name, frame in staged.tables.items()}
    if validate_staged(lake, order.exchange, table, rows, suite=suite).refused:
        allowed = {name: [frame if name == table else frame.clear()] for name, frame in staged.tables.items()}
    return write_staged(order, staged, allowed, state_dir)


def record_release(lake: Lake, order: IngestRequest, folder: Path) -> int | None:
    """Note in the quarantine that the rows of a staged release are in. Returns its version.

    After every table of the order is published: from then on the command says that it was done. A crash before is made good by the
    same command again, which finds the rows unchanged.
    """
    assert order.decision is not None
    table = str(order.decision.selection.table)
    return record(lake, order.exchange, table, read_batch(folder, table), order.decision)


def _refuse_rules(table: str, rules: Sequence[str]) -> None:
    known = {rule.name for rules_of in ROW_RULES.values() for rule in rules_of}
    known |= {"conflicting_duplicate", "source_priority", "source_conflict"}
    for rule in rules:
        if rule in FINAL:
            raise SelectionError(
                f"{rule} cannot be overruled: {table} has no place for such a row; ask the vendor for a right file"
            )
        if rule not in known and not rule.startswith(REFUSED):
            raise SelectionError(f"no rule is called {rule!r}; an expectation of the gate is written {REFUSED}<expectation>")


def _refuse_stopped(
    lake: Lake, exchange: str, table: str, chosen: pl.DataFrame, staged: Staged, priorities: Mapping[str, int]
) -> None:
    """NotReleasedError unless every chosen row is staged and would win its key."""
    unread = [f"{f.delivery.name}: {f.reason}" for f in staged.files if f.status == "refused"]
    if unread:
        raise NotReleasedError(f"the raw file cannot be read today: {unread[0]}")
    rows, schema = staged.tables[table], TABLES[table]
    row = ["batch_id", "row_number"]
    partitions = rows.get_column(schema.partition_by).unique().to_list() if schema.partition_by else None
    stored = LakeTable(lake.table_uri(exchange, table), schema).read(partitions=partitions)
    lost = merge_by_key(stored, rows, schema, priorities).refused
    quarantined_rows = [
        frame.select(*row, "rule", "reason") for frame in (staged.quarantine.filter(pl.col("table_name") == table), lost)
    ]
    stopped = pl.concat(quarantined_rows).join(chosen, on=row, how="semi", maintain_order="left")
    gone = chosen.join(pl.concat([rows.select(row), stopped.select(row)]), on=row, how="anti", maintain_order="left")
    if stopped.height + gone.height == 0:
        return
    lines = [f"row {n} of batch {b[:12]}: {rule} ({why})" for b, n, rule, why in stopped.head(_SHOWN).iter_rows()]
    lines += [
        f"row {n} of batch {b[:12]}: a copy of another row, or no row of {table} as the file is read today"
        for b, n in gone.select(row).head(_SHOWN).iter_rows()
    ]
    overrulable = sorted({rule for rule in stopped["rule"] if rule not in FINAL})
    hint = f"; to overrule that too, add --overrule {overrulable[0]}" if overrulable else ""
    raise NotReleasedError(
        f"nothing is released, {stopped.height + gone.height} of {chosen.height} rows are stopped: {'; '.join(lines)}{hint}"
    )
