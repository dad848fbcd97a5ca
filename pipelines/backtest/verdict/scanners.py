"""Whether the scanners of a run look ahead: scans of a few of its sessions, repeated without their future.

Lives here: which sessions, and what is said of them. Does not live here: repeating a scan (`scanners/verification`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipelines.backtest.run_setup import RunSetup
from pipelines.scanners.project import HomeProject
from pipelines.scanners.verification.records import find_signals_ahead
from pipelines.storage.location import Lake

#: Where in the run's sessions with signals one is tried.
_PLACES = (0.5, 0.9)


@dataclass(frozen=True)
class ScannersTried:
    """scans: how many were repeated. peeks: what differed without the future, in words. untried: scanners that the home has not."""

    scans: int
    peeks: tuple[str, ...]
    untried: tuple[str, ...]

    def describe(self) -> str:
        """What was tried, in words."""
        apart = f"; not tried, since the home has it no more: {', '.join(self.untried)}" if self.untried else ""
        return f"{self.scans:,} scans repeated without their future{apart}"


def try_scanners(lake: Lake, exchange: str, versions: Mapping[str, int], project: HomeProject, setup: RunSetup) -> ScannersTried:
    """Repeat scans of two sessions of each scanner of a run. versions: of the release that the run stands on."""
    compiled, signals = project.compiled(), setup.signals
    names = setup.strategy.scanner.split(",")
    declared = [name for name in names if name in compiled.scanners]
    past: dict[date, set[str]] = {}
    for name in declared:
        days = signals.filter(pl.col("scanner_name") == name).get_column("session_date").unique().sort()
        for place in _PLACES if days.len() else ():
            past.setdefault(days[int(place * (days.len() - 1))], set()).add(name)
    last: date = setup.bars.get_column("session_date").max()  # type: ignore[assignment]
    scans, ahead = find_signals_ahead(lake, exchange, versions, compiled, dict(sorted(past.items())), last, project.choices())
    peeks = [
        f"{count:,} signals of {name} of {day} are others where what came after is cut off or altered"
        for name, day, count in ahead.group_by("scanner_name", pl.col("ts").dt.date().alias("day"))
        .agg(pl.col("instrument_id").n_unique())
        .sort("scanner_name", "day")
        .iter_rows()
    ]
    return ScannersTried(scans.height, tuple(peeks), tuple(name for name in names if name not in declared))
