"""A scanner that sees tomorrow is caught, whichever way it looks; those of the project see nothing of it."""

import shutil
from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.build.compile import compile_models
from pipelines.package_data import shipped
from pipelines.scanners.registry import CompiledScanners, load_scanners
from pipelines.scanners.verification.look_ahead import different, look_ahead, spoiled, truncated

Build = Any  # the fixture's record, in conftest.py


@pytest.mark.slow
@pytest.mark.parametrize("ago", [1, 5, 30])
def test_no_scanner_of_the_project_sees_beyond_a_close(build: Build, compiled: CompiledScanners, ago: int) -> None:
    assert look_ahead(compiled, build.inputs, build.sessions[-ago].closes_at, list(compiled.scanners)).is_empty()


@pytest.mark.slow
@pytest.mark.parametrize("minute", [2, 12, 29])
def test_no_scanner_of_the_project_sees_beyond_a_minute(build: Build, compiled: CompiledScanners, minute: int) -> None:
    moment = build.sessions[-1].opens_at + timedelta(minutes=minute)

    assert look_ahead(compiled, build.inputs, moment, list(compiled.scanners)).is_empty()


def test_what_had_ended_stays_and_the_rest_is_cut_off_or_false(build: Build) -> None:
    moment = build.sessions[-1].opens_at + timedelta(minutes=12)
    cut, false = truncated(build.inputs, moment), spoiled(build.inputs, moment)

    assert cut.bars_daily["session_date"].max() == build.sessions[-2].session_date
    assert cut.bars_1m["ts"].max() == moment - timedelta(minutes=1)
    ended = pl.col("ts") < moment
    assert false.bars_1m.filter(ended).equals(build.inputs.bars_1m.filter(ended))
    later = false.bars_1m.filter(~ended)
    assert (later["close"] == build.inputs.bars_1m.filter(~ended)["close"] * 3 + 1).all()
    assert later.height > 0


@pytest.fixture(scope="module")
def with_a_peeking_scanner(tmp_path_factory: pytest.TempPathFactory) -> CompiledScanners:
    """The project with a breakout that judges by the next session's close."""
    folder = tmp_path_factory.mktemp("planted")
    copy = folder / "project"
    shutil.copytree(shipped("dbt_project"), copy, ignore=shutil.ignore_patterns("target", "logs"))
    model = copy / "macros" / "breakout_beyond.sql"
    honest = "    select * from {{ scan('day_so_far') }}"
    peeking = """    select so_far.* replace (tomorrow.close as last_price)
    from {{ scan('day_so_far') }} as so_far
    inner join {{ scan('moments') }} as moments using (as_of_ts)
    inner join {{ ref('int_bars_daily_scope') }} as tomorrow
        on so_far.instrument_id = tomorrow.instrument_id and moments.session_number = tomorrow.session_number - 1"""
    text = model.read_text(encoding="utf-8")
    assert honest in text
    model.write_text(text.replace(honest, peeking), encoding="utf-8")
    scope = copy / "models" / "intermediate" / "int_bars_daily_scope.sql"
    bounded = "max(session_number) as last_number"
    text = scope.read_text(encoding="utf-8")
    assert bounded in text
    scope.write_text(text.replace(bounded, "max(session_number) + 5 as last_number"), encoding="utf-8")
    return load_scanners(compile_models(copy, folder / "compiled"))


def test_a_scanner_that_peeks_is_caught_by_cutting_and_by_spoiling(build: Build, with_a_peeking_scanner: CompiledScanners) -> None:
    # RISE leaps in the last session: seen from the close before, that is tomorrow.
    daily = build.inputs.bars_daily.with_columns(
        volume=pl.when(pl.col("session_date") == build.sessions[-2].session_date).then(9000).otherwise("volume")
    )
    found = look_ahead(
        with_a_peeking_scanner, replace(build.inputs, bars_daily=daily), build.sessions[-2].closes_at, ["breakout_20d"]
    )

    assert set(found["inputs"]) == {"truncated", "spoiled"}
    assert set(found["scanner_name"]) == {"breakout_20d"}
    assert "XNSE:RISE" in found["instrument_id"].to_list()


def test_runs_agree_whatever_the_moment_something_was_known(build: Build, compiled: CompiledScanners) -> None:
    signals = build.rows("from marts.scanner_signals")

    assert different(signals, signals.with_columns(known_at=pl.col("known_at") + timedelta(days=1))).is_empty()
    assert different(signals, signals.head(signals.height - 1)).height == 1
    assert different(signals, signals.with_columns(confidence_score=pl.col("confidence_score") + 1e-6)).height == 2 * signals.height
