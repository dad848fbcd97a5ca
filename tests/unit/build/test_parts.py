"""A large build is divided at whole sessions: each lies in one part, and a part knows nothing of what comes later."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.build.parts import divide_plan
from pipelines.build.plan import BOUNDS, WINDOW, BuildPlan
from pipelines.build.progress import BuildProgress
from pipelines.build.replacement_windows import touched_sessions
from pipelines.market.calendar import calendar
from tests.support.pipeline import Pipeline

SESSIONS = [s.session_date for s in calendar("XNYS", None).between(date(2023, 11, 1), date(2024, 2, 29))]
NAMES = ["A", "B"]


@pytest.fixture
def stored(pipeline: Pipeline, bars_csv: Any) -> Pipeline:
    """Two shares with a daily bar on each session, and one with two minutes on the last four sessions."""
    daily = [(name, str(day), 100, 101, 99, 100, 1000) for name in NAMES for day in SESSIONS]
    minutes = [("A", f"{day} 10:0{minute}", 100, 101, 99, 100, 10) for day in SESSIONS[-4:] for minute in (0, 1)]
    pipeline.ingest(pipeline.deliver("daily.csv", bars_csv(daily)), pipeline.deliver("minutes.csv", bars_csv(minutes)))
    return pipeline


@pytest.fixture
def suite() -> Any:
    from tests.support.suites import no_expectations

    return no_expectations


def window(*rows: tuple[str, date, date, date]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=WINDOW, orient="row")


def plan_of(stored: Pipeline, daily: pl.DataFrame, minute: pl.DataFrame, *, full: bool = True) -> BuildPlan:
    inputs = {name: stored.table(name).version() or 0 for name in ("bars_daily", "bars_1m")}
    bounds = pl.DataFrame([(SESSIONS[0], SESSIONS[-1])], schema=BOUNDS, orient="row")
    return BuildPlan("XNYS", inputs, daily, minute, full=full, bounds=bounds)


@pytest.fixture
def whole(stored: Pipeline) -> BuildPlan:
    first, last = SESSIONS[0], SESSIONS[-1]
    return plan_of(stored, window(*((name, first, last, last) for name in NAMES)), window(("A", SESSIONS[-4], last, last)))


def test_a_small_build_is_one_part_which_sees_everything(stored: Pipeline, whole: BuildPlan) -> None:
    assert divide_plan(stored.lake, whole) == [whole]
    assert whole.until is None


@pytest.mark.parametrize(("daily", "minutes"), [(20, 1_000), (1_000, 2), (1_000, 5), (1, 1), (33, 4)])
def test_every_session_lies_in_one_part(stored: Pipeline, whole: BuildPlan, daily: int, minutes: int) -> None:
    parts = divide_plan(stored.lake, whole, daily, minutes)
    assert len(parts) > 1
    assert [day for part in parts for day in touched_sessions(part)] == SESSIONS
    assert [part.until for part in parts] == [*(touched_sessions(part)[-1] for part in parts[:-1]), None]
    # The first begins with nothing, the others go on from it.
    assert [part.full for part in parts] == [True, *[False] * (len(parts) - 1)]
    for part in parts:
        sessions = touched_sessions(part)
        assert part.bounds.row(0) == (SESSIONS[0], sessions[-1])
        assert set(part.daily["instrument_id"]) == set(NAMES)
        assert len(sessions) * 2 <= max(daily, 2) * 1.2
        assert sum(day in SESSIONS[-4:] for day in sessions) * 2 <= max(minutes, 2)


def test_what_only_follows_from_a_change_is_divided_and_stays_what_only_follows(stored: Pipeline) -> None:
    """A bar of the third session was restated: later parts know that nothing changed within them."""
    changed = SESSIONS[2]
    plan = plan_of(stored, window(("A", changed, SESSIONS[-1], changed)), window(), full=False)
    first, *later = divide_plan(stored.lake, plan, 40)
    assert first.daily.row(0)[1:] == (changed, touched_sessions(first)[-1], changed)
    for part in later:
        ((_, begin, _, changed_to),) = part.daily.rows()
        assert changed_to == changed < begin <= touched_sessions(part)[0]


class TestProgress:
    """A killed build goes on after the last part that it committed, if it is the same build on the same tables."""

    @pytest.fixture
    def parts(self, stored: Pipeline, whole: BuildPlan) -> list[BuildPlan]:
        return divide_plan(stored.lake, whole, 40)

    def test_it_goes_on_after_what_is_committed(self, parts: list[BuildPlan], tmp_path: Path) -> None:
        (tmp_path / "build").mkdir()
        progress = BuildProgress.of(tmp_path, "XNYS", "this")
        assert progress.finished(parts, "tables") == 0
        progress.write(parts[1], "tables")
        assert progress.finished(parts, "tables") == 2
        assert progress.finished(parts, "other tables") == 0
        assert BuildProgress.of(tmp_path, "XNYS", "another").finished(parts, "tables") == 0
        progress.path.write_text("{", encoding="utf-8")
        assert progress.finished(parts, "tables") == 0

    def test_after_the_last_part_there_is_nothing_to_go_on_with(self, parts: list[BuildPlan], tmp_path: Path) -> None:
        (tmp_path / "build").mkdir()
        progress = BuildProgress.of(tmp_path, "XNYS", "this")
        progress.write(parts[0], "tables")
        progress.write(parts[-1], "tables")
        assert not progress.path.exists()
