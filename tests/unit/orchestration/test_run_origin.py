"""Runs of the command line belong to the code location of the UI, and every way of starting Dagster finds the same history."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml

from pipelines.cli.dagster_process import command
from pipelines.orchestration.compat.run_origin import LOCATION, REPOSITORY_TAG, name_origin, origin_tags
from pipelines.orchestration.instance import identify_run, open_instance
from pipelines.settings import Settings

ROOT = Path(__file__).parents[3]


class Identifies(dg.ConfigurableResource):
    """Does at a run's start what the project's resources do."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        identify_run(context)


def run_job(instance: dg.DagsterInstance) -> dg.DagsterRun:
    @dg.op
    def work(it: Identifies) -> None: ...

    @dg.job(resource_defs={"it": Identifies()})
    def XNYS_nightly() -> None:
        work()

    done = XNYS_nightly.execute_in_process(instance=instance, tags=origin_tags())
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    return run


def test_a_run_of_this_process_is_among_the_runs_of_its_job(home: Settings) -> None:
    with open_instance(home) as instance:
        run = run_job(instance)
        origin = run.remote_job_origin
        assert origin is not None
        assert (origin.job_name, origin.location_name) == ("XNYS_nightly", LOCATION)
        label = origin.repository_origin.get_label()
        found = instance.get_runs(dg.RunsFilter(job_name="XNYS_nightly", tags={REPOSITORY_TAG: label}))
        assert [r.run_id for r in found] == [run.run_id]
        assert found[0].status == dg.DagsterRunStatus.SUCCESS


def test_an_origin_that_a_run_has_is_kept(home: Settings) -> None:
    with open_instance(home) as instance:
        run = run_job(instance)
        name_origin(instance, run.run_id)
        again = instance.get_run_by_id(run.run_id)
        assert again is not None
        assert again.remote_job_origin == run.remote_job_origin


def test_the_workspace_file_and_the_command_bear_the_one_name() -> None:
    (module,) = [entry["python_module"] for entry in yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]]
    assert module["location_name"] == LOCATION
    assert command("dagster", "dev")[-2:] == ["-w", str(ROOT / "workspace.yaml")]


def test_dagster_in_the_checkout_reads_the_history_of_the_home_that_the_settings_name(
    home: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As `dagster dev -w workspace.yaml` there, without DAGSTER_HOME: its dagster.yaml, all else in a temporary folder."""
    with open_instance(home) as instance:
        run = run_job(instance)
        events = len(instance.all_logs(run.run_id))
    monkeypatch.delenv("DAGSTER_HOME")
    (tmp_path / "temporary").mkdir()
    configured = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    with dg.DagsterInstance.local_temp(str(tmp_path / "temporary"), overrides=configured) as beside:
        assert [r.run_id for r in beside.get_runs()] == [run.run_id]
        assert len(beside.all_logs(run.run_id)) == events
        assert beside.storage_directory().startswith(str(home.dagster_home))


def test_the_checkouts_instance_is_configured_as_a_homes_own(home: Settings) -> None:
    with open_instance(home):
        own = yaml.safe_load((home.dagster_home / "dagster.yaml").read_text())
    beside = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    shared = ("telemetry", "nux", "run_coordinator", "run_monitoring", "retention")
    assert {name: own[name] for name in shared} == {name: beside[name] for name in shared}
