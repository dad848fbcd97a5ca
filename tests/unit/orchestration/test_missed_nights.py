"""After a downtime each missed session is in one run, on a closed day too; a run is started again where its fault may pass."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from pipelines.ingest.freshness import NoBarsError
from pipelines.market.calendar import calendar
from pipelines.orchestration.night_record import NightRecord
from pipelines.orchestration.retries import request_retry
from pipelines.orchestration.schedules import NIGHT_TAG, nightly_schedule
from pipelines.storage.locks import LockHeldError

NEW_YORK = ZoneInfo("America/New_York")
JOB = "XNYS_nightly"


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as found:
        yield found


def evening(day: int, month: int = 3) -> datetime:
    """The schedule's tick of a day of 2024."""
    return datetime(2024, month, day, 18, tzinfo=NEW_YORK).astimezone(UTC)


def evaluate(instance: dg.DagsterInstance, tick: datetime, night: NightRecord | None = None) -> Any:
    """What the schedule answers to a tick: runs, or the reason that there is none."""
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=tick)
    answer = nightly_schedule("XNYS", last_night=night)(context)
    return answer.skip_message if isinstance(answer, dg.SkipReason) else answer if isinstance(answer, list) else [answer]


def run(instance: dg.DagsterInstance, tags: Mapping[str, str], fault: Exception | None = None) -> dg.DagsterRun:
    """A run of the nightly job's name on record."""

    @dg.op
    def build() -> None:
        if fault is not None:
            raise fault

    @dg.job(name=JOB)
    def job() -> None:
        build()

    if fault is None:
        return instance.create_run_for_job(job, tags=dict(tags), status=dg.DagsterRunStatus.SUCCESS)
    return job.execute_in_process(instance=instance, tags=dict(tags), raise_on_error=False).dagster_run


def carry_out(instance: dg.DagsterInstance, request: dg.RunRequest, fault: Exception | None = None) -> dg.DagsterRun:
    """The run that a request leads to."""
    return run(instance, {**request.tags, "dagster/partition": str(request.partition_key)}, fault)


def built(instance: dg.DagsterInstance, day: int) -> None:
    """A run of a session of March 2024, as the command line leaves it."""
    run(instance, {"dagster/partition": f"2024-03-{day:02}"})


def test_what_was_missed_before_a_weekend_runs_on_the_weekend(instance: dg.DagsterInstance) -> None:
    built(instance, 6)  # Wednesday; the daemon is up again on Saturday
    (request,) = evaluate(instance, evening(9))
    assert (request.partition_key, request.run_key) == ("2024-03-08", "XNYS-nightly-2024-03-08")
    assert request.tags["marketlake/missed"] == "2024-03-07 to 2024-03-08"
    assert request.run_config == {"ops": {"XNYS__models": {"config": {"rebuild_sessions": False}}}}
    carry_out(instance, request)
    assert evaluate(instance, evening(10)) == "2024-03-10 (Sunday) is no session of XNYS"


def test_where_nothing_was_missed_a_closed_day_is_skipped(instance: dg.DagsterInstance) -> None:
    assert evaluate(instance, evening(9)) == "2024-03-09 (Saturday) is no session of XNYS", "a new home"
    built(instance, 8)
    assert evaluate(instance, evening(9)) == "2024-03-09 (Saturday) is no session of XNYS"


def test_a_home_that_was_put_aside_for_long_starts_with_its_next_session(instance: dg.DagsterInstance) -> None:
    run(instance, {"dagster/partition": "2024-01-24"})
    assert evaluate(instance, evening(9)) == "2024-03-09 (Saturday) is no session of XNYS"
    (request,) = evaluate(instance, evening(11))
    assert request.partition_key == "2024-03-11"


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize(("down_from", "nights"), [(8, 1), (10, 3), (11, 2), (12, 4), (10, 7)])
def test_every_session_is_in_one_run_whenever_the_daemon_was_down(
    instance: dg.DagsterInstance, down_from: int, nights: int
) -> None:
    """January 2024 with its holiday on the 15th. Dagster evaluates the last tick of a downtime when the daemon is up again."""
    days = calendar("XNYS")
    run(instance, {"dagster/partition": "2024-01-05"})
    covered, last = [], date(2024, 1, 5)
    for day in range(8, 20):
        if down_from <= day < down_from + nights - 1:
            continue
        answer = evaluate(instance, evening(day, 1))
        for request in answer if isinstance(answer, list) else []:
            session = date.fromisoformat(request.partition_key)
            assert session > last, "no session has two runs"
            covered += [s.session_date for s in days.between(last + timedelta(days=1), session)]
            last = session
            carry_out(instance, request)
        # Whatever day it is: nothing that closed is left.
        assert last == days.latest_closed(evening(day, 1)).session_date
    assert covered == [s.session_date for s in days.between(date(2024, 1, 8), date(2024, 1, 19))]


def test_a_tick_that_comes_again_after_a_kill_gets_the_same_answer(instance: dg.DagsterInstance) -> None:
    """Dagster then finds the run by its key; another answer would leave it where the killed daemon left it."""
    built(instance, 6)
    (first,) = evaluate(instance, evening(9))
    carry_out(instance, first)
    (again,) = evaluate(instance, evening(9))
    assert again == first


@pytest.mark.slow
@pytest.mark.measured
def test_what_has_bars_goes_before_a_session_without(
    instance: dg.DagsterInstance, pipeline: Any, bars_csv: Callable[..., str]
) -> None:
    rows = [("AAPL", f"2024-03-0{day}", 100, 101, 99, 100, 1000) for day in (5, 6, 7)]
    pipeline.ingest(pipeline.deliver("a.csv", bars_csv(rows)))
    night = NightRecord(pipeline.settings, "XNYS")
    built(instance, 5)
    assert [request.partition_key for request in evaluate(instance, evening(8), night)] == ["2024-03-07", "2024-03-08"]
    pipeline.ingest(pipeline.deliver("b.csv", bars_csv([("AAPL", "2024-03-08", 100, 101, 99, 100, 1000)])))
    assert [request.partition_key for request in evaluate(instance, evening(8), night)] == ["2024-03-08"]


def retry(instance: dg.DagsterInstance, after: float = 0) -> Any:
    """What the sensor answers some seconds from now."""
    answer = request_retry(instance, "XNYS", time.time() + after)
    return answer if isinstance(answer, dg.RunRequest) else str(answer.skip_message)


@pytest.fixture
def night(instance: dg.DagsterInstance) -> dg.RunRequest:
    (request,) = evaluate(instance, evening(8))
    found: dg.RunRequest = request
    return found


def killed(instance: dg.DagsterInstance, request: dg.RunRequest) -> None:
    """A run whose process is gone, as the sensor of dead runs marks it."""

    @dg.job(name=JOB)
    def job() -> None:
        pass

    tags = {**request.tags, "dagster/partition": str(request.partition_key)}
    instance.report_run_failed(instance.create_run_for_job(job, tags=tags), message="process 1 is gone")


def test_a_run_that_died_is_started_again_at_once_three_runs_in_all(instance: dg.DagsterInstance, night: dg.RunRequest) -> None:
    request = night
    for attempt in (2, 3):
        killed(instance, request)
        request = retry(instance, 1)
        assert (request.run_key, request.partition_key) == (f"XNYS-nightly-2024-03-08-{attempt}", "2024-03-08")
        assert request.tags[NIGHT_TAG] == "XNYS-nightly-2024-03-08"
        assert request.run_config == night.run_config
    killed(instance, request)
    assert retry(instance, 3600) == "XNYS-nightly-2024-03-08 failed 3 times"


@pytest.mark.parametrize("fault", [LockHeldError("held"), ConnectionResetError("gone"), OSError(5, "Input/output error")])
def test_a_fault_that_may_pass_is_tried_again_after_a_while(
    instance: dg.DagsterInstance, night: dg.RunRequest, fault: Exception
) -> None:
    carry_out(instance, night, fault)
    assert "after 300 seconds" in retry(instance)
    assert retry(instance, 301).run_key == "XNYS-nightly-2024-03-08-2"


@pytest.mark.parametrize(
    "fault", [NoBarsError("none"), ValueError("refused"), PermissionError(13, "no"), FileNotFoundError(2, "x")]
)
def test_a_fault_that_stays_is_not(instance: dg.DagsterInstance, night: dg.RunRequest, fault: Exception) -> None:
    carry_out(instance, night, fault)
    assert retry(instance, 86_400).endswith(f"failed for a reason that does not pass: {type(fault).__name__}")


def test_runs_that_somebody_started_and_good_ones_are_left_alone(instance: dg.DagsterInstance, night: dg.RunRequest) -> None:
    assert retry(instance) == "the last run did not fail"
    run(instance, {"dagster/partition": "2024-03-08"}, OSError(5, "x"))
    assert retry(instance, 3600).endswith("was started by hand")
    carry_out(instance, night, OSError(5, "x"))
    carry_out(instance, night)
    assert retry(instance, 3600) == "the last run did not fail"
