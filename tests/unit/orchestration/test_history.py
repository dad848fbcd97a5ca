"""Old runs leave Dagster's history; a session stays materialised by the run that made it last, and a check keeps its result."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.orchestration.failures import failed_jobs
from pipelines.orchestration.history import prune_history
from pipelines.orchestration.instance import open_instance
from pipelines.settings import Settings

KEY = dg.AssetKey(["XNYS", "bars_daily"])
NINETY = timedelta(days=90)
LATER = datetime.now(UTC) + timedelta(days=200)


@dg.asset(key=KEY, partitions_def=dg.StaticPartitionsDefinition(["2024-01-02", "2024-01-03", "2024-01-04"]))
def bars_daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    print("at work")  # noqa: T201 - what a step prints is kept in files
    return dg.MaterializeResult(metadata={"rows": len(context.instance.get_run_records())})


@dg.asset_check(asset=bars_daily)
def complete() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.op(config_schema={"fails": bool})
def work(context: dg.OpExecutionContext) -> None:
    if context.op_config["fails"]:
        raise dg.Failure("no bars")


@dg.job(executor_def=dg.in_process_executor)
def XNYS_nightly() -> None:
    work()


@pytest.fixture
def instance(home: Settings) -> Iterator[dg.DagsterInstance]:
    with open_instance(home) as opened:
        yield opened


def materialise(instance: dg.DagsterInstance, session: str) -> str:
    # Through a repository, as a run of the UI: without one an asset has no job of its own.
    result = dg.materialize([bars_daily, complete], instance=instance, partition_key=session)
    return result.run_id


def nightly(instance: dg.DagsterInstance, *, fails: bool) -> str:
    config = {"ops": {"work": {"config": {"fails": fails}}}}
    return XNYS_nightly.execute_in_process(instance=instance, run_config=config, raise_on_error=False).run_id


def made(instance: dg.DagsterInstance) -> dict[str | None, tuple[str, Any]]:
    """Run and figure of each session's last materialisation."""
    records = instance.fetch_materializations(KEY, limit=100).records
    found: dict[str | None, tuple[str, Any]] = {}
    for record in records:
        event = record.asset_materialization
        assert event is not None
        found.setdefault(event.partition, (record.run_id, event.metadata["rows"].value))
    return found


def figures(shares: list[Any]) -> dict[str, int]:
    return {share.what: share.count for share in shares}


@pytest.fixture
def three_old_and_a_young_one(instance: dg.DagsterInstance) -> tuple[list[str], str, datetime]:
    old = [materialise(instance, session) for session in ("2024-01-02", "2024-01-02", "2024-01-03")]
    cut = datetime.now(UTC)
    return old, materialise(instance, "2024-01-04"), cut + NINETY


def test_every_session_stays_materialised_by_the_run_that_made_it_last(
    instance: dg.DagsterInstance, three_old_and_a_young_one: tuple[list[str], str, datetime]
) -> None:
    old, young, now = three_old_and_a_young_one
    before, log = made(instance), [entry.to_json() for entry in instance.all_logs(young)]
    checked = instance.event_log_storage.get_asset_check_execution_history(complete.check_key, 10)
    assert before == {"2024-01-02": (old[1], 2), "2024-01-03": (old[2], 3), "2024-01-04": (young, 4)}

    freed, kept = prune_history(instance, now, dry_run=False)

    assert made(instance) == before
    assert instance.get_materialized_partitions(KEY) == set(before)
    assert len(instance.fetch_materializations(KEY, limit=100).records) == 3
    assert [run.run_id for run in instance.get_runs()] == [young]
    assert [entry.to_json() for entry in instance.all_logs(young)] == log
    assert instance.event_log_storage.get_asset_check_execution_history(complete.check_key, 10) == checked[:1]
    assert figures(freed)["Dagster's runs"] == 3
    assert figures(freed)["events of these runs"] > 0
    assert figures(kept) == {"Dagster's runs": 1}
    assert prune_history(instance, now, dry_run=False)[0][0].count == 0


@pytest.mark.slow
@pytest.mark.measured
def test_files_of_old_runs_go_and_those_of_others_stay(
    home: Settings, instance: dg.DagsterInstance, three_old_and_a_young_one: tuple[list[str], str, datetime]
) -> None:
    old, young, now = three_old_and_a_young_one

    def left() -> list[str]:
        return [run_id for run_id in (*old, young) if any(run_id in str(path) for path in home.dagster_home.rglob("*"))]

    assert left() == [*old, young]
    (runs, _), _ = prune_history(instance, now, dry_run=False)
    assert left() == [young]
    assert runs.size_bytes > 3 * 4096


@pytest.mark.slow
@pytest.mark.measured
def test_a_dry_run_tells_the_same_and_deletes_nothing(
    instance: dg.DagsterInstance, three_old_and_a_young_one: tuple[list[str], str, datetime]
) -> None:
    old, young, now = three_old_and_a_young_one
    logs = {run_id: len(instance.all_logs(run_id)) for run_id in (*old, young)}
    freed, kept = prune_history(instance, now, dry_run=True)
    assert {run_id: len(instance.all_logs(run_id)) for run_id in (*old, young)} == logs
    assert len(instance.get_runs()) == 4
    assert [figures(freed), figures(kept)] == [figures(shares) for shares in prune_history(instance, now, dry_run=False)]


def test_a_job_keeps_its_last_run_and_its_last_good_one(home: Settings, instance: dg.DagsterInstance) -> None:
    runs = [nightly(instance, fails=fails) for fails in (False, False, True, True)]
    before = failed_jobs(home)
    prune_history(instance, LATER, dry_run=False)
    assert {run.run_id for run in instance.get_runs()} == {runs[1], runs[3]}
    (was,), (job,) = before, failed_jobs(home)
    assert (job.run_id, job.reason, job.last_success) == (was.run_id, was.reason, was.last_success)


def test_a_run_that_is_not_over_stays(instance: dg.DagsterInstance) -> None:
    ended = [nightly(instance, fails=False) for _ in range(2)]
    waiting = instance.create_run_for_job(XNYS_nightly, run_config={"ops": {"work": {"config": {"fails": False}}}})
    prune_history(instance, LATER, dry_run=False)
    assert {run.run_id for run in instance.get_runs()} == {ended[1], waiting.run_id}


def test_what_a_killed_pruning_left_is_finished_by_the_next(
    instance: dg.DagsterInstance, three_old_and_a_young_one: tuple[list[str], str, datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, young, now = three_old_and_a_young_one
    before = made(instance)

    def killed(_: object, run_id: str) -> None:
        raise KeyboardInterrupt(run_id)

    with monkeypatch.context() as patched:
        patched.setattr(type(instance.run_storage), "delete_run", killed)
        with pytest.raises(KeyboardInterrupt):
            prune_history(instance, now, dry_run=False)
    assert prune_history(instance, now, dry_run=False)[0][0].count == 3
    assert (made(instance), [run.run_id for run in instance.get_runs()]) == (before, [young])


def test_the_command_tells_of_the_history_too(
    instance: dg.DagsterInstance, marketlake: Callable[..., tuple[int, str, str]]
) -> None:
    nightly(instance, fails=False)
    code, out, _ = marketlake("maintain", "--json")
    kept = {share["what"]: (share["count"], share["why"]) for share in json.loads(out)["kept"]}
    assert (code, kept["Dagster's runs"]) == (0, (1, "younger than 90 days, or a job's last"))


def test_a_history_in_one_database_is_pruned_alike() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [materialise(instance, session) for session in ("2024-01-02", "2024-01-02", "2024-01-03", "2024-01-04")]
        before = made(instance)
        freed, kept = prune_history(instance, LATER, dry_run=False)
        assert made(instance) == before
        assert (figures(freed)["Dagster's runs"], figures(kept)) == (3, {"Dagster's runs": 1})
        assert [len(instance.all_logs(run_id)) for run_id in runs[:3]] == [0, 1, 1]


def test_a_storage_that_is_not_known_is_left_alone(tmp_path: Path) -> None:
    # Dagster's own SQLite files, as a dagster.yaml without marketlake's has them.
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        nightly(instance, fails=False)
        freed, (kept,) = prune_history(instance, LATER, dry_run=False)
        assert (freed, kept.count, "SqliteEventLogStorage, which dagster.yaml names" in kept.why) == ([], 1, True)
        assert len(instance.get_runs()) == 1


@pytest.mark.slow
@pytest.mark.measured
def test_dagster_itself_would_take_the_sessions_along(
    instance: dg.DagsterInstance, three_old_and_a_young_one: tuple[list[str], str, datetime]
) -> None:
    """Why events are deleted one by one: should this fail, Dagster's own `delete_run` is enough."""
    old, _, _ = three_old_and_a_young_one
    instance.delete_run(old[2])
    assert "2024-01-03" not in instance.get_materialized_partitions(KEY)
