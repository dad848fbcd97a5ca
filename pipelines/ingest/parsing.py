"""Parsing: an order's files as their sources read them, each once.

Lives here: `parse_deliveries`, what became of each file, and which files are refused whole.
Does not live here: judging rows and giving them sessions and instruments (`staging.py`), the boundary around a source
(`sources/reading.py`), keeping more minutes than fit in memory (`storage/row_parts.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.staged import FileOutcome
from pipelines.ingest.traded_sessions import provisional_notes
from pipelines.ingest.withdrawal_records import withdrawals
from pipelines.quality.file_completeness import thin
from pipelines.quality.precedence import set_aside
from pipelines.quality.session_hours import find_wrong_hours
from pipelines.quality.stale_files import Repeats, repeated
from pipelines.sources.limits import Limits
from pipelines.sources.protocol import FRAME_SCHEMAS, ParsedTable, ParseOptions, RawFile, Source, SourceError
from pipelines.sources.reading import read_file
from pipelines.storage.location import Lake
from pipelines.storage.raw import Delivery, local_copy
from pipelines.storage.row_parts import SessionSorter

_MINUTES = "bars_1m"
#: Gives a readable local path of a delivery's raw file.
RawCopies = Callable[[Delivery], AbstractContextManager[Path]]


@dataclass(frozen=True)
class Parsed:
    """What the files of an order hold: the rows of each table of the protocol with `source`, `batch_id` and `received_at`, what
    became of each file, and the sessions that are copies of others. One-minute bars are `minutes`, part by part; `scratch` is where
    rows go that are too many for memory.
    """

    tables: dict[str, pl.DataFrame]
    minutes: SessionSorter
    files: list[FileOutcome]
    repeats: Repeats
    scratch: Path | None = None


def parse_deliveries(
    lake: Lake,
    order: IngestRequest,
    sources: Mapping[str, Source],
    raw_copies: RawCopies | None = None,
    *,
    limits: Limits,
    scratch: Path | None = None,
) -> Parsed:
    """Read an order's files, each once. A file that its source cannot use is refused, the others go on. The lake is left alone.

    `raw_copies`: where the files are; by default in the lake. `limits`: how much one file may take. `scratch`: a folder for
    one-minute rows that are too many for memory, which must outlive what is returned; None: all stay in memory.
    """
    days = lake.calendar(order.exchange)
    raw_copies = raw_copies or (lambda delivery: local_copy(lake, order.exchange, delivery.content_hash))
    provenance = {"source": pl.String(), "batch_id": pl.String(), "received_at": pl.Datetime("us", "UTC")}
    frames = {
        table: [pl.DataFrame(schema={**columns, **provenance})] for table, columns in FRAME_SCHEMAS.items() if table != _MINUTES
    }
    local = pl.col("ts").dt.convert_time_zone(days.exchange.timezone).dt.date()
    minutes = SessionSorter({**FRAME_SCHEMAS[_MINUTES], **provenance}, local, scratch and scratch / "parsed")
    files = []
    taken_back = withdrawals(lake, order.exchange)
    aside = set_aside([d for d in order.deliveries if d.batch_id not in taken_back], sources)
    for delivery in order.deliveries:
        if delivery.batch_id in taken_back:
            reason = f"{delivery.name}: this delivery was {taken_back[delivery.batch_id].describe()}; a right file is another one"
            files.append(FileOutcome(delivery, "refused", reason, 0))
            continue
        if delivery.batch_id in aside:
            files.append(FileOutcome(delivery, "accepted", aside[delivery.batch_id], 0))
            continue
        try:
            with raw_copies(delivery) as path:
                raw = RawFile(path, delivery.name, delivery.content_hash, limits, lake.calendars)
                options = options_from_json(delivery.options)
                tables = read_file(sources, delivery.source, raw, options)
        except OSError as error:
            reason = f"{delivery.name}: its raw copy in the lake cannot be read ({error.strerror or error}); ingest the file again"
            files.append(FileOutcome(delivery, "refused", reason, 0))
            continue
        except SourceError as error:
            files.append(FileOutcome(delivery, "refused", str(error), 0))
            continue
        if fault := find_wrong_hours(tables, options, lake.calendars):
            files.append(FileOutcome(delivery, "refused", f"{delivery.name}: {fault}", 0))
            continue
        for table in tables:
            rows = table.frame.with_columns(
                source=pl.lit(delivery.source),
                batch_id=pl.lit(delivery.batch_id),
                received_at=pl.lit(delivery.received_at, pl.Datetime("us", "UTC")),
            )
            if table.table == _MINUTES:
                minutes.add(rows)
            else:
                frames[table.table].append(rows)
        files.append(_accepted(delivery, tables))
    minutes.finish()
    parsed = {table: pl.concat(parts) for table, parts in frames.items()}
    whole_market = [name for name, source in sources.items() if source.whole_market]
    repeats = repeated(lake, days, parsed["bars_daily"], minutes, whole_market)
    again = repeats.files
    notes = thin(lake, order.exchange, parsed["bars_daily"], whole_market), provisional_notes(days, parsed, minutes.counted())
    files = [
        FileOutcome(f.delivery, "refused", f"{f.delivery.name}: {again[f.delivery.batch_id]}", 0)
        if f.delivery.batch_id in again
        else with_notes(f, *(by_batch.get(f.delivery.batch_id) for by_batch in notes))
        for f in files
    ]
    kept = {table: rows.filter(~pl.col("batch_id").is_in(list(again))) for table, rows in parsed.items()}
    return Parsed(kept, minutes.without(again), files, repeats, scratch)


def options_from_json(text: str) -> ParseOptions:
    """Reading options from their canonical JSON."""
    content = json.loads(text)
    session = content.pop("session", None)
    return ParseOptions(**content, session=date.fromisoformat(session) if session else None)


def _accepted(delivery: Delivery, tables: list[ParsedTable]) -> FileOutcome:
    days: list[date] = []
    for table in tables:
        column = next((c for c in ("session_date", "ts", "ex_date") if c in table.frame.columns), None)
        if column:
            days += table.frame.select(pl.col(column).cast(pl.Date)).to_series().drop_nulls().unique().to_list()
    # A UTC date may be a day off the exchange's; one day of slack keeps a replay from missing the file.
    first, last = (min(days) - timedelta(days=1), max(days) + timedelta(days=1)) if days else (None, None)
    notes = "; ".join(dict.fromkeys(note for table in tables for note in table.notes))
    basis = next((table.price_basis for table in tables if table.price_basis), None)
    return FileOutcome(delivery, "accepted", notes or None, sum(t.frame.height for t in tables), first, last, basis)


def with_notes(file: FileOutcome, *notes: str | None) -> FileOutcome:
    """The file with more to say of it."""
    return replace(file, reason="; ".join(filter(None, [file.reason, *notes])) or None)
