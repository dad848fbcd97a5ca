"""The inboxes' sensors: one run per batch or delivery, refused files said once, another run only for one that died."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pipelines.doctor.inboxes import check_inbox
from pipelines.inbox.deliveries import conclude, conclusion, load_delivery, refused_deliveries
from pipelines.inbox.watch import recall
from pipelines.ingest.accounting import Account
from pipelines.ingest.requests import IngestRequest
from pipelines.orchestration import sensors, vendor_inbox
from pipelines.orchestration.ingest_run import IngestReport
from pipelines.orchestration.resources import MarketlakeResource, WriterLock
from pipelines.orchestration.sensors import live_sensor
from pipelines.orchestration.vendor_inbox import DELIVERY_TAG, vendor_inbox_sensor
from pipelines.settings import Settings
from pipelines.sources.registry import source
from pipelines.storage.locks import home_lock

MIC = "XNYS"


def failed_step(job: str) -> dg.DagsterEvent:
    """What a run of this name reports of a step that fails."""

    @dg.op
    def scan() -> None:
        raise ValueError("no such column")

    @dg.job(name=job)
    def failing() -> None:
        scan()

    (failed,) = (event for event in failing.execute_in_process(raise_on_error=False).all_events if event.is_step_failure)
    return failed


@dataclass
class Daemon:
    """Ticks of one sensor; requested runs are put on record as the daemon would, started and not executed."""

    sensor: dg.SensorDefinition
    instance: dg.DagsterInstance
    cursor: str | None = None

    def tick(self) -> tuple[list[dg.RunRequest], str]:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result: Any = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor
        for request in result.run_requests or []:
            self.record(request, dg.DagsterRunStatus.STARTED)
        return list(result.run_requests or []), result.skip_message or ""

    def record(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
        self.instance.add_run(dg.DagsterRun(job_name=str(self.sensor.job_name), tags=dict(request.tags), status=status))

    def fail_steps(self) -> None:
        for record in self.instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            self.instance.report_dagster_event(failed_step(record.dagster_run.job_name), record.dagster_run.run_id)

    def end_runs(self, status: str) -> None:
        for record in self.instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            event = dg.DagsterEvent(event_type_value=f"PIPELINE_{status}", job_name=record.dagster_run.job_name)
            self.instance.report_dagster_event(event, record.dagster_run.run_id)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def at_once(home: Settings) -> Settings:
    """Settings under which a file need not wait."""
    return home.model_copy(update={"inbox_settle_seconds": 0.0, "vendor_inbox_settle_seconds": 0.0})


@pytest.fixture
def live(at_once: Settings, instance: dg.DagsterInstance) -> Daemon:
    (at_once.inbox_dir / MIC).mkdir(parents=True)
    return Daemon(live_sensor(MIC, at_once), instance)


@pytest.fixture
def vendor(at_once: Settings, instance: dg.DagsterInstance) -> Daemon:
    (at_once.inbox_dir / MIC / "csv").mkdir(parents=True)
    return Daemon(vendor_inbox_sensor(MIC, at_once), instance)


def write(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def batch_names(requests: list[dg.RunRequest]) -> list[str]:
    return sorted(str(request.tags["marketlake/batch"]) for request in requests)


def delivered(settings: Settings, request: dg.RunRequest) -> list[str]:
    delivery = load_delivery(settings.state_dir, MIC, str(request.tags[DELIVERY_TAG]))
    assert delivery is not None
    return sorted(name for name, _ in delivery.files)


def test_a_live_file_that_cannot_be_taken_is_said_once_and_stops_none_of_the_others(live: Daemon, at_once: Settings) -> None:
    folder = at_once.inbox_dir / MIC
    Path(os.fsdecode(os.fsencode(folder) + b"/latin\xe9.csv")).write_text("x")
    with (folder / "huge.csv").open("wb") as stream:
        stream.truncate(3 << 30)
    requests, said = live.tick()
    assert requests == []
    assert "XNYS/huge.csv: has 3,072 MiB" in said
    assert "XNYS/latin\\xe9.csv: has a name" in said
    write(folder / "a.csv")
    assert batch_names(live.tick()[0]) == ["a.csv"]
    assert live.tick() == ([], f"no new batch in {folder}")


def test_a_live_file_that_fails_while_it_is_read_is_said_and_stops_none_of_the_others(
    live: Daemon, at_once: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a failing disk: it can be listed, and its bytes cannot be had."""
    real = sensors.run_key

    def read(exchange: str, path: Path) -> str:
        if path.name == "bad.csv":
            raise OSError(5, "Input/output error", str(path))
        return real(exchange, path)

    monkeypatch.setattr(sensors, "run_key", read)
    write(at_once.inbox_dir / MIC / "bad.csv")
    requests, said = live.tick()
    assert (requests, said) == ([], "refused: XNYS/bad.csv: cannot be read (Input/output error)")
    write(at_once.inbox_dir / MIC / "good.csv", "y")
    assert batch_names(live.tick()[0]) == ["good.csv"]


def test_a_copy_of_a_batch_in_the_same_look_is_one_run(live: Daemon, at_once: Settings) -> None:
    for name in ("a.csv", "copy.csv"):
        write(at_once.inbox_dir / MIC / name)
    assert batch_names(live.tick()[0]) == ["a.csv"]


def test_a_batch_whose_run_died_is_scanned_again_until_a_run_ends(live: Daemon, at_once: Settings) -> None:
    write(at_once.inbox_dir / MIC / "a.csv")
    (first,), _ = live.tick()
    assert live.tick()[0] == [], "a run at work is waited for"
    live.end_runs("FAILURE")
    (second,), _ = live.tick()
    assert (second.run_key, second.run_config) == (f"{first.run_key}-2", first.run_config)
    live.end_runs("SUCCESS")
    assert live.tick()[0] == []


@pytest.mark.parametrize("how", ["CANCELED", "STEP_FAILURE"])
def test_a_scan_that_failed_or_was_canceled_is_not_repeated(live: Daemon, at_once: Settings, how: str) -> None:
    write(at_once.inbox_dir / MIC / "a.csv")
    assert batch_names(live.tick()[0]) == ["a.csv"]
    if how == "STEP_FAILURE":
        live.fail_steps()
    live.end_runs("FAILURE" if how == "STEP_FAILURE" else how)
    assert live.tick()[0] == []


def test_a_batch_is_given_up_after_three_dead_runs_and_one_that_is_gone_at_once(live: Daemon, at_once: Settings) -> None:
    gone = write(at_once.inbox_dir / MIC / "gone.csv", "y")
    write(at_once.inbox_dir / MIC / "a.csv")
    looks = [batch_names(live.tick()[0])]
    gone.unlink()
    for _ in range(3):
        live.end_runs("FAILURE")
        looks.append(batch_names(live.tick()[0]))
    assert looks == [["a.csv", "gone.csv"], ["a.csv"], ["a.csv"], []]


def test_a_long_backlog_is_worked_off_over_several_looks(live: Daemon, at_once: Settings) -> None:
    names = [f"{number:02}.csv" for number in range(45)]
    for name in names:
        write(at_once.inbox_dir / MIC / name, name)
    looks = [batch_names(live.tick()[0]) for _ in range(4)]
    assert [len(found) for found in looks] == [20, 20, 5, 0]
    assert sorted(name for found in looks for name in found) == names


def test_what_arrived_together_for_a_source_is_one_run_and_each_source_has_its_own(vendor: Daemon, at_once: Settings) -> None:
    root = at_once.inbox_dir / MIC
    for name in ("csv/daily.csv", "csv/2014/minutes.csv", "lean/equity/usa/daily/aapl.zip"):
        write(root / name)
    requests, _ = vendor.tick()
    assert [delivered(at_once, request) for request in requests] == [
        ["2014/minutes.csv", "daily.csv"],
        ["equity/usa/daily/aapl.zip"],
    ]
    assert vendor.tick()[0] == []


def test_a_folder_carries_the_options_of_its_files_and_the_nearest_file_of_options_stands(
    vendor: Daemon, at_once: Settings
) -> None:
    root = at_once.inbox_dir / MIC / "csv"
    for name in ("plain.csv", "ibm/a.csv", "ibm/deep/b.csv", "ibm/other/c.csv"):
        write(root / name)
    write(root / "ibm/options.yaml", "symbol: IBM\ntimezone: UTC\noption:\n  interval: 1m\n")
    write(root / "ibm/other/options.yaml", "symbol: AIG\n")
    found = {}
    for request in vendor.tick()[0]:
        delivery = load_delivery(at_once.state_dir, MIC, str(request.tags[DELIVERY_TAG]))
        assert delivery is not None
        found[tuple(name for name, _ in delivery.files)] = delivery.options
    assert found == {
        ("plain.csv",): {},
        ("ibm/a.csv", "ibm/deep/b.csv"): {"symbol": "IBM", "timezone": "UTC", "option": {"interval": "1m"}},
        ("ibm/other/c.csv",): {"symbol": "AIG"},
    }


def test_files_wait_for_a_faulty_file_of_options_which_is_said_once_with_its_line(vendor: Daemon, at_once: Settings) -> None:
    folder = at_once.inbox_dir / MIC / "csv"
    write(folder / "a.csv")
    write(folder / "options.yaml", "symbol: IBM\noption:\n  intervall: 1m\n")
    requests, said = vendor.tick()
    assert requests == []
    assert f"{folder}/options.yaml:3: the source csv has no option 'intervall'; did you mean interval?" in said
    assert vendor.tick() == ([], f"no new delivery in {folder.parent}")
    assert "options.yaml:3" in check_inbox(MIC, at_once).finding
    write(folder / "options.yaml", "symbol: IBM\noption:\n  interval: 1m\n")
    (request,), _ = vendor.tick()
    assert delivered(at_once, request) == ["a.csv"]
    assert check_inbox(MIC, at_once).ok


def test_folders_of_no_source_or_exchange_and_names_that_no_source_reads_are_said_once(vendor: Daemon, at_once: Settings) -> None:
    root = at_once.inbox_dir
    for name in ("XNYS/cvs/a.csv", "XNYS/letter.pdf", "NYSE/csv/a.csv", "XNYS/csv/readme.pdf", "XNYS/live.csv"):
        write(root / name)
    requests, said = vendor.tick()
    assert requests == []
    for name in ("XNYS/cvs", "XNYS/letter.pdf", "NYSE", "XNYS/csv/readme.pdf"):
        assert f"refused: {name}: " in said
    assert "live.csv" not in said
    assert vendor.tick() == ([], f"no new delivery in {root / MIC}")


def test_a_file_that_leads_out_of_the_inbox_is_never_delivered(vendor: Daemon, at_once: Settings, tmp_path: Path) -> None:
    write(tmp_path / "secret.csv")
    (at_once.inbox_dir / MIC / "csv" / "a.csv").symlink_to(tmp_path / "secret.csv")
    (at_once.inbox_dir / MIC / "lean").symlink_to(tmp_path)
    requests, said = vendor.tick()
    assert requests == []
    assert "a.csv: is a link that leads out" in said
    assert "XNYS/lean: is a link" in said


def test_a_delivery_whose_run_died_gets_another_and_one_that_was_refused_does_not(vendor: Daemon, at_once: Settings) -> None:
    write(at_once.inbox_dir / MIC / "csv" / "a.csv")
    (first,), _ = vendor.tick()
    assert vendor.tick()[0] == []
    vendor.end_runs("FAILURE")
    (second,), _ = vendor.tick()
    assert (second.tags[DELIVERY_TAG], second.run_key) != (first.tags[DELIVERY_TAG], first.run_key)
    assert second.tags[DELIVERY_TAG] == first.tags[DELIVERY_TAG]
    delivery = load_delivery(at_once.state_dir, MIC, str(first.tags[DELIVERY_TAG]))
    assert delivery is not None
    conclude(delivery, at_once.state_dir, ["a.csv: not a table"])
    vendor.end_runs("FAILURE")
    assert vendor.tick()[0] == []
    assert [reasons for _, reasons in refused_deliveries(at_once.inbox_dir, at_once.state_dir, MIC)] == [["a.csv: not a table"]]
    (at_once.inbox_dir / MIC / "csv" / "a.csv").unlink()
    assert refused_deliveries(at_once.inbox_dir, at_once.state_dir, MIC) == []


def test_a_delivery_whose_runs_die_three_times_is_given_up_and_said(vendor: Daemon, at_once: Settings) -> None:
    write(at_once.inbox_dir / MIC / "csv" / "a.csv")
    runs = 0
    for _ in range(5):
        requests, said = vendor.tick()
        runs += len(requests)
        vendor.end_runs("FAILURE")
        if "given up" in said:
            break
    assert runs == 3
    assert "csv/a.csv" in said
    assert recall(at_once.state_dir / "inbox" / f"{MIC}_vendor", vendor.cursor)["open"] == []
    (failed,) = refused_deliveries(at_once.inbox_dir, at_once.state_dir, MIC)
    assert failed[1][0].startswith("given up: 3 runs failed")


def test_an_emptied_state_folder_does_not_stop_the_sensor(vendor: Daemon, at_once: Settings) -> None:
    vendor.cursor = '{"open": ["0123456789abcdef"], "watches": {}}'
    assert vendor.tick()[0] == []
    vendor.cursor = "of another kind"
    assert vendor.tick()[0] == []


def test_a_run_holds_the_lock_and_fails_with_what_was_refused_which_is_its_conclusion(
    vendor: Daemon, at_once: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ingest(settings: Settings, order: IngestRequest) -> IngestReport:
        # Free for the ingest that the run launches, which is in the same process.
        with home_lock(settings.state_dir, "ingest", timedelta(0)):
            files = [{"path": d.name, "status": "refused", "reason": "no table"} for d in order.deliveries]
        half = [{"path": "half.csv", "rows": 10, "quarantined": 5, "share": 0.5}]
        return IngestReport(files, {"bars_daily": {"read": 0}}, {}, "run", pl.DataFrame(), Account(files=half), 1.0)

    inbox = at_once.inbox_dir / MIC / "csv"
    write(inbox / "bad.csv")
    write(inbox / "gone.csv")
    (request,), _ = vendor.tick()
    (inbox / "gone.csv").unlink()
    result = vendor_inbox.vendor_inbox_job(MIC, at_once, ingest).execute_in_process(
        instance=vendor.instance,
        run_config=request.run_config,
        raise_on_error=False,
        resources={
            "marketlake": MarketlakeResource.from_settings(at_once),
            "lock": WriterLock(home=str(at_once.home), wait_seconds=0.0),
        },
    )
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    said = str(failed.step_failure_data.user_failure_data.description)
    assert "bad.csv: no table" in said
    # What ends the command with 1 ends the run as a failure.
    assert "half.csv: 5 of 10 rows are in quarantine (50.0%), more than MARKETLAKE_MAX_QUARANTINED_SHARE=0.05" in said
    assert "gone.csv: was moved or deleted" in said
    assert conclusion(at_once.state_dir, MIC, str(request.tags[DELIVERY_TAG])) is not None
    vendor.end_runs("FAILURE")
    assert vendor.tick()[0] == []


@pytest.mark.parametrize(
    ("module", "looks", "make"), [(sensors, "batches", live_sensor), (vendor_inbox, "source_files", vendor_inbox_sensor)]
)
def test_a_pause_during_a_look_makes_no_file_older(
    module: Any, looks: str, make: Any, home: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine stands still for longer than the settle time before the folder is listed; the next look comes at once."""
    waiting = home.model_copy(update={"inbox_settle_seconds": 0.2, "vendor_inbox_settle_seconds": 0.2})
    write(waiting.inbox_dir / MIC / ("a.csv" if module is sensors else "csv/a.csv"))
    look, pauses = getattr(module, looks), iter([0.3])

    def looked(*given: Any) -> Any:
        time.sleep(next(pauses, 0.0))
        return look(*given)

    monkeypatch.setattr(module, looks, looked)
    if module is vendor_inbox:
        monkeypatch.setattr(module, "load_sources", lambda: {"csv": source("csv")})
    daemon = Daemon(make(MIC, waiting), instance)
    assert daemon.tick()[0] == []
    assert daemon.tick()[0] == []
    time.sleep(0.3)
    assert len(daemon.tick()[0]) == 1
