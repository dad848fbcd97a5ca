"""A run whose process was killed is distinguished from one at work, marked as failed, and blocks nobody."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipelines.orchestration.failures import failed_jobs
from pipelines.orchestration.instance import PID_TAG, STARTED_TAG, fail_dead_runs, open_instance, process_tags
from pipelines.settings import Settings
from pipelines.storage.locks import home_lock

_RUN = """
import time
import dagster as dg
from pipelines.orchestration.instance import open_instance, process_tags
from pipelines.settings import Settings
from pipelines.storage.locks import home_lock

@dg.op(pool="writer")
def at_work():
    print("at work", flush=True)
    time.sleep(300)

@dg.job(executor_def=dg.in_process_executor)
def endless():
    at_work()

settings = Settings()
with home_lock(settings.state_dir, "endless run"), open_instance(settings) as instance:
    endless.execute_in_process(instance=instance, tags=process_tags())
"""


@pytest.fixture
def worker(home: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of a run on this home, which holds the lock and a slot of a pool."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, "-c", _RUN], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        yield process
        process.kill()


@dg.op(pool="writer")
def nothing() -> None: ...


@dg.job(executor_def=dg.in_process_executor)
def short() -> None:
    nothing()


@pytest.mark.slow
@pytest.mark.measured
def test_a_run_at_work_is_left_alone_and_a_killed_one_is_failed_and_the_next_starts_at_once(home, worker) -> None:
    with open_instance(home) as instance:
        (run,) = instance.get_runs()
        assert (run.status, run.tags[PID_TAG]) == (dg.DagsterRunStatus.STARTED, str(worker.pid))
        assert fail_dead_runs(instance) == []

    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()

    with home_lock(home.state_dir, "next run"), open_instance(home) as instance:
        (dead,) = instance.get_runs()
        assert (dead.run_id, dead.status) == (run.run_id, dg.DagsterRunStatus.FAILURE)
        messages = [e.message for e in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)]
        assert messages == [f"process {worker.pid} is gone: it was killed or the machine stopped"]
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        assert short.execute_in_process(instance=instance, tags=process_tags(), run_config=quiet).success
        assert fail_dead_runs(instance) == []


def test_a_run_that_was_recorded_and_killed_before_its_first_step_is_failed_too(home: Settings) -> None:
    gone = {PID_TAG: "1", STARTED_TAG: "nobody started then"}
    with open_instance(home) as instance:
        run = instance.create_run_for_job(short, tags=gone)
        assert run.status == dg.DagsterRunStatus.NOT_STARTED
        assert fail_dead_runs(instance) == [run.run_id]
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE


def test_a_process_that_took_over_the_id_of_a_dead_one_is_not_mistaken_for_it(home: Settings) -> None:
    """Process ids are used again; the time at which the process started tells them apart."""
    with open_instance(home) as instance:
        tags = {**process_tags(), STARTED_TAG: "1"}
        run = instance.create_run_for_job(short, status=dg.DagsterRunStatus.STARTED, tags=tags)
        alive = instance.create_run_for_job(short, status=dg.DagsterRunStatus.STARTED, tags=process_tags())
        foreign = instance.create_run_for_job(short, status=dg.DagsterRunStatus.STARTED)
        assert fail_dead_runs(instance) == [run.run_id]
        left = [instance.get_run_by_id(r.run_id).status for r in (alive, foreign)]
        assert left == [dg.DagsterRunStatus.STARTED] * 2


def test_the_instance_lies_in_the_home_and_keeps_what_a_person_wrote_into_its_configuration(home: Settings) -> None:
    with open_instance(home) as instance:
        assert instance.root_directory == str(home.dagster_home)
    config = home.dagster_home / "dagster.yaml"
    config.write_text(config.read_text() + "# mine\n")
    with open_instance(home):
        pass
    assert config.read_text().endswith("# mine\n")


@dg.job(name="XNYS_nightly", executor_def=dg.in_process_executor)
def nightly() -> None:
    nothing()


def test_a_dead_run_is_named_among_the_failed_jobs_with_what_became_of_it(home: Settings) -> None:
    """Its failure has a message and no error: nobody was left to report one."""
    gone = {PID_TAG: "1", STARTED_TAG: "nobody started then"}
    with open_instance(home) as instance:
        run = instance.create_run_for_job(nightly, status=dg.DagsterRunStatus.STARTED, tags=gone)
    (failed,) = failed_jobs(home)
    assert (failed.name, failed.count, failed.run_id) == ("XNYS_nightly", 1, run.run_id)
    assert failed.reason == "process 1 is gone: it was killed or the machine stopped"
