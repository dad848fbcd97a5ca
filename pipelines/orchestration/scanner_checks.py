"""Checks of each scanner after a build: does a scan repeat what was recorded, does it without the future, did it see enough.

Lives here: the asset checks `parity`, `look_ahead` and `coverage` of every scanner of an exchange, worked out together.
Does not live here: repeating scans (`scanners/parity.py`); look-ahead in depth, which is the test suite's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from pipelines.indicators.tables import INDICATOR_TABLES
from pipelines.market.tables import TABLES
from pipelines.orchestration.describe import preview
from pipelines.orchestration.resources import MarketlakeResource
from pipelines.scanners.derive import current_plan, versions_of
from pipelines.scanners.inputs import read_inputs
from pipelines.scanners.parity import not_repeated, scans_to_repeat, seen_ahead
from pipelines.scanners.project import manifest_path
from pipelines.scanners.registry import load_scanners
from pipelines.storage.delta import LakeTable

_READ = {
    **{name: TABLES[name] for name in ("intraday_curves", "scanner_signals", "scanner_runs")},
    "indicators_daily": INDICATOR_TABLES["indicators_daily"],
}

#: Moments of a session, its last, that are scanned without their future; the tests do it for all.
_CUT_OFF = 2

_ABOUT = {
    "parity": "A scan in this process, as a live session runs it, gives what the build put on record for its last session.",
    "look_ahead": "So does a scan that is fed only with what had ended by the moment.",
    "coverage": "The scanner saw enough of its universe at each moment of the last session; below that it issues no signals.",
}


def scanner_checks(mic: str, target: Path) -> list[dg.AssetChecksDefinition]:
    """The checks of every scanner of an exchange; `target` holds the manifest that names them."""
    names = list(load_scanners(manifest_path(target)).scanners)
    specs = [
        dg.AssetCheckSpec(name, asset=dg.AssetKey([mic, "scanners", scanner]), blocking=False, description=about)
        for scanner in names
        for name, about in _ABOUT.items()
    ]

    @dg.multi_asset_check(name=f"{mic}__scanner_checks", specs=specs)
    def checks(marketlake: MarketlakeResource) -> Iterator[dg.AssetCheckResult]:
        sessions = current_plan(marketlake.state_dir, mic)["sessions"]
        if sessions:
            yield from _checked(marketlake, mic, names, target, date.fromisoformat(sessions[1]))
        else:
            note = "nothing was built: the signals are those of the last release"
            for spec in specs:
                yield dg.AssetCheckResult(passed=True, asset_key=spec.asset_key, check_name=spec.name, description=note)

    return [checks]


def _checked(
    marketlake: MarketlakeResource, mic: str, names: Sequence[str], target: Path, session: date
) -> Iterator[dg.AssetCheckResult]:
    versions = {**versions_of(marketlake.lake, mic, _READ), **current_plan(marketlake.state_dir, mic)["inputs"]}
    recorded, runs = (
        LakeTable(marketlake.lake.table_uri(mic, name), TABLES[name])
        .read(versions.get(name), [session.year])
        .filter(pl.col("session_date") == session)
        for name in ("scanner_signals", "scanner_runs")
    )
    runs = runs.filter(pl.col("mode") == "nightly")
    compiled = load_scanners(manifest_path(target))
    asked = scans_to_repeat(runs)
    inputs = read_inputs(marketlake.lake, mic, versions, session, session)
    found = {
        "parity": not_repeated(compiled, inputs, recorded, asked),
        "look_ahead": seen_ahead(compiled, inputs, recorded, asked[-_CUT_OFF:]),
    }
    for name in names:
        for check, rows in found.items():
            yield _agreement(mic, name, check, rows.filter(pl.col("scanner_name") == name), session)
        yield _coverage(mic, name, runs.filter(pl.col("scanner_name") == name), session)


def _agreement(mic: str, name: str, check: str, rows: pl.DataFrame, session: date) -> dg.AssetCheckResult:
    told = f"{rows.height} signals of {session} differ" if rows.height else f"the signals of {session} are the same"
    return dg.AssetCheckResult(
        passed=rows.is_empty(),
        asset_key=dg.AssetKey([mic, "scanners", name]),
        check_name=check,
        description=told,
        metadata={"differ": preview(rows, rows=20)} if rows.height else {},
    )


def _coverage(mic: str, name: str, runs: pl.DataFrame, session: date) -> dg.AssetCheckResult:
    withheld = runs.filter(pl.col("status") == "withheld")
    metadata: dict[str, Any] = {"scans": runs.height, "signals": int(runs["signals"].sum())}
    if runs.height:
        metadata["least_coverage_pct"] = float(runs["coverage_pct"].min())  # type: ignore[arg-type]  # a column of numbers
        told = f"{withheld.height} of {runs.height} scans of {session} saw too little and issued no signals"
    else:
        told = f"no scan was due on {session}: its minutes are not here"
    return dg.AssetCheckResult(
        passed=withheld.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        asset_key=dg.AssetKey([mic, "scanners", name]),
        check_name="coverage",
        description=told,
        metadata={**metadata, **({"withheld": preview(withheld, rows=20)} if withheld.height else {})},
    )
