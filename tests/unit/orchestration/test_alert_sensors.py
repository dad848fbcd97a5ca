"""The sensors of alerts: a failed run is told with reason, session and address, a stale exchange once, and what is over."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.orchestration.alerts import alert_sensors, tell_state
from pipelines.orchestration.instance import open_instance
from pipelines.settings import Settings

JOB = "XNYS_nightly"
TAGS = {"marketlake/exchange": "XNYS", "dagster/partition": "2014-06-11"}
NOW = datetime(2024, 1, 31, 23, tzinfo=UTC)


@pytest.fixture
def told(tmp_path: Path) -> Callable[[], list[dict[str, str]]]:
    path = tmp_path / "told.jsonl"
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def alerted(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MARKETLAKE_ALERT_URLS", f"file://{tmp_path}/told.jsonl")
    monkeypatch.setenv("MARKETLAKE_UI_URL", "http://desk:3000/")
    return Settings()


@pytest.fixture
def instance(alerted: Settings) -> Iterator[dg.DagsterInstance]:
    with open_instance(alerted) as found:
        yield found


def run_of(instance: dg.DagsterInstance, fault: Exception | None) -> Any:
    """A run of the nightly job's name, which fails with this fault or not at all."""

    @dg.op(name="XNYS__release")
    def release() -> None:
        if fault is not None:
            raise fault

    @dg.job(name=JOB)
    def job() -> None:
        release()

    return job.execute_in_process(instance=instance, tags=TAGS, raise_on_error=False)


def sensor(settings: Settings, name: str) -> Any:
    (found,) = (one for one in alert_sensors(settings) if one.name == name)
    return found


def look(settings: Settings, instance: dg.DagsterInstance, result: Any) -> None:
    """What the daemon does with a run that ended."""
    name = "alert_recovered_runs" if result.success else "alert_failed_runs"
    event = result.get_run_success_event() if result.success else result.get_run_failure_event()
    context = dg.build_run_status_sensor_context(
        sensor_name=name, dagster_instance=instance, dagster_run=result.dagster_run, dagster_event=event
    )
    sensor(settings, name)(context if result.success else context.for_run_failure())


def test_without_addresses_there_are_no_sensors(home: Settings) -> None:
    assert alert_sensors(home) == []


def test_a_failed_run_is_told_with_reason_session_and_address(alerted: Settings, instance: dg.DagsterInstance, told: Any) -> None:
    failed = run_of(instance, ValueError("XNYS has no bars of 2014-06-11"))
    look(alerted, instance, failed)
    (line,) = told()
    assert line["title"] == "XNYS_nightly failed"
    assert line["body"].split("\n") == [
        "step XNYS__release: ValueError: XNYS has no bars of 2014-06-11",
        "exchange: XNYS",
        "session: 2014-06-11",
        f"run: http://desk:3000/runs/{failed.run_id}",
    ]
    look(alerted, instance, run_of(instance, ValueError("XNYS has no bars of 2014-06-11")))
    assert len(told()) == 1
    look(alerted, instance, run_of(instance, None))
    look(alerted, instance, run_of(instance, None))
    assert [one["title"] for one in told()] == ["XNYS_nightly failed", "over: XNYS_nightly failed"]


def test_a_run_that_succeeded_before_its_failure_was_told_ends_it(
    alerted: Settings, instance: dg.DagsterInstance, told: Any
) -> None:
    failed, good = run_of(instance, ValueError("x")), run_of(instance, None)
    look(alerted, instance, good)
    look(alerted, instance, failed)
    assert [one["kind"] for one in told()] == ["failure", "success"]


def test_an_address_that_fails_fails_nothing_and_is_logged(
    alerted: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv("MARKETLAKE_ALERT_URLS", "json://127.0.0.1:1/T0ps3cret")
    look(Settings(), instance, run_of(instance, ValueError("x")))
    out, err = capfd.readouterr()
    assert "the alert could not be sent to target 1 (json://)" in out + err
    assert "T0ps3cret" not in out + err


@pytest.mark.slow
@pytest.mark.measured
def test_a_stale_exchange_is_told_once_and_its_end(
    alerted: Settings, pipeline: Any, instance: dg.DagsterInstance, bars_csv: Any, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del instance
    assert tell_state(alerted, NOW) == {}
    assert told() == [], "an exchange without bars is none that anybody waits for"
    row = [("AAPL", "2024-01-02", 100, 101, 99, 100, 1000)]
    pipeline.ingest(pipeline.deliver("a.csv", bars_csv(row), received_at=datetime(2024, 1, 2, 22, tzinfo=UTC)))
    for now in (NOW, NOW.replace(hour=22), datetime(2024, 2, 1, 2, tzinfo=UTC)):
        tell_state(alerted, now)
    (line,) = told()
    assert line["title"] == "XNYS is stale"
    assert "nothing of XNYS is released" in line["body"]
    assert "run `marketlake nightly --exchange XNYS`" in line["body"]
    release(pipeline)
    tell_state(alerted, datetime(2024, 1, 3, 2, tzinfo=UTC))
    assert [one["title"] for one in told()] == ["XNYS is stale", "over: XNYS is stale"]
    tell_state(alerted, NOW)
    assert told()[-1]["body"].startswith("XNYS is released up to 2024-01-02\n20 sessions behind 2024-01-31")
    with dg.DagsterInstance.ephemeral() as empty:
        sensor(alerted, "alert_stale_exchanges")(dg.build_sensor_context(instance=empty))


def test_the_command_tells_what_failed_where_no_daemon_runs(
    alerted: Settings, instance: dg.DagsterInstance, told: Any, marketlake: Callable[..., tuple[int, str, str]]
) -> None:
    run_of(instance, ValueError("no bars"))
    code, out, _ = marketlake("alerts", "send", "--json")
    assert (code, json.loads(out)["open"]) == (0, ["XNYS_nightly failed"])
    assert marketlake("alerts", "send")[:2] == (0, "XNYS_nightly failed\n")
    assert len(told()) == 1
    run_of(instance, None)
    assert marketlake("alerts", "send")[:2] == (0, "nothing is wrong\n")
    assert [one["kind"] for one in told()] == ["failure", "success"]


def release(pipeline: Any) -> None:
    from pipelines.build.derived_tables import versions_of
    from pipelines.orchestration.release import release_tables
    from pipelines.storage.releases import record_release

    versions = versions_of(pipeline.lake, "XNYS", release_tables(pipeline.lake))
    record_release(pipeline.lake, "XNYS", versions, code_version="1", config={}, sessions=["2024-01-02", "2024-01-02", 1])
