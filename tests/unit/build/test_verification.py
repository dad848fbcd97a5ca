"""What a build compares with checksums before it reads: all that models read of the lake, and of a night no history besides."""

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from pipelines.build.derived_tables import DERIVED
from pipelines.build.plan import INPUTS, WINDOW, BuildPlan
from pipelines.build.verification import READ_BY_MODELS, require_intact_inputs
from pipelines.market.tables import TABLES
from pipelines.package_data import shipped
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake

#: A session, with the three before it in the same week.
NIGHT = date(2024, 6, 28)
RECORDS = {"scanner_signals": 4, "scanner_signals_superseded": 2}
Compared = dict[str, tuple[int, Sequence[PartitionValue] | None]]


def plan_of(*sessions: date, full: bool = False) -> BuildPlan:
    rows = [("XNYS:AAPL", min(sessions), max(sessions), max(sessions))] if sessions else []
    window = pl.DataFrame(rows, schema=WINDOW, orient="row")
    return BuildPlan("XNYS", dict.fromkeys(INPUTS, 7), window, window, full)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    """Version and partitions of each table that was compared; each of them is there."""
    found: Compared = {}

    def compare(table: LakeTable, version: int, partitions: Sequence[PartitionValue] | None = None) -> int:
        found[table.schema.name] = (version, partitions)
        return 1

    monkeypatch.setattr(LakeTable, "require_intact", compare)
    monkeypatch.setattr(LakeTable, "version", lambda _: 3)
    return found


def test_all_that_models_read_of_the_lake_is_compared_and_nothing_else() -> None:
    models = [
        path.read_text(encoding="utf-8") for path in Path(shipped("dbt_project")).rglob("models/**/*.*") if path.suffix != ".yml"
    ]
    named = {name for text in models for name in re.findall(r"source\(\s*['\"]lake['\"],\s*['\"](\w+)['\"]", text)}
    # Tables of the lake: a build makes the others itself, from settings, the calendar and its plan.
    assert named & {*TABLES, *DERIVED} - {"sessions"} == set(READ_BY_MODELS)


def test_a_night_compares_its_session_and_those_that_its_minutes_go_on_from(compared: Compared) -> None:
    derived = dict.fromkeys(DERIVED, 5)
    assert require_intact_inputs(Lake("/nowhere"), plan_of(NIGHT), derived, RECORDS) == len(READ_BY_MODELS)
    assert set(compared) == set(READ_BY_MODELS)
    assert {name: version for name, (version, _) in compared.items() if version not in (5, 7)} == {
        **RECORDS,
        **dict.fromkeys(("bars_daily_superseded", "bars_1m_superseded", "corporate_actions_superseded"), 3),
    }
    minutes = compared["bars_1m"][1]
    assert minutes is not None
    assert minutes[-1] == NIGHT
    # The longest look-back of one-minute indicators is less than a session's bars: three sessions, and the night's own.
    assert minutes == [date(2024, 6, 25), date(2024, 6, 26), date(2024, 6, 27), NIGHT]
    assert compared["indicator_state_1m"][1] == compared["bars_1m_superseded"][1] == minutes
    assert compared["bars_daily"][1] == compared["indicators_daily"][1] == [2023, 2024]
    assert compared["instruments"][1] is None


def test_curves_are_compared_as_far_as_they_are_looked_at(compared: Compared) -> None:
    require_intact_inputs(Lake("/nowhere"), plan_of(NIGHT), dict.fromkeys(DERIVED, 5), RECORDS)
    around = compared["intraday_curves"][1]
    assert around is not None
    # Twenty regular sessions before are 2024-05-30 and after; holidays and half days make it more.
    assert around == compared["intraday_profiles"][1]
    assert around[0] <= date(2024, 5, 30)


def test_a_full_build_compares_every_file_of_its_inputs(compared: Compared) -> None:
    require_intact_inputs(Lake("/nowhere"), plan_of(NIGHT, full=True), dict.fromkeys(DERIVED, 5), RECORDS)
    assert set(compared) == {*INPUTS, *RECORDS, "bars_daily_superseded", "bars_1m_superseded", "corporate_actions_superseded"}
    assert {partitions for _, partitions in compared.values()} == {None}


def test_an_empty_plan_reads_nothing(compared: Compared) -> None:
    assert require_intact_inputs(Lake("/nowhere"), plan_of(), {}, RECORDS) == 0
    assert compared == {}
