"""Dagster's own processes on this home: code server, webserver and daemon.

Lives here: starting them with the right environment, at the same time, and ending them together, the reports beside them. It starts
programs and imports nothing of Dagster.
Does not live here: the instance's configuration (`orchestration/home_config.py`), signals and ports (`serving.py`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.cli.console import fail, warn
from pipelines.cli.report_server import serve_reports
from pipelines.cli.serving import ENDS, EndedError, raise_ended, require_free
from pipelines.package_data import shipped
from pipelines.settings import Settings

#: For the shutdown of all; what is left after that is killed.
_SHUTDOWN_SECONDS = 30.0
#: A code server that ends sooner than this after its start would only end again.
_RESTART_AFTER_SECONDS = 60.0
_POLL_SECONDS = 0.5

#: Starts a program: its words, its environment and its folder.
Start = Callable[[list[str], dict[str, str], Path], "subprocess.Popen[bytes]"]


def start_session(arguments: list[str], process_environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a program as the leader of a session of its own."""
    return subprocess.Popen(arguments, env=process_environment, cwd=folder, start_new_session=True)  # noqa: S603


def environment(settings: Settings) -> dict[str, str]:
    """Environment of a Dagster process that works on this home."""
    from pipelines.orchestration.home_config import named_by_config, prepare_home

    prepare_home(settings)
    return {
        **os.environ,
        **named_by_config(settings),
        "DAGSTER_HOME": str(settings.dagster_home),
        "MARKETLAKE_HOME": str(settings.home),
        "MARKETLAKE_EXCHANGES": ",".join(settings.exchanges),
    }


def command(program: str, *arguments: str) -> list[str]:
    """A program of this installation with the project's code location, which bears one name however it is started."""
    return [_program(program), *arguments, "-w", str(shipped("workspace.yaml"))]


def run_ui(settings: Settings, host: str, port: int, start: Start = start_session) -> None:
    """Run webserver and daemon until interrupted. A port that cannot be listened on ends the command before anything is started."""
    # Left to itself Dagster starts its daemon, fails at the port a few seconds later and prints a traceback.
    require_free(host, port)
    process_environment = environment(settings)
    is_new = not (settings.dagster_home / "history").exists()
    if is_new:
        # One process makes the history's tables: several at once would meet at it.
        _fail_dead_runs(settings)
    print(f"Dagster's UI: http://{host}:{port}  (Ctrl-C ends it)", flush=True)  # noqa: T201
    for number in ENDS:
        signal.signal(number, raise_ended)
    with TemporaryDirectory(prefix="marketlake-") as folder, _reports_address(settings, host, port) as reports:
        addresses = {"MARKETLAKE_REPORTS_URL": reports, "MARKETLAKE_UI_URL": settings.ui_url or f"http://{host}:{port}"}
        programs = Programs(Path(folder), {**process_environment, **addresses}, settings.home, start)
        try:
            with programs.ended_together():
                programs.start_code_server()
                if not is_new:
                    _fail_dead_runs(settings)
                programs.start("dagster-webserver", "--host", host, "--port", str(port))
                programs.start("dagster-daemon", "run")
                programs.watch()
        except EndedError as reason:
            print(f"ended by {reason}: webserver, daemon and code server are shut down", flush=True)  # noqa: T201


@contextmanager
def _reports_address(settings: Settings, host: str, port: int) -> Iterator[str]:
    """Where the home's reports open while the block runs: at the address that the settings name, else served beside the UI."""
    if settings.reports_url is not None:
        yield settings.reports_url
        return
    with serve_reports(settings.reports_dir, host, port + 1) as address:
        yield address


@dataclass
class _Started:
    """A program, its process, and when that was started (seconds of the monotonic clock)."""

    name: str
    process: subprocess.Popen[bytes]
    at: float


class Programs:
    """Dagster's programs around one code server, which webserver and daemon share.

    `dagster dev` runs the same programs one after the other: webserver and daemon load only when the code server answers. Each
    program leads a session of its own, so that a Ctrl-C reaches this process alone, which then ends all of them in order.
    """

    def __init__(
        self,
        folder: Path,
        process_environment: dict[str, str],
        home: Path,
        start: Start = start_session,
        *,
        restart_after: float = _RESTART_AFTER_SECONDS,
        poll: float = _POLL_SECONDS,
    ) -> None:
        self.restart_after = restart_after
        # A short path: that of a Unix socket may have 107 bytes.
        self._socket = folder / "code"
        self._workspace = folder / "workspace.yaml"
        self._environment = process_environment
        self._home = home
        self._start = start
        self._poll = poll
        self._server: _Started | None = None
        self._clients: list[_Started] = []

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        """What was started and is on record: the code server first."""
        return [started.process for started in ([self._server] if self._server else []) + self._clients]

    def start_code_server(self) -> None:
        """Start the code server of the project's workspace file."""
        from yaml import safe_dump, safe_load

        (entry,) = safe_load(shipped("workspace.yaml").read_text(encoding="utf-8"))["load_from"]
        module = entry["python_module"]
        location = {"location_name": module["location_name"], "socket": str(self._socket), "host": "localhost"}
        self._workspace.write_text(safe_dump({"load_from": [{"grpc_server": location}]}), encoding="utf-8")
        target = ["--module-name", module["module_name"], "--attribute", module["attribute"]]
        options = ["--location-name", module["location_name"], "--inject-env-vars-from-instance", "--log-level", "warning"]
        arguments = [_program("dagster"), "code-server", "start", "--socket", str(self._socket), *target, *options]
        with _held_back():
            self._server = self._run("code server", arguments)

    def start(self, program: str, *arguments: str) -> None:
        """Start a program, which loads at once and runs when the code server answers."""
        waiting = [sys.executable, "-m", "pipelines.orchestration.dagster_program", str(self._socket)]
        with _held_back():
            self._clients.append(self._run(program, [*waiting, program, *arguments, "-w", str(self._workspace)]))

    def watch(self) -> None:
        """Wait until a program ends by itself, which ends the command; a code server that was at work is started again."""
        while True:
            time.sleep(self._poll)
            for client in self._clients:
                if (code := client.process.poll()) is not None:
                    fail(f"{client.name} ended with code {code}; the lines above say why")
            server = self._server
            if server is None or (code := server.process.poll()) is None:
                continue
            if time.monotonic() - server.at < self.restart_after:
                fail(f"the code server ended with code {code}; the lines above say why")
            warn(f"the code server ended with code {code}: it is started again")
            _kill_session(server.process)
            self._socket.unlink(missing_ok=True)
            self.start_code_server()

    @contextmanager
    def ended_together(self) -> Iterator[None]:
        """End all programs with the block: by their own shutdown first, whatever is left of their sessions after that at once."""
        try:
            yield
        finally:
            for number in ENDS:
                signal.signal(number, signal.SIG_IGN)
            deadline = time.monotonic() + _SHUTDOWN_SECONDS
            # The code server last: the others ask it until they end.
            for group in (self._clients, [self._server] if self._server else []):
                _end(group, deadline)

    def _run(self, name: str, arguments: list[str]) -> _Started:
        return _Started(name, self._start(arguments, self._environment, self._home), time.monotonic())


@contextmanager
def _held_back() -> Iterator[None]:
    """Let a signal that ends the command wait for the end of the block: a program must be on record before it can be ended."""
    came: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _frame: came.append(number)) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _end(group: list[_Started], deadline: float) -> None:
    for started in group:
        started.process.send_signal(signal.SIGINT)
    for started in group:
        with suppress(subprocess.TimeoutExpired):
            started.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        _kill_session(started.process)


def _kill_session(leader: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()


def _fail_dead_runs(settings: Settings) -> None:
    """Mark runs of processes that are gone as failed, before a daemon waits for them."""
    from pipelines.orchestration.instance import open_instance

    with open_instance(settings):
        pass
