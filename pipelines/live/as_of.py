"""Scanning as of any moment: the published release, and the minutes of the moment's session.

Lives here: `scan_as_of`, and keeping what it found (`record`).
Does not live here: the SQL and its runner (`scanners/`), batches of a feed (`scan.py`), printing (`cli/scan.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import polars as pl

from pipelines.indicators.volume_profiles import CALENDAR_DAYS
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.live.required_bars import how_to_add, missing_bars
from pipelines.live.scan_store import LiveScanError, released, store_scan
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.session import Session
from pipelines.market.tables import TABLES
from pipelines.scanners.choices import ScanChoices
from pipelines.scanners.engine.inputs import read_inputs
from pipelines.scanners.engine.runner import NoSessionError, ScanEngine, ScanInputs, ScanResult
from pipelines.scanners.registry import CompiledScanners
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release

#: Longest stretch without a session, with room to spare.
_DAYS_BACK = timedelta(days=30)


@dataclass(frozen=True)
class ScanContext:
    """What a moment looks at: the session that had opened last, the one that had closed last, the release, and the inputs.

    is_live: whether the minutes of the opened session are a feed's and not yet a release's.
    """

    moment: datetime
    opened: Session
    closed: Session
    release: Release
    inputs: ScanInputs
    is_live: bool


def look(
    lake: Lake,
    exchange: str,
    moment: datetime,
    compiled: CompiledScanners,
    choices: ScanChoices,
    *,
    raw: bool = False,
) -> ScanContext:
    """Gather what may be seen as of `moment` (aware). choices: universes to look at and effects of findings. raw: indicators and
    volume profiles are worked out from the bars again.

    Raises LiveScanError when nothing is released or known of that day, saying which bars would be needed; NoSessionError before
    the first session.
    """
    release = released(lake, exchange)
    versions = release.versions(exchange)
    opened, closed = sessions_at(traded_calendar(lake, exchange, versions), moment)
    last = opened.session_date
    inputs = read_inputs(lake, exchange, versions, closed.session_date, last, choices)
    is_live = inputs.bars_1m.is_empty()
    if is_live:
        journal = TABLES["bars_1m_live"]
        inputs = replace(inputs, bars_1m=LakeTable(lake.table_uri(exchange, journal.name), journal).read(partitions=[last]))
        is_live = not inputs.bars_1m.is_empty()
    days = inputs.bars_daily.get_column("session_date")
    if inputs.bars_1m.is_empty() and not days.is_in([closed.session_date]).any():
        needed = how_to_add(exchange, missing_bars(exchange, moment, opened, closed, inputs))
        raise LiveScanError(
            f"nothing is known of {exchange} on {last}: release {release.release_id} {_held(release, exchange, last)}; {needed}, "
            "or name another moment with --at"
        )
    if raw:
        inputs = _from_bars(lake, exchange, versions, compiled, inputs, last)
    return ScanContext(moment, opened, closed, release, inputs, is_live)


def scan_as_of(
    sight: ScanContext,
    compiled: CompiledScanners,
    scanners: Sequence[str] = (),
    parameters: Mapping[str, Mapping[str, object]] | None = None,
    universes: Sequence[str | None] = (None,),
) -> list[ScanResult]:
    """Scan what is in sight, once per universe (None: each scanner's own), with the named scanners (all when none is named).

    Signals have the ids of the nightly rows of the same moment; those of events (`holds_beyond`) are the ones given since the open
    that still hold, with the ids of their own minutes. Raises UnknownScannerError, ValueError for a parameter.
    """
    mode = mode_of(sight)
    with ScanEngine(compiled, sight.inputs, explain=True) as engine:
        return [engine.run_as_of(sight.moment, scanners, parameters, mode, universe) for universe in universes]


def mode_of(sight: ScanContext) -> str:
    """`live` while a session's minutes come from a feed, `history` once they are released."""
    return "live" if sight.is_live else "history"


def record(lake: Lake, exchange: str, sight: ScanContext, found: ScanResult) -> str:
    """Keep signals in `signals_live` and coverage in `scanner_runs`, each once however often it is asked. Returns the run key."""
    asked = json.dumps([exchange, sight.moment.isoformat(), sight.release.release_id, sorted(found.runs["scanner_name"])])
    key = f"{exchange}-scan-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"
    store_scan(lake, exchange, found, mode=mode_of(sight), run_key=key)
    return key


def sessions_at(days: ExchangeCalendar, moment: datetime) -> tuple[Session, Session]:
    """The session that had opened last by the moment (aware), and the one that had closed last: the same outside a session.

    Raises NoSessionError before the calendar's first close.
    """
    venue = days.exchange
    day = moment.astimezone(venue.zone).date()
    near = days.between(max(day - _DAYS_BACK, venue.calendar_start), min(day, days.last_day))
    opened = [s for s in near if s.opens_at <= moment]
    closed = [s for s in opened if s.closes_at <= moment]
    if not closed:
        known = f"sessions are known from {venue.calendar_start} to {days.known_until}, provisional ones to {days.last_day}"
        raise NoSessionError(f"no session of {venue.mic} had closed by {moment.astimezone(venue.zone):%Y-%m-%d %H:%M}; {known}")
    return opened[-1], closed[-1]


def _held(release: Release, exchange: str, day: date) -> str:
    """Where a release ends that does not hold the day."""
    if not release.sessions.get(exchange):
        return "holds no session"
    first, last = (date.fromisoformat(str(session)) for session in release.sessions[exchange][:2])
    if day > last:
        return f"ends with {last}"
    return f"begins with {first}" if day < first else f"holds {first} to {last} without that day"


def _from_bars(
    lake: Lake, exchange: str, versions: Mapping[str, int], compiled: CompiledScanners, inputs: ScanInputs, last: date
) -> ScanInputs:
    """The same inputs without anything that a build has worked out."""
    from pipelines.scanners.engine.indicators_from_bars import daily_indicators

    def read(name: str, days: list[date] | None = None) -> pl.DataFrame:
        if name not in versions:
            return empty_frame(TABLES[name])
        return LakeTable(lake.table_uri(exchange, name), TABLES[name]).read(versions[name], days)

    daily = read("bars_daily").filter(pl.col("session_date") <= last)
    known = traded_calendar(lake, exchange, versions)
    recent = [s.session_date for s in known.between(last - CALENDAR_DAYS, last - timedelta(days=1))]
    minutes = pl.concat([read("bars_1m", list(recent)), inputs.bars_1m], how="diagonal_relaxed")
    replaced = {name: read(name) for name in ("bars_daily_superseded", "corporate_actions_superseded")}
    indicators = daily_indicators(compiled, known.frame(), daily, inputs.corporate_actions, replaced)
    since = inputs.sessions.get_column("session_date").min()
    return replace(
        inputs,
        bars_1m=minutes,
        indicators_daily=indicators.filter(pl.col("session_date") >= since),
        intraday_curves=pl.DataFrame(),
        intraday_profiles=pl.DataFrame(),
    )
