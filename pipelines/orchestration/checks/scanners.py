"""Checks of each scanner after a build: does a scan repeat what was recorded, does it without the future, did it see enough.

Lives here: the asset checks `parity`, `look_ahead` and `coverage` of every scanner of an exchange, worked out together. What was
not tried has no result.
Does not live here: which scans are repeated (`scanners/verification/records.py`) and how
(`scanners/verification/reproducibility.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from pipelines.build.derived_tables import versions_of
from pipelines.build.prepare import current_plan
from pipelines.indicators.tables import home_tables
from pipelines.market.tables import TABLES
from pipelines.orchestration.metadata import preview
from pipelines.orchestration.resources import MarketlakeResource
from pipelines.scanners.project import HomeProject
from pipelines.scanners.verification.records import check_record, sessions_to_check
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

_READ = ("intraday_curves", "intraday_profiles", "scanner_signals", "scanner_runs", "indicators_daily")

_ABOUT = {
    "parity": "A scan in this process, of one evaluation time alone, gives what the build put on record: for the last session, and "
    "for a sample of the sessions before, of all history after a build of everything.",
    "look_ahead": "So does a scan whose future is cut off at the evaluation time, and one whose future is altered.",
    "coverage": "The scanner saw enough of its universe at each moment of the last session; below that it issues no signals.",
}


def scanner_checks(mic: str, project: HomeProject) -> list[dg.AssetChecksDefinition]:
    """The checks of every scanner of an exchange; the manifest of `project` names them."""
    names = list(project.compiled().scanners)
    specs = [
        dg.AssetCheckSpec(name, asset=dg.AssetKey([mic, "scanners", scanner]), blocking=False, description=about)
        for scanner in names
        for name, about in _ABOUT.items()
    ]

    # A check of which nothing was tried may then be left without a result: it neither passed nor failed.
    @dg.multi_asset_check(name=f"{mic}__scanner_checks", specs=specs, can_subset=True)
    def checks(context: dg.AssetCheckExecutionContext, marketlake: MarketlakeResource) -> Iterator[dg.AssetCheckResult]:
        plan = current_plan(marketlake.state_dir, mic)
        if not plan["sessions"]:
            context.log.info("nothing was built, so there is nothing new to check: the signals are those of the last release")
            return
        selected = {(key.asset_key, key.name) for key in context.selected_asset_check_keys}
        results = _checked(marketlake.lake, mic, names, project, plan, marketlake.checked_past_sessions)
        yield from (result for result in results if (result.asset_key, result.check_name) in selected)

    return [checks]


def _checked(
    lake: Lake, mic: str, names: Sequence[str], project: HomeProject, plan: Mapping[str, Any], most: int
) -> Iterator[dg.AssetCheckResult]:
    first, last = (date.fromisoformat(day) for day in plan["sessions"][:2])
    schemas = {**TABLES, **home_tables(lake.indicators)}
    versions = {**versions_of(lake, mic, {name: schemas[name] for name in _READ}), **plan["inputs"]}
    past = sessions_to_check(lake, mic, versions, first, last, most, full=plan["full"])
    record = check_record(lake, mic, versions, project.compiled(), past, last, project.choices())
    for name in names:
        yield from _agreement(mic, name, "parity", record.repeated, record.parity)
        yield from _agreement(mic, name, "look_ahead", record.alone, record.look_ahead)
    runs = LakeTable(lake.table_uri(mic, "scanner_runs"), TABLES["scanner_runs"])
    scans = runs.read(versions.get("scanner_runs"), [last.year], where=pl.col("session_date") == last).filter(mode="nightly")
    for name in names:
        yield from _coverage(mic, name, scans.filter(pl.col("scanner_name") == name), last)


def _agreement(mic: str, name: str, check: str, tried: pl.DataFrame, different: pl.DataFrame) -> Iterator[dg.AssetCheckResult]:
    """The result of a check; none where no scan of the scanner was repeated."""
    times, rows = (frame.filter(pl.col("scanner_name") == name) for frame in (tried, different))
    if times.is_empty():
        return
    at = rows.select(pl.col("ts").dt.strftime("%Y-%m-%d %H:%M UTC").unique().sort()).to_series().to_list()
    message = f"{times.height} evaluation times were scanned again"
    if at:
        message = f"{name}: {rows.height} signals differ from the record when scanned again as of {', '.join(at)}"
    yield dg.AssetCheckResult(
        passed=rows.is_empty(),
        asset_key=dg.AssetKey([mic, "scanners", name]),
        check_name=check,
        description=message,
        metadata={"scanned_again": times.height, **({"differ": preview(rows, rows=20)} if at else {})},
    )


def _coverage(mic: str, name: str, runs: pl.DataFrame, session: date) -> Iterator[dg.AssetCheckResult]:
    """The result of the check; none where no scan was due, as on a session whose minutes are not here."""
    if runs.is_empty():
        return
    withheld = runs.filter(pl.col("status") == "withheld")
    yield dg.AssetCheckResult(
        passed=withheld.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        asset_key=dg.AssetKey([mic, "scanners", name]),
        check_name="coverage",
        description=f"{withheld.height} of {runs.height} scans of {session} saw too little and issued no signals",
        metadata={
            "scans": runs.height,
            "signals": int(runs["signals"].sum()),
            "least_coverage_pct": float(runs["coverage_pct"].min()),  # type: ignore[arg-type]  # a column of numbers
            **({"withheld": preview(withheld, rows=20)} if withheld.height else {}),
        },
    )
