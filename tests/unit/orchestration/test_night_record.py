"""A night with nothing new needs no run; anything that a run could show, build or publish otherwise needs one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pytest

from pipelines.build.derived_tables import versions_of
from pipelines.orchestration.night_record import NightRecord
from pipelines.orchestration.release import release_tables
from pipelines.orchestration.schedules import nightly_schedule
from pipelines.storage.catalogue import publish_catalogue
from pipelines.storage.hold import Hold, clear_hold, set_hold
from pipelines.storage.releases import record_release, releases
from tests.support.faults import cut, log_entry
from tests.support.pipeline import Pipeline

FIRST, SECOND = date(2024, 1, 2), date(2024, 1, 3)
#: The evening of the last session with bars, at the schedule's hour in New York.
TONIGHT = datetime(2024, 1, 2, 23, tzinfo=UTC)
PRICES = (100, 101, 99, 100, 1000)


@dataclass
class Night:
    """A home after a run of the session `FIRST`."""

    pipeline: Pipeline
    record: NightRecord
    bars_csv: Callable[..., str]
    release_id: str = ""

    def ingest(self, day: date, *prices: object) -> None:
        rows = [("AAPL", str(day), *(prices or PRICES))]
        # As it closed: a lake that is delivered daily can be stale.
        came = datetime(day.year, day.month, day.day, 22, tzinfo=UTC)
        self.pipeline.ingest(self.pipeline.deliver(f"{day}-{len(prices)}.csv", self.bars_csv(rows), received_at=came))

    def run(self, **summary: Any) -> None:
        """Release the lake's head, publish it, write a report, and record that."""
        lake, settings = self.pipeline.lake, self.pipeline.settings
        versions = versions_of(lake, "XNYS", release_tables(lake))
        made, _ = record_release(lake, "XNYS", versions, code_version="1", config={}, sessions=[])
        publish_catalogue(lake, made, release_tables(lake), releases(lake), settings.state_dir, settings.catalogue_link)
        self.release_id = made.release_id
        self.report.write_text("<html>", encoding="utf-8")
        told = {"run": "run-1", "release_id": made.release_id, "new_release": True, "report": str(self.report), "checks_failed": []}
        self.record.write({**told, "trades": 7, **summary})

    @property
    def report(self) -> Path:
        return self.pipeline.settings.home / "report.html"

    def is_known(self, now: datetime = TONIGHT) -> bool:
        return self.record.unchanged(now) is not None


@pytest.fixture
def night(pipeline: Pipeline, bars_csv: Callable[..., str]) -> Night:
    made = Night(pipeline, NightRecord(pipeline.settings, "XNYS"), bars_csv)
    made.ingest(FIRST)
    made.run()
    return made


def test_without_anything_new_the_last_run_is_told_again(night: Night) -> None:
    known = night.record.unchanged(TONIGHT)
    assert known is not None
    assert known["new"].describe() == f"nothing is new: {night.release_id} stays published"
    assert (known["run"], known["new_release"], known["trades"]) == ("run-1", False, 7)


def test_a_new_bar_needs_a_run_and_that_run_is_known_afterwards(night: Night) -> None:
    night.ingest(SECOND)
    assert not night.is_known()
    night.run()
    assert night.is_known()


def test_what_comes_between_a_release_and_its_record_is_new(night: Night) -> None:
    """Another process may ingest as soon as the run has ended."""
    night.ingest(SECOND)
    told = json.loads(night.record.path.read_text(encoding="utf-8"))["summary"]
    night.record.write(told)
    assert not night.is_known()


def change_setting(night: Night) -> None:
    other = night.pipeline.settings.model_copy(update={"backtest_cash": 5.0})
    night.record = NightRecord(other, "XNYS")


def add_strategy(night: Night) -> None:
    folder = night.pipeline.settings.strategies_dir
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("name: mine\n", encoding="utf-8")


def state_holiday(night: Night) -> None:
    folder = night.pipeline.settings.calendars
    folder.mkdir()
    (folder / "XNYS.toml").write_text('[[holiday]]\ndate = 2024-02-06\nsource = "a notice"\n', encoding="utf-8")


def hold(night: Night) -> None:
    set_hold(night.pipeline.lake, Hold(night.release_id, TONIGHT, "me", ""))


def lose_catalogue(night: Night) -> None:
    night.pipeline.settings.catalogue_link.resolve().unlink()


def change_report(night: Night) -> None:
    night.report.write_text("<html>other", encoding="utf-8")


def lose_report(night: Night) -> None:
    night.report.unlink()


def cut_log(night: Night) -> None:
    cut(log_entry(night.pipeline.table("bars_daily")))


def cut_record(night: Night) -> None:
    night.record.path.write_text("{", encoding="utf-8")


def lose_record(night: Night) -> None:
    night.record.path.unlink()


@pytest.mark.parametrize(
    "happens",
    [
        change_setting,
        add_strategy,
        state_holiday,
        hold,
        lose_catalogue,
        change_report,
        lose_report,
        cut_log,
        cut_record,
        lose_record,
    ],
)
def test_whatever_a_run_follows_from_or_leaves_needs_one_when_it_changed(night: Night, happens: Callable[[Night], None]) -> None:
    assert night.is_known()
    happens(night)
    assert not night.is_known()


def test_a_hold_that_came_and_went_changes_nothing(night: Night) -> None:
    hold(night)
    clear_hold(night.pipeline.lake)
    assert night.is_known()


def test_how_long_a_writer_waits_changes_nothing(night: Night) -> None:
    patient = night.pipeline.settings.model_copy(update={"wait_seconds": 60.0})
    assert NightRecord(patient, "XNYS").unchanged(TONIGHT) is not None


def test_a_failed_check_is_shown_by_the_next_run_again(night: Night) -> None:
    night.run(checks_failed=["XNYS/bars_daily freshness: stale"])
    assert not night.is_known()


def test_an_exchange_that_became_stale_needs_a_run_to_show_it(night: Night) -> None:
    assert night.is_known(datetime(2024, 1, 3, 23, tzinfo=UTC))
    assert not night.is_known(datetime(2024, 1, 5, 23, tzinfo=UTC))


def tick(night: Night, at: datetime) -> dg.RunRequest | dg.SkipReason:
    schedule = nightly_schedule("XNYS", None, night.record)
    with TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        answer = schedule(dg.build_schedule_context(instance=instance, scheduled_execution_time=at))
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def test_the_schedule_skips_a_session_that_is_built_and_says_so(night: Night) -> None:
    answer = tick(night, TONIGHT)
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message == f"2024-01-02 is built, and nothing is new: {night.release_id} stays published"


def test_the_schedule_asks_for_a_session_without_bars_so_that_its_run_is_red(night: Night) -> None:
    answer = tick(night, datetime(2024, 1, 3, 23, tzinfo=UTC))
    assert isinstance(answer, dg.RunRequest)
    assert answer.partition_key == "2024-01-03"
