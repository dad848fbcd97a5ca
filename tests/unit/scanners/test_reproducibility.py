"""What the build recorded is repeated by a scan, and a record that is not is named."""

from typing import Any

import polars as pl

from pipelines.scanners.registry import CompiledScanners
from pipelines.scanners.verification.reproducibility import find_look_ahead, find_unreproduced, scans_to_repeat

Build = Any  # the fixture's record, in conftest.py


def test_every_recorded_scan_of_the_small_lake_is_repeated_with_and_without_its_future(
    build: Build, compiled: CompiledScanners
) -> None:
    recorded = build.rows("from marts.scanner_signals")
    asked = scans_to_repeat(build.rows("from marts.scanner_runs"))

    assert {name for _, names in asked for name in names} == set(compiled.scanners)
    assert find_unreproduced(compiled, build.inputs, recorded, asked).is_empty()
    assert find_look_ahead(compiled, build.inputs, recorded, asked[-3:]).is_empty()


def test_a_record_that_a_scan_does_not_give_is_named(build: Build, compiled: CompiledScanners) -> None:
    moment = build.sessions[-1].closes_at
    recorded = build.rows("from marts.scanner_signals where scanner_name = 'breakout_20d'")
    asked = [(moment, ["breakout_20d"])]
    rise = pl.col("symbol") == "RISE"
    dearer = recorded.with_columns(entry_price=pl.when(rise & (pl.col("ts") == moment)).then(105.0).otherwise("entry_price"))

    assert set(find_unreproduced(compiled, build.inputs, dearer, asked)["instrument_id"]) == {"XNSE:RISE"}
    assert set(find_look_ahead(compiled, build.inputs, recorded.filter(~rise), asked)["instrument_id"]) == {"XNSE:RISE"}


def test_a_scanners_last_scan_and_its_first_and_last_signals_are_repeated(build: Build) -> None:
    day = build.sessions[-1]
    runs = pl.DataFrame(
        [("a", day.opens_at, 0), ("a", day.closes_at, 1), ("b", day.opens_at, 2), ("b", day.closes_at, 0)],
        schema=["scanner_name", "as_of_ts", "signals"],
        orient="row",
    )

    assert scans_to_repeat(runs) == [(day.opens_at, ["b"]), (day.closes_at, ["a", "b"])]
    assert scans_to_repeat(runs.clear()) == []
