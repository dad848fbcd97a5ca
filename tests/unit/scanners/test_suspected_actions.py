"""A split that nobody recorded sells nothing: signals across it wait for a decision, from the close that shows it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.build.lake_schema import FINDING_EFFECTS
from pipelines.scanners.engine.runner import ScanEngine
from pipelines.scanners.project import HomeProject
from pipelines.scanners.registry import CompiledScanners
from pipelines.settings import Settings

Build = Any  # the fixture's record, in conftest.py
MARK = pl.DataFrame([("suspected_action", "mark")], schema=FINDING_EFFECTS, orient="row")


def sold(compiled: CompiledScanners, build: Build, actions: pl.DataFrame, effects: pl.DataFrame) -> list[str]:
    inputs = replace(build.inputs, corporate_actions=actions, finding_effects=effects)
    with ScanEngine(compiled, inputs) as engine:
        signals = engine.run(build.sessions[-1].closes_at, ["breakout_20d"]).signals
    return sorted(signals.filter(pl.col("signal_type") == "SELL")["symbol"])


@pytest.fixture
def none(build: Build) -> pl.DataFrame:
    return build.inputs.corporate_actions.clear()


def test_signals_across_a_suspected_split_are_withheld(compiled: CompiledScanners, build: Build, none: pl.DataFrame) -> None:
    assert sold(compiled, build, none, pl.DataFrame()) == ["FALL"]


def test_they_are_given_where_the_home_chose_to_mark_only(compiled: CompiledScanners, build: Build, none: pl.DataFrame) -> None:
    assert sold(compiled, build, none, MARK) == ["FALL", "SPLIT"]


def test_a_recorded_split_and_a_true_move_both_decide(compiled: CompiledScanners, build: Build) -> None:
    split = build.inputs.corporate_actions
    assert sold(compiled, build, split, pl.DataFrame()) == ["FALL"]
    true_move = split.with_columns(action=pl.lit("true_move"), ratio=pl.lit(None, pl.Float64))
    assert sold(compiled, build, true_move, pl.DataFrame()) == ["FALL", "SPLIT"]


def test_the_step_is_seen_at_the_close_and_not_before(compiled: CompiledScanners, build: Build, none: pl.DataFrame) -> None:
    with ScanEngine(compiled, replace(build.inputs, corporate_actions=none)) as engine:
        close = build.sessions[-1].closes_at
        found = []
        for moment in (close - timedelta(minutes=1), close):
            engine.run(moment, ["breakout_20d"])
            found.append(engine.query("select instrument_id, action, sessions_ago from scan.unadjusted_actions").rows())
    assert found == [[], [("XNSE:SPLIT", "unrecorded_split", 0)]]


def test_withholding_is_the_default(home: Settings) -> None:
    marked = home.model_copy(update={"suspected_actions": "mark"})
    assert HomeProject.from_settings(home).choices().finding_effects.is_empty()
    assert HomeProject.from_settings(marked).choices().finding_effects.equals(MARK)
