"""`marketlake ui` under a service manager and through a power failure: nothing stays behind, and the next night runs by itself."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_graphql import DagsterGraphQLClient

from pipelines.orchestration.instance import PID_TAG
from pipelines.orchestration.jobs import delivery_job_name
from pipelines.storage.locks import home_lock

pytestmark = pytest.mark.slow


class Site:
    """A home with its webserver and daemon, as `marketlake ui` starts them."""

    def __init__(self, home: Any) -> None:
        self.home = home
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.log = home.folder / "ui.log"

    def start(self, **environment: str) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name("marketlake")), "ui", "--port", str(self.port)],
                cwd=self.home.folder,
                env=self.home.environment(MARKETLAKE_VENDOR_INBOX_SETTLE_SECONDS="3", **environment),
                stdout=log,
                stderr=log,
            )
        self._until(self._answers, "the page")

    def launch_nightly(self, session: date = date(2014, 6, 4), *, full: bool = True) -> str:
        """Launch the nightly job as the schedule, or a person in the UI, does; its run id."""
        config = {"ops": {f"{self.home.mic}__models": {"config": {"full": full}}}}
        client = DagsterGraphQLClient("127.0.0.1", port_number=self.port)
        return client.submit_job_execution(
            f"{self.home.mic}_nightly", run_config=config, tags={"dagster/partition": session.isoformat()}
        )

    def deliver(self, tape: Any, session: date) -> None:
        """A session's files, moved into the inbox of vendor files as one folder."""
        inbox = self.home.settings.vendor_inbox_dir / self.home.mic / "csv"
        inbox.mkdir(parents=True, exist_ok=True)
        made = self.home.folder / "outbox" / str(session)
        tape.delivery(made, session)
        made.rename(inbox / str(session))

    def deliveries(self) -> list[tuple[str, bool]]:
        """Status of each run of a delivery, oldest first, and whether its process is there; before it has one it is to come."""
        with dg.DagsterInstance.from_config(str(self.home.settings.dagster_home)) as instance:
            found = instance.get_run_records(dg.RunsFilter(job_name=delivery_job_name(self.home.mic)), ascending=True)
        pids = [int(record.dagster_run.tags.get(PID_TAG, 0)) for record in found]
        there = [not pid or pid in alive([pid]) for pid in pids]
        return [(record.dagster_run.status.value, is_there) for record, is_there in zip(found, there, strict=True)]

    def wait_for_deliveries(self, done: int) -> None:
        """Wait until so many deliveries went in, each by one run, after the one or two runs that were cut."""

        def is_so() -> bool:
            statuses = [status for status, _ in self.deliveries()]
            return statuses in (["FAILURE"] * cut + ["SUCCESS"] * done for cut in (1, 2))

        self._until(is_so, f"{done} deliveries to go in")

    def wait_until(self, true: Any, what: str) -> None:
        self._until(true, what)

    def wait_for(self, run_id: str, *statuses: str) -> None:
        client = DagsterGraphQLClient("127.0.0.1", port_number=self.port)
        self._until(lambda: client.get_run_status(run_id).value in statuses, f"run {run_id} to be {statuses}", ended=("FAILURE",))

    def descendants(self) -> list[int]:
        """Processes that the command started, by parent."""
        assert self.process is not None
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                if entry.name.isdigit():
                    parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found[1:]

    def end_at_once(self) -> None:
        """Kill every process of the site, as a power failure does."""
        assert self.process is not None
        for pid in [self.process.pid, *self.descendants()]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/server_info", timeout=5)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    def _until(self, true: Any, what: str, ended: tuple[str, ...] = ()) -> None:
        deadline = time.monotonic() + 900
        while not true():
            assert time.monotonic() < deadline, f"waited for {what}: {self.log.read_text(errors='replace')[-2000:]}"
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
            time.sleep(0.5)


@pytest.fixture
def site(based_home: Any, request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site(based_home(request.node.name[:20]))
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end_at_once()


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                found.append(pid)
    return found


def test_sigterm_ends_webserver_daemon_and_code_server(site: Site) -> None:
    site.start()
    started = site.descendants()
    assert len(started) >= 3
    commands = [Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in started]
    assert sum("grpc" in words for words in commands) == 1, "webserver and daemon share one code server"
    assert site.process is not None
    site.process.terminate()
    assert site.process.wait(timeout=90) == 0
    assert alive(started) == []


def test_after_power_failures_in_mid_delivery_and_mid_run_two_nights_pass_without_a_manual_step(
    site: Site, tape: Any, market: Any
) -> None:
    # The night that was cut, and an ordinary one after it.
    nights = market.SESSIONS[:2]
    # The power fails between two commits of the first delivery.
    site.start(MARKETLAKE_CRASH_AT="lake.committed")
    site.deliver(tape, nights[0])
    # Nothing waits for the run to be still on record as started: the sensor of dead runs may be the first to see it gone.
    site.wait_until(lambda: any(not is_there for _, is_there in site.deliveries()), "the delivery to be cut")
    site.end_at_once()

    site.start()
    site.wait_for_deliveries(1)
    cut = site.launch_nightly(nights[0], full=False)
    site.wait_for(cut, "STARTED")
    time.sleep(3)
    site.end_at_once()

    site.start()
    for night, session in enumerate(nights):
        if night:
            site.deliver(tape, session)
            site.wait_for_deliveries(night + 1)
        site.wait_for(site.launch_nightly(session, full=False), "SUCCESS")
        assert site.home.rows("bars_daily")["session_date"].max() == session
        assert site.home.rows("indicators_daily")["session_date"].max() == session
    minutes = site.home.rows("bars_1m").height + site.home.rows("bars_1m_extended").height
    assert minutes == sum(len(tape.minutes(session)) for session in nights)
    assert site.home.rows("quarantine").is_empty()
    assert site.home.runs()[cut] == "FAILURE"


def test_a_run_of_the_ui_waits_for_a_command_that_writes(site: Site) -> None:
    site.start()
    with home_lock(site.home.settings.state_dir, "a command at work"):
        run_id = site.launch_nightly()
        site.wait_for(run_id, "STARTED")
        time.sleep(5)
        site.wait_for(run_id, "STARTED")
    site.wait_for(run_id, "SUCCESS")
