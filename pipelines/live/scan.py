"""The live scan: a batch of closed minutes, the published history, and the same compiled scanner SQL.

Lives here: `scan_batch`.
Does not live here: the SQL and its runner (`scanners/`), the inbox (`inbox.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from pipelines.ingest.quarantine import store_quarantine
from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.staging import stage
from pipelines.live.scan_store import LiveScanError, released, store_scan
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.exchanges import exchange as venue_of
from pipelines.market.tables import TABLES
from pipelines.scanners.engine.inputs import read_inputs
from pipelines.scanners.engine.runner import ScanEngine
from pipelines.scanners.project import HomeProject
from pipelines.scanners.registry import Scanner
from pipelines.sources.limits import Limits
from pipelines.sources.protocol import ParseOptions
from pipelines.sources.registry import load_sources
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.raw import store_raw
from pipelines.storage.upsert import append_new


@dataclass(frozen=True)
class LiveScan:
    """What a live scan did. `as_of` is the end of the newest bar in the batch, None when the batch held no good bar."""

    batch_id: str
    as_of: datetime | None
    bars: int
    quarantined: int
    signals: pl.DataFrame
    runs: pl.DataFrame
    release_id: str


def scan_batch(
    lake: Lake, exchange: str, path: Path, project: HomeProject, *, limits: Limits, run_key: str, mode: str = "live"
) -> LiveScan:
    """Journal a file of closed one-minute bars and scan as of the end of its newest bar.

    The file is read like any csv of the exchange and goes through the row rules; bad rows go to quarantine. History comes from the
    latest release. Signals are appended to `signals_live`, the scan to `scanner_runs`; the same batch again adds nothing.
    Raises LiveScanError without a release of the exchange or for an unreadable file.
    """
    release = released(lake, exchange)
    bars, batch_id, quarantined = _journal(lake, exchange, path, limits)
    if bars.is_empty():
        nothing = empty_frame(TABLES["signals_live"])
        return LiveScan(batch_id, None, 0, quarantined, nothing, empty_frame(TABLES["scanner_runs"]), release.release_id)
    as_of = bars.select(pl.col("ts").max()).item() + timedelta(minutes=1)
    session = bars.select(pl.col("session_date").max()).item()
    compiled = project.compiled()
    asked = due_scans(compiled.scanners.values(), lake.calendar(exchange), session, bars.get_column("ts").unique().sort().to_list())
    if not asked:
        nothing = empty_frame(TABLES["signals_live"])
        return LiveScan(batch_id, as_of, bars.height, quarantined, nothing, empty_frame(TABLES["scanner_runs"]), release.release_id)
    journalled = LakeTable(lake.table_uri(exchange, "bars_1m_live"), TABLES["bars_1m_live"]).read(partitions=[session])
    inputs = read_inputs(lake, exchange, release.versions(exchange), session, session, project.choices(), journalled)
    with ScanEngine(compiled, inputs) as engine:
        found = engine.run_at(asked, mode=mode)
    signals = store_scan(lake, exchange, found, mode=mode, run_key=run_key)
    return LiveScan(batch_id, as_of, bars.height, quarantined, signals, found.runs, release.release_id)


def due_scans(
    scanners: Iterable[Scanner], days: ExchangeCalendar, session: date, minutes: Sequence[datetime]
) -> list[tuple[datetime, list[str]]]:
    """Which scanners a batch of minutes calls for, by moment.

    Signals of `every_bar` that go on record are looked for at the end of each minute, those of a live scan only at the newest;
    `HH:MM` when the batch reaches it; closes are the nightly run's, since the day's official bar is not there yet.
    minutes: starts of the batch's bars in the session, UTC, ascending.
    """
    venue, opens_at = days.exchange, days.session(session).opens_at
    ends = [ts + timedelta(minutes=1) for ts in minutes if opens_at <= ts]
    due: dict[datetime, list[str]] = {}
    for scanner in scanners:
        for declared in {*scanner.moments, *scanner.live_moments} - {"close"}:
            if declared == "every_bar":
                moments = ends if declared in scanner.moments else ends[-1:]
            else:
                at = datetime.combine(session, time.fromisoformat(declared), tzinfo=venue.zone).astimezone(UTC)
                moments = [at] if ends and minutes[0] < at <= ends[-1] else []
            for moment in moments:
                due.setdefault(moment, []).append(scanner.name)
    return [(moment, sorted(set(names))) for moment, names in sorted(due.items())]


def _journal(lake: Lake, exchange: str, path: Path, limits: Limits) -> tuple[pl.DataFrame, str, int]:
    """Store the file, stage its rows, append the good ones to `bars_1m_live`. Returns them, the batch's id, how many were bad."""
    if not path.is_file():
        raise LiveScanError(f"{path} does not exist: the batch was moved or deleted before it was scanned")
    venue = venue_of(exchange)
    options = json.loads(ParseOptions(exchange=exchange, timezone=venue.timezone, extra={"interval": "1m"}).canonical_json())
    # When it came to lie here: a copy keeps the time of change of its original, which may be older than its bars or yet to come.
    received = datetime.fromtimestamp(path.stat().st_ctime, UTC)
    delivery = store_raw(lake, exchange, path, name=f"live/{path.name}", source="csv", options=options, received_at=received)
    staged = stage(lake, IngestRequest(exchange, (delivery,)), load_sources(), limits=limits)
    refused = [f for f in staged.files if f.status == "refused"]
    if refused:
        raise LiveScanError(f"{path.name}: {refused[0].reason}")
    if staged.quarantine.height:
        store_quarantine(lake, exchange, staged.quarantine)
    bars = staged.tables["bars_1m"].drop("received_at")
    append_new(lake, exchange, TABLES["bars_1m_live"], bars, {"batch": delivery.batch_id})
    return bars, delivery.batch_id, staged.quarantine.height
