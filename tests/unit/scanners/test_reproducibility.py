"""What the build recorded is repeated by a scan, and a record that is not is named."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.market.tables import TABLES
from pipelines.scanners.engine.inputs import NO_INPUTS
from pipelines.scanners.engine.runner import ScanEngine
from pipelines.scanners.registry import CompiledScanners
from pipelines.scanners.verification.indicators import indicators_ahead
from pipelines.scanners.verification.records import check_record, find_signals_ahead, sessions_to_check
from pipelines.scanners.verification.reproducibility import find_look_ahead, find_unreproduced, scans_to_repeat
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from tests.support.home_project import shipped_project
from tests.support.indicator_tables import INDICATOR_TABLES

Build = Any  # the fixture's record, in conftest.py


def test_every_recorded_scan_of_the_small_lake_is_repeated_with_and_without_its_future(
    build: Build, compiled: CompiledScanners
) -> None:
    recorded = build.rows("from marts.scanner_signals")
    asked = scans_to_repeat(build.rows("from marts.scanner_runs"))

    assert {name for _, names in asked for name in names} == set(compiled.scanners)
    with ScanEngine(compiled, NO_INPUTS) as engine:
        assert find_unreproduced(engine, build.inputs, recorded, asked).is_empty()
        assert find_look_ahead(engine, build.inputs, recorded, asked[-3:]).is_empty()


def test_a_record_that_a_scan_does_not_give_is_named(build: Build, compiled: CompiledScanners) -> None:
    moment = build.sessions[-1].closes_at
    recorded = build.rows("from marts.scanner_signals where scanner_name = 'breakout_20d'")
    asked = [(moment, ["breakout_20d"])]
    rise = pl.col("symbol") == "RISE"
    dearer = recorded.with_columns(entry_price=pl.when(rise & (pl.col("ts") == moment)).then(105.0).otherwise("entry_price"))

    with ScanEngine(compiled, NO_INPUTS) as engine:
        assert set(find_unreproduced(engine, build.inputs, dearer, asked)["instrument_id"]) == {"XNSE:RISE"}
        assert set(find_look_ahead(engine, build.inputs, recorded.filter(~rise), asked)["instrument_id"]) == {"XNSE:RISE"}


def test_a_scanners_last_scan_and_its_first_and_last_signals_are_repeated(build: Build) -> None:
    day = build.sessions[-1]
    runs = pl.DataFrame(
        [("a", day.opens_at, 0), ("a", day.closes_at, 1), ("b", day.opens_at, 2), ("b", day.closes_at, 0)],
        schema=["scanner_name", "as_of_ts", "signals"],
        orient="row",
    )

    assert scans_to_repeat(runs) == [(day.opens_at, ["b"]), (day.closes_at, ["a", "b"])]
    assert scans_to_repeat(runs.clear()) == []


@pytest.fixture
def stored(build: Build, home: Any, tmp_path: Path) -> tuple[Lake, dict[str, int]]:
    """The small lake and what was built of it as Delta tables, with their versions."""
    lake, names = Lake(str(tmp_path / "lake")), ("instruments", "bars_daily", "bars_1m", "corporate_actions")
    frames = {name: getattr(build.inputs, name) for name in names}
    frames |= {name: build.rows(f"from marts.{name}") for name in ("scanner_signals", "scanner_runs")}
    # Of the last session nothing is on record, so that nothing of it is tried.
    frames["scanner_runs"] = frames["scanner_runs"].filter(pl.col("session_date") < build.sessions[-1].session_date)
    frames |= {name: build.rows(f"from indicators.{name}") for name in ("indicators_daily", "indicator_state_daily")}
    return lake, {name: put(lake, name, rows) for name, rows in frames.items()}


def put(lake: Lake, name: str, rows: pl.DataFrame) -> int:
    """Rows as a table; a column that may not be missing and is gets some value."""
    schema = {**TABLES, **INDICATOR_TABLES}[name]
    types = dict(empty_frame(schema).schema)
    some = {pl.String: "x", pl.Int64: 1, pl.Float64: 1.0}
    lacking = [c for c in schema.columns if c.name not in rows.columns]
    made = rows.with_columns(
        pl.lit(None if c.nullable else next((v for kind, v in some.items() if types[c.name] == kind), None)).alias(c.name)
        for c in lacking
    )
    for moment in {"known_at", "received_at"} & types.keys() - set(rows.columns):
        made = made.with_columns(pl.lit(datetime(2024, 1, 1, tzinfo=UTC)).alias(moment))
    return LakeTable(lake.table_uri("XNSE", name), schema).append(made.select(schema.names).cast(types), {})  # type: ignore[arg-type]


def test_a_session_long_past_is_scanned_again_and_a_record_that_saw_ahead_is_named_there(
    build: Build, compiled: CompiledScanners, stored: tuple[Lake, dict[str, int]]
) -> None:
    """On one day of the past a scanner is on record with what it could not know then; nothing else differs, and no other day."""
    lake, versions = stored
    past, other, last = build.sessions[-20], build.sessions[-30], build.sessions[-1]
    recorded = build.rows("from marts.scanner_signals")
    ahead = recorded.filter(pl.col("scanner_name") == "breakout_20d", pl.col("symbol") == "RISE").with_columns(
        session_date=pl.lit(past.session_date), ts=pl.lit(past.closes_at), signal_id=pl.lit("seen ahead")
    )
    versions |= {"scanner_signals": put(lake, "scanner_signals", ahead)}

    tried = {key: ["breakout_20d"] for key in (other.session_date, past.session_date)}
    found = check_record(lake, "XNSE", versions, compiled, tried, last.session_date, shipped_project(Path()).choices())

    assert set(found.alone["as_of_ts"]) == {other.closes_at, past.closes_at}
    assert set(found.look_ahead.select("scanner_name", "ts", "instrument_id").rows()) == {
        ("breakout_20d", past.closes_at, "XNSE:RISE")
    }
    assert set(found.look_ahead["inputs"]) == {"truncated", "spoiled"}


def test_of_named_sessions_and_scanners_alone_what_saw_ahead_is_named(
    build: Build, compiled: CompiledScanners, stored: tuple[Lake, dict[str, int]]
) -> None:
    lake, versions = stored
    past, last = build.sessions[-20], build.sessions[-1].session_date
    recorded = build.rows("from marts.scanner_signals")
    ahead = recorded.filter(pl.col("scanner_name") == "breakout_20d", pl.col("symbol") == "RISE").with_columns(
        session_date=pl.lit(past.session_date), ts=pl.lit(past.closes_at), signal_id=pl.lit("seen ahead")
    )
    versions |= {"scanner_signals": put(lake, "scanner_signals", ahead)}
    choices = shipped_project(Path()).choices()

    scans, found = find_signals_ahead(lake, "XNSE", versions, compiled, {past.session_date: ["breakout_20d"]}, last, choices)
    assert scans.rows() == [("breakout_20d", past.closes_at)]
    assert set(found.select("scanner_name", "instrument_id").rows()) == {("breakout_20d", "XNSE:RISE")}
    scans, found = find_signals_ahead(lake, "XNSE", versions, compiled, {past.session_date: ["breakout_52w"]}, last, choices)
    assert (scans.height, found.height) == (1, 0)


def test_sessions_of_the_past_are_chosen_after_a_full_build_and_on_other_nights(
    build: Build, stored: tuple[Lake, dict[str, int]]
) -> None:
    lake, versions = stored
    first, last = build.sessions[0].session_date, build.sessions[-1].session_date

    full, night = (sessions_to_check(lake, "XNSE", versions, first, last, 3, full=full) for full in (True, False))

    assert (len(full), len(night)) == (3, 2)
    assert max(full) < last
    assert {name for names in full.values() for name in names} == set(build.rows("from marts.scanner_runs")["scanner_name"])


def test_indicators_of_the_past_are_computed_again_and_a_value_of_tomorrow_is_named(
    build: Build, compiled: CompiledScanners, stored: tuple[Lake, dict[str, int]]
) -> None:
    lake, versions = stored
    session, tomorrow = (build.sessions[-at].session_date for at in (15, 14))
    published = build.rows("from indicators.indicators_daily")
    later = published.filter(pl.col("session_date") == tomorrow).select("instrument_id", later="rsi_14")
    mine = (pl.col("symbol") == "RISE") & (pl.col("session_date") == session)
    peeked = published.join(later, on="instrument_id", how="left").with_columns(
        rsi_14=pl.when(mine).then("later").otherwise("rsi_14")
    )
    other = Lake(f"{lake.root}-peeked")
    for name in ("bars_daily", "corporate_actions"):
        put(other, name, getattr(build.inputs, name))
    put(other, "indicator_state_daily", build.rows("from indicators.indicator_state_daily"))
    put(other, "indicators_daily", peeked.drop("later"))

    computed, nothing = indicators_ahead(lake, "XNSE", versions, compiled, [session])
    _, found = indicators_ahead(other, "XNSE", dict.fromkeys(versions, 1), compiled, [session])

    assert (computed, nothing.height) == (5, 0)
    assert set(found.select("column", "instrument_id").rows()) == {("rsi_14", "XNSE:RISE")}
    assert set(found["inputs"]) == {"truncated", "spoiled"}
