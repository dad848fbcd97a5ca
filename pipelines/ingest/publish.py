"""Publishing a staged table: only what passed the gate, merged by key.

Lives here: `publish_staged`, the step between a staged batch and the lake.
Does not live here: the merge (`storage/upsert.py`), the gate (`gate.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.ingest.batches import batch_rows, decision_of, note_outcome, note_refused, read_batch, read_moves
from pipelines.ingest.gate import ValidationResult, in_parts, passed_rows, record_validation, refused_parts, validate_batch
from pipelines.ingest.quarantine import quarantine_rows, store_quarantine
from pipelines.ingest.staged import SESSION_COLUMN
from pipelines.ingest.suites import Suite, run_suite
from pipelines.ingest.withheld import SIGHTED, Withheld, mark_withheld, withheld_sessions
from pipelines.market.tables import BAR_TABLES, TABLES
from pipelines.quality.contract import check_contract
from pipelines.quality.market_context import CLOSES, last_minutes, market_context
from pipelines.sources.protocol import histories_begin
from pipelines.sources.registry import load_sources
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.reassign import move_rows
from pipelines.storage.row_parts import RowParts
from pipelines.storage.upsert import publish_parts


class MissingInstrumentsError(RuntimeError):
    """Bars were about to be published whose instruments the lake does not have."""


#: What the order's refusals hold back in other tables, beside its staged tables.
_WITHHELD = "withheld.json"


@dataclass(frozen=True)
class TablePublication:
    """Figures of one published table. `moved`: stored rows that a late link gave to another instrument, restatements that no file
    brought. `sessions` are those with new, restated or moved rows and how many; `restatements` how many of these are
    restated or moved.
    """

    table: str
    version: int | None
    accepted: int
    unchanged: int
    restated: int
    refused: int
    moved: int
    sessions: dict[date, int]
    restatements: dict[date, int]


def run_gate(lake: Lake, exchange: str, table: str, folder: Path, state_dir: Path, suite: Suite = run_suite) -> ValidationResult:
    """Judge a staged table, keep the rows of refused sessions in quarantine, record the pass of the others.

    What another table of the delivery is refused for counts too. Rows that came out of quarantine are there already, under the rule
    that was overruled: a refusal leaves them as they are. Instruments that refused bars showed first are not kept: the next
    delivery of the bars shows them again.
    """
    batch = batch_rows(folder, table)
    daily = read_batch(folder, "bars_daily") if table == "bars_1m" else None
    validation = validate_staged(lake, exchange, table, batch, daily, suite)
    withheld = _withheld(lake, exchange, folder, validation, suite)
    validation = replace(validation, withheld=withheld_in(table, batch, withheld))
    held = refused_parts(validation, batch)
    kept = kept_rows(validation, held)
    if kept.height and decision_of(folder) is None:
        store_quarantine(lake, exchange, quarantine_rows(exchange, table, kept))
    note_refused(folder, table, held.height, kept, warnings_of(validation))
    record_validation(validation, state_dir)
    return validation


def kept_rows(validation: ValidationResult, held: pl.DataFrame) -> pl.DataFrame:
    """Those of the refused rows (`held`) that are kept in quarantine: not the instruments that refused bars showed first."""
    if validation.table not in SIGHTED:
        return held
    return held.filter(pl.col(SESSION_COLUMN[validation.table]).is_in(list(validation.refused)))


def note_nothing_withheld(folder: Path) -> None:
    """Record that no refusal of one staged table holds back rows of another, as the first of its gates would find again."""
    (folder / _WITHHELD).write_text("[]", encoding="utf-8")


def warnings_of(validation: ValidationResult) -> list[dict[str, Any]]:
    """What the gate noticed without refusing anything, as `account.Account` has it."""
    return [
        {"table": validation.table, "expectation": j.name, "rows": j.unexpected, "sample": j.sample} for j in validation.warnings
    ]


def _withheld(lake: Lake, exchange: str, folder: Path, own: ValidationResult, suite: Suite) -> list[Withheld]:
    """What the staged tables' refusals hold back, found once per staged order: by the first of its gates that runs."""
    path = folder / _WITHHELD
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        return [Withheld(date.fromisoformat(w["session"]), tuple(w["batches"]), w["table"], w["name"]) for w in known]
    staged = {table: batch_rows(folder, table) for table in (*SIGHTED, *BAR_TABLES)}
    daily = staged["bars_daily"].frame()
    refused = {
        table: own.refused if table == own.table else validate_staged(lake, exchange, table, rows, daily, suite).refused
        for table, rows in staged.items()
    }
    found = withheld_sessions(refused, staged)
    path.write_text(json.dumps([{**vars(w), "session": str(w.session)} for w in found]), encoding="utf-8")
    return found


def withheld_in(table: str, batch: RowParts, withheld: Sequence[Withheld]) -> tuple[Withheld, ...]:
    """Those of the `withheld` sessions of which a staged table has rows."""
    if not withheld:
        return ()
    parts = batch.parts([SESSION_COLUMN[table], "batch_id"])
    hit = {position for rows in parts for position in mark_withheld(table, rows, withheld)["withheld_by"].drop_nulls().unique()}
    return tuple(withheld[position] for position in sorted(hit))


def validate_staged(
    lake: Lake,
    exchange: str,
    table: str,
    batch: pl.DataFrame | RowParts,
    daily: pl.DataFrame | None = None,
    suite: Suite = run_suite,
) -> ValidationResult:
    """The suite's result on staged rows; those that a person let in are validated with what is stored of instrument and session.

    `daily`: daily bars staged with them, which minutes are held against.
    """
    batch = in_parts(batch)
    whole_market = [name for name, source in load_sources().items() if source.whole_market]
    # Of minutes the market is asked about closes only, which fit in memory however many minutes there are.
    bars = pl.concat([last_minutes(rows) for rows in batch.parts(CLOSES)]) if table == "bars_1m" else batch.frame()
    around = market_context(lake, exchange, table, bars, whole_market, daily)
    schema, day = TABLES[table], SESSION_COLUMN[table]

    def stored_beside(rows: pl.DataFrame) -> pl.DataFrame | None:
        let_in = rows.filter(pl.col("overrules").is_not_null())
        if let_in.is_empty():
            return None
        partitions = let_in.get_column(schema.partition_by).unique().to_list() if schema.partition_by else None
        stored = LakeTable(lake.table_uri(exchange, table), schema).read(partitions=partitions)
        here = stored.join(let_in, on=[day, "instrument_id"], how="semi", maintain_order="left")
        return here.join(rows, on=list(schema.key), how="anti", maintain_order="left")

    return validate_batch(exchange, table, batch, stored_beside, around, suite, lake.calendars)


def publish_staged(
    lake: Lake, exchange: str, table: str, folder: Path, state_dir: Path, priorities: Mapping[str, int]
) -> TablePublication:
    """Merge a staged table's passed rows into the lake in one commit.

    Raises GateNotPassedError when the gate did not see them, ContractError when they are not what the table's schema promises,
    MissingInstrumentsError when the lake does not have their instruments yet: a run that ends between the two commits leaves
    instruments without bars, which the next run completes, never the reverse.
    """
    batch = batch_rows(folder, table)
    of_passed, checked = passed_rows(table, batch, state_dir)

    single = [of_passed(batch.last())] if len(batch) == 1 else None

    def passed() -> Iterable[pl.DataFrame]:
        return single or map(of_passed, batch.parts())

    batches, instruments = set[str](), []
    for rows in passed():
        check_contract(TABLES[table], rows)
        batches.update(rows.get_column("batch_id").unique())
        if table in BAR_TABLES:
            instruments.append(rows.select("instrument_id").unique())
    if instruments:
        _require_instruments(lake, exchange, table, pl.concat(instruments))
    moves = read_moves(folder)
    moved = pl.DataFrame()
    if moves.height and table not in {"instruments", "instrument_aliases"}:
        # A source that names companies for ever means the same one, whoever had the ticker.
        staying = histories_begin(load_sources()) if table == "corporate_actions" else ()
        moved = move_rows(lake, exchange, TABLES[table], moves, SESSION_COLUMN[table], staying).rows
    day = SESSION_COLUMN[table]
    done = publish_parts(
        lake, exchange, TABLES[table], passed, priorities=priorities, batches=sorted(batches), metadata=checked, keep=[day]
    )
    if done.refused.height:
        row = ["batch_id", "row_number"]
        arrived = pl.concat([rows.select(*row, "received_at").join(done.refused, on=row, how="semi") for rows in passed()])
        evidence = done.refused.join(arrived.unique(), on=row, how="left")
        store_quarantine(lake, exchange, quarantine_rows(exchange, table, evidence))
    figures = {"accepted": done.accepted, "unchanged": done.unchanged, "restated": done.restated, "refused": done.refused.height}
    note_outcome(folder, table, figures, done.refused)
    moved_on = _by_session(moved, day)
    return TablePublication(
        table,
        done.version,
        moved=moved.height,
        sessions=_sum([_by_session(done.changed, day), moved_on]),
        restatements=_sum([_by_session(done.changed.slice(done.accepted), day), moved_on]),
        **figures,
    )


def _require_instruments(lake: Lake, exchange: str, table: str, rows: pl.DataFrame) -> None:
    known = LakeTable(lake.table_uri(exchange, "instruments"), TABLES["instruments"]).read(columns=["instrument_id"])
    missing = rows.select("instrument_id").unique().join(known, on="instrument_id", how="anti")["instrument_id"].sort()
    if missing.len():
        shown = ", ".join(missing.head(5))
        raise MissingInstrumentsError(
            f"{table}: {missing.len()} instruments of these bars are not in the lake ({shown}): publish instruments first"
        )


def _by_session(rows: pl.DataFrame, day: str) -> dict[date, int]:
    return {} if rows.is_empty() else dict(rows.group_by(day).len().sort(day).iter_rows())


def _sum(counts: Sequence[Mapping[date, int]]) -> dict[date, int]:
    return {day: sum(each.get(day, 0) for each in counts) for day in sorted(set().union(*counts))}
