"""Staged batches on disk: an order's tables between staging and the lake, and what happened to it.

Lives here: writing and reading staged tables, the order's outcome file.
Does not live here: staging itself (`staging.py`), validation (`gate.py`), what the counts say (`accounting.py`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from pipelines.ingest.accounting import Account, account_of, count_held, count_quarantined
from pipelines.ingest.held_rows import refused_again, without_held
from pipelines.ingest.overrides import Override
from pipelines.ingest.parsing import Parsed
from pipelines.ingest.quarantine import refused_before, store_quarantine
from pipelines.ingest.requests import IngestRequest, load_decision, save_decision
from pipelines.ingest.staged import Staged
from pipelines.ingest.staging import stage_parsed
from pipelines.market.tables import TABLES
from pipelines.sources.protocol import Source
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.row_parts import PartWriter, RowParts, stored_parts
from pipelines.storage.upsert import append_new

_DECISION = "decision.json"
_REFUSALS = "refusals.json"
_MOVES = "moves.parquet"
_READ, _HELD = "read.parquet", "held.parquet"


def stage_content(
    lake: Lake,
    order: IngestRequest,
    sources: Mapping[str, Source],
    state_dir: Path,
    content: Parsed,
    refusals: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Path:
    """Stage what an order's files hold: set bad rows aside in quarantine, register the files, write the tables.

    Returns the order's folder, which appears whole or not at all. Rows that a gate refused before, and nobody released, stay out;
    `refusals`: what gates of this run refused of the order, kept in the folder.
    """
    held = refused_before(lake, order.exchange)
    staged = stage_parsed(lake, order, sources, content, held)
    store_quarantine(lake, order.exchange, staged.quarantine)
    register_files(lake, order, staged)
    allowed = {table: without_held(staged, table, held) for table in staged.counts}
    return write_staged(order, staged, allowed, state_dir, refused_again(staged, held), refusals)


def write_staged(
    order: IngestRequest,
    staged: Staged,
    allowed: Mapping[str, Iterable[pl.DataFrame]],
    state_dir: Path,
    refused: Sequence[pl.DataFrame] = (),
    refusals: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Path:
    """Write an order's folder: of its staged tables the rows that are `allowed` to go on, in parts, and the figures of all.

    `refused`: counts of the rows that are not allowed (columns of `account.HELD`). `refusals`: as in `stage_content`.
    """
    folder = order.folder(state_dir)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    written = {table: _write_table(temporary, table, parts, spilled=table in staged.spilled) for table, parts in allowed.items()}
    staged.moves.write_parquet(temporary / _MOVES)
    staged.read.write_parquet(temporary / _READ)
    pl.concat([count_quarantined(staged.quarantine), *refused]).write_parquet(temporary / _HELD)
    held = {table: staged.rows(table).height() - rows for table, rows in written.items()}
    outcome = {
        "files": [
            {"path": f.delivery.name, "status": f.status, "rows": f.rows_read, **({"reason": f.reason} if f.reason else {})}
            for f in staged.files
        ],
        "names": {f.delivery.batch_id: f.delivery.name for f in staged.files},
        "tables": {t: {**vars(c), "held": held.get(t, 0)} for t, c in staged.counts.items()},
    }
    (temporary / "staged.json").write_text(json.dumps(outcome, indent=1), encoding="utf-8")
    (temporary / _REFUSALS).write_text(json.dumps({t: dict(r) for t, r in refusals.items()}), encoding="utf-8")
    if order.decision is not None:
        save_decision(order.decision, temporary / _DECISION)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)
    _point_to(folder)
    crash_point("staged.written")
    return folder


def decision_of(folder: Path) -> Override | None:
    """The decision that an order's folder was staged for; None for an ordinary delivery."""
    path = folder / _DECISION
    return load_decision(path) if path.is_file() else None


def read_refusals(folder: Path) -> dict[str, dict[str, Any]]:
    """What gates refused of the order before the folder's tables were staged without it (fields of `judging.Finding`), by table."""
    found: dict[str, dict[str, Any]] = json.loads((folder / _REFUSALS).read_text(encoding="utf-8"))
    return found


def current_folder(state_dir: Path, exchange: str) -> Path:
    """Folder of the order that was staged last. FileNotFoundError when there is none."""
    pointer = state_dir / "staged" / exchange / "current"
    if not pointer.is_file():
        raise FileNotFoundError(f"nothing is staged for {exchange}: materialise {exchange}/raw_files first")
    return pointer.parent / pointer.read_text(encoding="utf-8")


def register_files(lake: Lake, order: IngestRequest, staged: Staged) -> None:
    """Record the deliveries in `raw_files`; one that is on record already is not recorded twice."""
    rows = [
        {
            **vars(f.delivery),
            "status": f.status,
            "reason": f.reason,
            "rows_read": f.rows_read,
            "first_session": f.first_session,
            "last_session": f.last_session,
            "withdrawn_at": None,
            "withdrawn_by": None,
            "price_basis": f.price_basis,
        }
        for f in staged.files
    ]
    schema = TABLES["raw_files"]
    append_new(lake, order.exchange, schema, pl.DataFrame(rows, schema=empty_frame(schema).schema), {"order": order.request_id})
    crash_point("raw.registered")


def staged_tables(folder: Path) -> list[str]:
    """Names of the tables in an order's folder."""
    return list(json.loads((folder / "staged.json").read_text(encoding="utf-8"))["tables"])


def _write_table(folder: Path, table: str, parts: Iterable[pl.DataFrame], *, spilled: bool) -> int:
    """Write a table as one file, or a file for each of its parts; returns how many rows it has."""
    if not spilled:
        rows = pl.concat(parts)
        rows.write_parquet(folder / f"{table}.parquet")
        return rows.height
    height, writer = 0, PartWriter(folder / table)
    for part in parts:
        writer.add(part)
        height += part.height
    return height


def batch_rows(folder: Path, table: str, columns: list[str] | None = None) -> RowParts:
    """A staged table, part by part; of one that is a single part, and so is read at once, some columns.

    FileNotFoundError when the order was not staged.
    """
    path = folder / f"{table}.parquet"
    if path.is_file():
        return RowParts([pl.read_parquet(path, columns=columns)])
    if not (folder / table).is_dir():
        raise FileNotFoundError(f"{path} does not exist: materialise staged_{table} first")
    return stored_parts(folder / table)


def read_batch(folder: Path, table: str, columns: list[str] | None = None) -> pl.DataFrame:
    """A staged table, or some columns of it, at once. FileNotFoundError when the order was not staged."""
    return batch_rows(folder, table, columns).frame(columns)


def read_moves(folder: Path) -> pl.DataFrame:
    """Stored rows that become another instrument's by what the order tells (columns of `MOVE`)."""
    return pl.read_parquet(folder / _MOVES)


def note_outcome(folder: Path, table: str, figures: Mapping[str, Any], lost: pl.DataFrame) -> None:
    """Add a published table's figures to the order's outcome, and which rows the merge refused (`lost`, with their `rule`)."""
    count_held(table, lost).write_parquet(folder / f"{table}.lost.parquet")
    (folder / f"{table}.published.json").write_text(json.dumps(dict(figures)), encoding="utf-8")


def outcome(folder: Path) -> dict[str, Any]:
    """What became of an order: files, and per table read = accepted + unchanged + restated + duplicates + quarantined.

    RuntimeError when the figures do not add up: a row would be unaccounted for.
    """
    staged = json.loads((folder / "staged.json").read_text(encoding="utf-8"))
    tables = {}
    for table, counts in staged["tables"].items():
        path = folder / f"{table}.published.json"
        published = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        refused = published.get("refused", 0) + counts["held"] + _refused_rows(folder, table)
        row = {
            "read": counts["read"],
            "accepted": published.get("accepted", 0),
            "unchanged": published.get("unchanged", 0),
            "restated": published.get("restated", 0),
            "duplicates": counts["duplicates"],
            "quarantined": counts["quarantined"] + refused,
        }
        if path.is_file() and row["read"] != sum(v for k, v in row.items() if k != "read"):
            raise RuntimeError(f"{table}: rows are unaccounted for: {row}; see {folder}")
        tables[table] = row
    return {"files": staged["files"], "tables": tables}


def account(folder: Path, exchange: str, calendars: Path | None) -> Account:
    """What rules, gate and merge held back of a staged order so far. `calendars`: the home's folder of calendars."""
    staged = json.loads((folder / "staged.json").read_text(encoding="utf-8"))
    read, held = counts_by_session(folder)
    gates = [folder / f"{table}.refused.json" for table in staged["tables"]]
    warnings = [warning for path in gates if path.is_file() for warning in json.loads(path.read_text(encoding="utf-8"))["warnings"]]
    return account_of(exchange, read, held, staged["names"], warnings, calendars)


def counts_by_session(folder: Path, table: str | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows read and rows held back (columns of `account.READ`, `account.HELD`) of a staged order so far; of one table or of all."""
    staged = json.loads((folder / "staged.json").read_text(encoding="utf-8"))
    counted = [_HELD, *(f"{name}.{why}.parquet" for name in staged["tables"] for why in ("stopped", "lost"))]
    held = pl.concat([pl.read_parquet(folder / name) for name in counted if (folder / name).is_file()])
    read = pl.read_parquet(folder / _READ)
    if table is None:
        return read, held
    return read.filter(pl.col("table_name") == table), held.filter(pl.col("table_name") == table)


def note_refused(folder: Path, table: str, rows: int, stopped: pl.DataFrame, warnings: Sequence[Mapping[str, Any]]) -> None:
    """Record how many staged rows the gate refused, those of them that it was the first to stop, and its warnings."""
    count_held(table, stopped).write_parquet(folder / f"{table}.stopped.parquet")
    (folder / f"{table}.refused.json").write_text(json.dumps({"rows": rows, "warnings": list(warnings)}), encoding="utf-8")


def _point_to(folder: Path) -> None:
    temporary = folder.parent / f".current.{os.getpid()}"
    temporary.write_text(folder.name, encoding="utf-8")
    os.replace(temporary, folder.parent / "current")


def _refused_rows(folder: Path, table: str) -> int:
    path = folder / f"{table}.refused.json"
    return int(json.loads(path.read_text(encoding="utf-8"))["rows"]) if path.is_file() else 0
