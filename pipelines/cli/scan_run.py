"""What `marketlake scan` does between reading its arguments and printing: look, rank, scan, and tell it as plain values.

Lives here: `Asked` and `run_scan`.
Does not live here: arguments and printing (`scan.py`), scanning (`live/as_of.py`), the shortlist (`live/shortlist.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.live.as_of import ScanContext, look, mode_of, record, scan_as_of, sessions_at
from pipelines.live.required_bars import how_to_add, missing_bars
from pipelines.live.scan_store import released
from pipelines.live.shortlist import shortlist
from pipelines.market.exchanges import exchange as venue_of
from pipelines.scanners.choices import ScanChoices
from pipelines.scanners.engine.runner import ScanResult
from pipelines.scanners.finding_effects import configured_effects
from pipelines.scanners.project import HomeProject
from pipelines.scanners.registry import CompiledScanners, Scanner
from pipelines.scanners.universe_names import check_names
from pipelines.scanners.universes import WATCHLIST, Universes, read_watchlist
from pipelines.settings import Settings
from pipelines.storage.location import Lake


@dataclass(frozen=True)
class Asked:
    """What a scan is to look at. universe: None for each scanner's own; universes: what there is to choose from.

    watchlist: a file whose symbols are looked at instead.
    """

    exchange: str
    moment: datetime
    scanners: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, object]]
    universe: str | None
    universes: Universes
    raw: bool = False
    watchlist: Path | None = None


def run_scan(
    settings: Settings,
    asked: Asked,
    *,
    top: int | None = None,
    save: Path | None = None,
    keep: bool = False,
    best: int | None = None,
) -> dict[str, Any]:
    """Scan as asked. top: rank that many of the close before first, and in an open session scan these and everything.

    Returns plain values: exchange, at, release_id, mode, note, needed (bars that are not known), shortlist (where asked for), scans
    (universe, runs, signals by falling score, of these only the `best`, signals_total, left_out) and recorded (run key). save: a
    CSV of the shortlist. keep: write to the lake. Raises what `look` and `scan_as_of` raise, UniverseError for a watchlist with a
    name that is none.
    """
    lake, project = Lake.from_settings(settings), HomeProject.from_settings(settings)
    zone = venue_of(asked.exchange).zone
    named = read_watchlist(asked.watchlist) if asked.watchlist else {}
    if named:
        asked = replace(asked, universe=WATCHLIST, universes=asked.universes.with_watchlist(named, asked.watchlist))
    release = released(lake, asked.exchange)
    declared = project.declared_scanners()
    _check_names(asked, declared)
    check_names(lake, settings.exchanges, asked.exchange, asked.universes, _universes(asked, declared))
    content: dict[str, Any] = {
        "exchange": asked.exchange,
        "at": f"{asked.moment.astimezone(zone):%Y-%m-%d %H:%M}",
        "release_id": release.release_id,
    }
    looks: list[str | None] = [asked.universe]
    if top is not None:
        opened, closed = sessions_at(traded_calendar(lake, asked.exchange, release.versions(asked.exchange)), asked.moment)
        ranked = shortlist(lake, asked.exchange, release, closed, top)
        if save is not None:
            ranked.write_csv(save)
        content |= {"shortlist_of": str(closed.session_date), "shortlist": ranked.to_dicts()}
        if opened == closed:
            return {**content, "scans": []}
        asked = replace(asked, universes=asked.universes.with_watchlist(ranked.get_column("instrument_id").to_list()))
        looks = [WATCHLIST, None]
    compiled = project.compiled()
    choices = ScanChoices(asked.universes, configured_effects(settings.suspected_actions))
    sight = look(lake, asked.exchange, asked.moment, compiled, choices, raw=asked.raw)
    found = scan_as_of(sight, compiled, asked.scanners, asked.parameters, looks)
    needed = missing_bars(asked.exchange, asked.moment, sight.opened, sight.closed, sight.inputs)
    content |= {"mode": mode_of(sight), "note": _note(asked, sight, needed), "needed": needed}
    names = looks if top is None else ["shortlist", None]
    content["scans"] = [_scan_content(name, result, compiled, best) for name, result in zip(names, found, strict=True)]
    if keep:
        content["recorded"] = record(lake, asked.exchange, sight, found[-1])
    return content


def _check_names(asked: Asked, declared: Mapping[str, Scanner]) -> None:
    """Scanners and parameters must be known; asked of the declarations, which costs no dbt."""
    known = CompiledScanners(dict(declared), {})
    for name in asked.scanners:
        known.scanner(name)
    for name, values in asked.parameters.items():
        known.scanner(name).values(values)


def _universes(asked: Asked, declared: Mapping[str, Scanner]) -> set[str]:
    """Universes that the scan looks at."""
    if asked.universe is not None:
        return {asked.universe}
    return {declared[name].universe for name in asked.scanners or declared}


def _note(asked: Asked, sight: ScanContext, needed: list[str]) -> str:
    """What a reader should know who asked for a moment outside a session, or for one of which not all bars are known."""
    notes = []
    if asked.moment > sight.opened.closes_at:
        close = sight.opened.closes_at.astimezone(venue_of(asked.exchange).zone)
        notes.append(f"outside a session: looked from the close of {close:%Y-%m-%d %H:%M}")
    if needed:
        notes.append(how_to_add(asked.exchange, needed))
    return "; ".join(notes)


def _scan_content(universe: str | None, found: ScanResult, compiled: CompiledScanners, best: int | None) -> dict[str, Any]:
    signals = found.signals.sort(
        "confidence_score", "scanner_name", "symbol", "ts", "signal_id", descending=[True, False, False, False, False]
    )
    return {
        "universe": universe or "each scanner's own",
        "runs": [_run(run, found, compiled) for run in found.runs.sort("scanner_name").to_dicts()],
        "signals": signals.head(best if best is not None else signals.height).to_dicts(),
        "signals_total": signals.height,
        "left_out": found.left_out.to_dicts(),
    }


def _run(run: dict[str, Any], found: ScanResult, compiled: CompiledScanners) -> dict[str, Any]:
    """A run, with how many signals of earlier minutes still hold, and why nothing was issued where that is so."""
    name, reason = run["scanner_name"], ""
    if run["status"] == "withheld":
        least = compiled.scanner(name).min_coverage_pct
        reason = (
            f"{run['instruments_scanned']} of {run['universe_size']} instruments could be judged ({run['coverage_pct']:.0f} %); "
            f"below {least:g} % no signal is issued"
        )
    earlier = found.signals.filter((pl.col("scanner_name") == name) & (pl.col("ts") < run["as_of_ts"]))
    return {**run, "signals_of_earlier_minutes": earlier.height, "withheld_because": reason}
