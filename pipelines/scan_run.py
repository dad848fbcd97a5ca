"""What `marketlake scan` does between reading its arguments and printing: look, rank, scan, and tell it as plain values.

Lives here: `Asked` and `run_scan`.
Does not live here: arguments and printing (`scan_commands.py`), scanning (`live/as_of.py`), the shortlist (`live/shortlist.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.live.as_of import Sight, look, mode_of, record, scan_as_of, sessions_at
from pipelines.live.kept import released
from pipelines.live.shortlist import shortlist
from pipelines.market.exchanges import exchange as venue_of
from pipelines.scanners.project import declared_scanners, manifest_path
from pipelines.scanners.registry import CompiledScanners, load_scanners
from pipelines.scanners.runner import ScanResult
from pipelines.scanners.universe_names import check_names
from pipelines.scanners.universes import WATCHLIST, Universes
from pipelines.settings import Settings
from pipelines.storage.location import Lake


@dataclass(frozen=True)
class Asked:
    """What a scan is to look at. universe: None for each scanner's own; universes: what there is to choose from."""

    exchange: str
    moment: datetime
    scanners: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, object]]
    universe: str | None
    universes: Universes
    raw: bool = False


def run_scan(
    settings: Settings, asked: Asked, *, top: int | None = None, save: Path | None = None, keep: bool = False
) -> dict[str, Any]:
    """Scan as asked. top: rank that many of the close before first, and in an open session scan these and everything.

    Returns plain values: exchange, at, release_id, mode, note, shortlist (where asked for), scans (universe, runs, signals) and
    recorded (run key). save: a CSV of the shortlist. keep: write to the lake. Raises what `look` and `scan_as_of` raise.
    """
    lake = Lake(settings.lake_root)
    zone = venue_of(asked.exchange).zone
    release = released(lake, asked.exchange)
    _check_names(asked)
    check_names(lake, settings.exchanges, asked.exchange, asked.universes, _universes(asked))
    content: dict[str, Any] = {
        "exchange": asked.exchange,
        "at": f"{asked.moment.astimezone(zone):%Y-%m-%d %H:%M}",
        "release_id": release.release_id,
    }
    looks: list[str | None] = [asked.universe]
    if top is not None:
        opened, closed = sessions_at(asked.exchange, asked.moment)
        ranked = shortlist(lake, asked.exchange, release, closed, top)
        if save is not None:
            ranked.write_csv(save)
        content |= {"shortlist_of": str(closed.session_date), "shortlist": ranked.to_dicts()}
        if opened == closed:
            return {**content, "scans": []}
        asked = replace(asked, universes=asked.universes.with_watchlist(ranked.get_column("instrument_id").to_list()))
        looks = [WATCHLIST, None]
    compiled = load_scanners(manifest_path(settings.manifest_dir))
    sight = look(lake, asked.exchange, asked.moment, compiled, asked.universes, raw=asked.raw)
    found = scan_as_of(sight, compiled, asked.scanners, asked.parameters, looks)
    content |= {"mode": mode_of(sight), "note": _note(asked, sight)}
    names = looks if top is None else ["shortlist", None]
    content["scans"] = [_told(name, result) for name, result in zip(names, found, strict=True)]
    if keep:
        content["recorded"] = record(lake, asked.exchange, sight, found[-1])
    return content


def _check_names(asked: Asked) -> None:
    """Scanners and parameters must be known; asked of the declarations, which costs no dbt."""
    declared = CompiledScanners(declared_scanners(), {})
    for name in asked.scanners:
        declared.scanner(name)
    for name, values in asked.parameters.items():
        declared.scanner(name).values(values)


def _universes(asked: Asked) -> set[str]:
    """Universes that the scan looks at."""
    if asked.universe is not None:
        return {asked.universe}
    declared = declared_scanners()
    return {declared[name].universe for name in asked.scanners or declared}


def _note(asked: Asked, sight: Sight) -> str:
    """What a reader should know who asked for a moment outside a session."""
    if asked.moment < sight.opened.closes_at:
        return ""
    close = sight.opened.closes_at.astimezone(venue_of(asked.exchange).zone)
    return "" if asked.moment == sight.opened.closes_at else f"outside a session: looked from the close of {close:%Y-%m-%d %H:%M}"


def _told(universe: str | None, found: ScanResult) -> dict[str, Any]:
    return {"universe": universe or "each scanner's own", "runs": _plain(found.runs), "signals": _plain(found.signals)}


def _plain(rows: pl.DataFrame) -> Sequence[dict[str, Any]]:
    return rows.sort("scanner_name").to_dicts()
