"""Dagster's history on a PostgreSQL server: the nightly job runs, and all that asks for runs and sessions finds them there."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pipelines.doctor.runs import check_runs
from pipelines.orchestration.event_log import record_sessions
from pipelines.orchestration.history import prune_history
from pipelines.orchestration.home_config import POSTGRES_URL
from pipelines.orchestration.instance import PID_TAG, STARTED_TAG, open_instance
from pipelines.orchestration.keys import staged_key, table_key
from tests.support.postgres import PASSWORD, running_postgres

pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.measured]

#: A history file: 23 years of sessions.
MANY = [date(2001, 1, 1) + timedelta(days=n) for n in range(5_800)]


@dg.op
def nothing() -> None: ...


@dg.job(executor_def=dg.in_process_executor)
def XNYS_nightly() -> None:
    nothing()


@pytest.fixture(scope="module")
def case(new_home: Any, market: Any, tape: Any) -> Iterator[SimpleNamespace]:
    """A home whose history is on a server: a year of daily bars, delivered at once, and the first night."""
    home = new_home("on_postgres")
    with running_postgres() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv(POSTGRES_URL, url)
        delivered = home.ingest(*tape.base(home.folder / "inbound"), received=market.arrival(0))
        night = home.nightly()
        yield SimpleNamespace(home=home, delivered=delivered, night=night)


def test_the_night_succeeds_and_its_history_is_on_the_server_alone(case: SimpleNamespace) -> None:
    assert (case.delivered.exit_code, case.night["new_release"], case.night["checks_failed"]) == (0, True, [])
    with open_instance(case.home.settings) as instance:
        kinds = [instance.run_storage, instance.event_log_storage, instance.schedule_storage]
        assert all("Postgres" in type(storage).__name__ for storage in kinds)
        runs = {run.job_name: (run.run_id, run.status) for run in instance.get_runs()}
    assert runs["XNYS_nightly"] == (case.night["run"], dg.DagsterRunStatus.SUCCESS)
    assert runs["XNYS_ingest"] == (case.delivered.run_id, dg.DagsterRunStatus.SUCCESS)
    dagster_home = case.home.settings.dagster_home
    assert not (dagster_home / "history").exists()
    assert list(dagster_home.rglob("*.db")) == []


def test_tables_are_materialised_for_the_sessions_of_which_they_have_rows(case: SimpleNamespace) -> None:
    with open_instance(case.home.settings) as instance:
        made = {
            name: instance.get_materialized_partitions(key)
            for name, key in {
                "staged": staged_key("XNYS", "bars_daily"),
                "bars_daily": table_key("XNYS", "bars_daily"),
                "indicators_daily": table_key("XNYS", "indicators_daily"),
                "staged_1m": staged_key("XNYS", "bars_1m"),
                "bars_1m": table_key("XNYS", "bars_1m"),
            }.items()
        }
    sessions = set(case.home.rows("bars_daily")["session_date"].cast(pl.String))
    assert len(sessions) > 250
    assert made == {"staged": sessions, "bars_daily": sessions, "indicators_daily": sessions, "staged_1m": set(), "bars_1m": set()}


def test_a_check_of_a_run_has_its_result_and_no_plan_left_over(case: SimpleNamespace) -> None:
    check = dg.AssetCheckKey(table_key("XNYS", "bars_daily"), "freshness")
    with open_instance(case.home.settings) as instance:
        history = instance.event_log_storage.get_asset_check_execution_history(check, limit=20)
        assert history, "the night judged it"
        kinds = [record.event.dagster_event_type if record.event else None for record in history]
        assert set(kinds) == {dg.DagsterEventType.ASSET_CHECK_EVALUATION}


def test_thousands_of_sessions_are_written_at_once_and_each_has_its_own_figures(case: SimpleNamespace) -> None:
    key = dg.AssetKey(["XNYS", "history_file"])
    run = SimpleNamespace(run_id="12345678-1234-1234-1234-123456789012", job_name="XNYS_ingest")
    with open_instance(case.home.settings) as instance:
        started = time.monotonic()
        record_sessions(SimpleNamespace(instance=instance, run=run), key, {day: {"rows": n} for n, day in enumerate(MANY)})  # type: ignore[arg-type]
        # Sent one by one they take half a minute a table.
        assert time.monotonic() - started < 15
        assert instance.get_materialized_partitions(key) == set(map(str, MANY))
        wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[str(MANY[4_711])])
        (record,) = instance.fetch_materializations(wanted, limit=2).records
    made = record.asset_materialization
    assert made is not None
    assert {name: value.value for name, value in made.metadata.items()} == {"rows": 4_711}


def test_a_run_whose_process_is_gone_is_failed_and_doctor_names_it(case: SimpleNamespace) -> None:
    settings, lake = case.home.settings, case.home.lake
    (fine,) = check_runs(settings, lake, ["XNYS"])
    assert (fine.severity, fine.finding) == ("ok", "the last run of every job succeeded")
    gone = {PID_TAG: "1", STARTED_TAG: "nobody started then"}
    with open_instance(settings) as instance:
        run = instance.create_run_for_job(XNYS_nightly, status=dg.DagsterRunStatus.STARTED, tags=gone)
    (found,) = check_runs(settings, lake, ["XNYS"])
    assert found.severity == "error"
    assert "XNYS_nightly: run failed since the last good one" in found.finding
    assert "process 1 is gone: it was killed or the machine stopped" in found.finding
    with open_instance(settings) as instance:
        again = instance.get_run_by_id(run.run_id)
        assert again is not None
        assert again.status == dg.DagsterRunStatus.FAILURE


def test_schedules_and_sensors_keep_their_state_on_the_server(case: SimpleNamespace) -> None:
    """A sensor that its definition starts is stopped, and is told how far it has looked, each by a command of its own."""
    settings, sensor = case.home.settings, "XNYS_vendor_inbox"
    environment = case.home.environment(DAGSTER_HOME=str(settings.dagster_home))
    found = []
    for words in (("stop", sensor), ("cursor", sensor, "--set", "the last file seen")):
        command = [sys.executable, "-m", "dagster", "sensor", *words, "-m", "pipelines.definitions"]
        done = subprocess.run(command, cwd=case.home.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        with open_instance(settings) as instance:
            (state,) = instance.all_instigator_state()
        found.append((state.name, state.status.value, state.instigator_data and state.instigator_data.cursor))
    assert found == [(sensor, "STOPPED", None), (sensor, "STOPPED", "the last file seen")]


def test_old_runs_leave_the_server_and_their_sessions_stay_materialised(case: SimpleNamespace) -> None:
    keys = [table_key("XNYS", name) for name in ("bars_daily", "indicators_daily")]
    with open_instance(case.home.settings) as instance:
        # Runs after the night's, which is no longer the last of its job; the ingest's is.
        newest = XNYS_nightly.execute_in_process(instance=instance).run_id
        before = [instance.get_materialized_partitions(key) for key in keys]
        later = datetime.now(UTC) + timedelta(days=100)
        told, _ = prune_history(instance, later, dry_run=True)
        freed, _ = prune_history(instance, later, dry_run=False)
        assert [(share.what, share.count) for share in told] == [(share.what, share.count) for share in freed]
        assert {run.run_id for run in instance.get_runs()} == {newest, case.delivered.run_id}
        assert instance.all_logs(case.night["run"], of_type=dg.DagsterEventType.STEP_START) == []
        assert [instance.get_materialized_partitions(key) for key in keys] == before
        assert len(before[0]) > 250
        assert {r.run_id for r in instance.fetch_materializations(keys[1], limit=1_000).records} == {case.night["run"]}


def test_the_password_is_in_no_file_of_the_home(case: SimpleNamespace) -> None:
    files = [path for path in case.home.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 20
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
