"""Dagster's own processes on this home: webserver and daemon.

Lives here: starting them with the right environment. It starts programs and imports nothing of Dagster.
Does not live here: the instance's configuration (`orchestration/instance.py`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from pipelines.cli.console import fail
from pipelines.package_data import shipped
from pipelines.settings import Settings

#: What ends the command: Ctrl-C, a service manager, a closed terminal.
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Longer than Dagster itself waits for webserver and daemon.
_SHUTDOWN_SECONDS = 30.0


def environment(settings: Settings) -> dict[str, str]:
    """Environment of a Dagster process that works on this home."""
    from pipelines.orchestration.instance import prepare_home

    prepare_home(settings)
    return {
        **os.environ,
        "DAGSTER_HOME": str(settings.dagster_home),
        "MARKETLAKE_HOME": str(settings.home),
        "MARKETLAKE_EXCHANGES": ",".join(settings.exchanges),
    }


def command(program: str, *arguments: str) -> list[str]:
    """A program of this installation with the project's code location, which bears one name however it is started."""
    return [str(Path(sys.executable).with_name(program)), *arguments, "-w", str(shipped("workspace.yaml"))]


def run_ui(settings: Settings, host: str, port: int) -> None:
    """Run webserver and daemon until interrupted. A port that cannot be listened on ends the command before anything is started."""
    _require_free(host, port)
    arguments = command("dagster", "dev", "--host", host, "--port", str(port))
    market_context = environment(settings)
    _fail_dead_runs(settings)
    print(f"Dagster's UI: http://{host}:{port}  (Ctrl-C ends it)", flush=True)  # noqa: T201
    # A session of its own, so that a Ctrl-C reaches this process alone, which then ends all of Dagster's in order.
    with subprocess.Popen(arguments, env=market_context, cwd=settings.home, start_new_session=True) as dagster:  # noqa: S603
        code = _wait_until_told_to_end(dagster)
    if code:
        fail(f"Dagster's UI ended with code {code}; the lines above say why")


def _wait_until_told_to_end(dagster: subprocess.Popen[bytes]) -> int:
    """Exit code of Dagster when it ends by itself; 0 after SIGINT, SIGTERM or SIGHUP, with all of its processes ended."""
    for number in _ENDS:
        signal.signal(number, _raise_ended)
    try:
        return dagster.wait()
    except _EndedError as told:
        for number in _ENDS:
            signal.signal(number, signal.SIG_IGN)
        print(f"ended by {told}: webserver, daemon and code server are shut down", flush=True)  # noqa: T201
        return 0
    finally:
        _end_group(dagster)


class _EndedError(Exception):
    """A signal told this command to end."""


def _raise_ended(number: int, _frame: FrameType | None) -> None:
    raise _EndedError(signal.Signals(number).name)


def _end_group(dagster: subprocess.Popen[bytes]) -> None:
    """End Dagster and what it started: by its own shutdown first, whatever is left of its session after that at once."""
    if dagster.poll() is None:
        dagster.send_signal(signal.SIGINT)
        try:
            dagster.wait(timeout=_SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            dagster.kill()
    with suppress(ProcessLookupError):
        os.killpg(dagster.pid, signal.SIGKILL)


def _fail_dead_runs(settings: Settings) -> None:
    """Mark runs of processes that are gone as failed, before a daemon waits for them."""
    from pipelines.orchestration.instance import open_instance

    with open_instance(settings):
        pass


def _require_free(host: str, port: int) -> None:
    # Left to itself Dagster starts its daemon, fails at the port a few seconds later and prints a traceback.
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror}; name another port with --port, or end the program that has it")
