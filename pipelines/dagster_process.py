"""Dagster's own processes on this home: webserver and daemon.

Lives here: starting them with the right environment. It starts programs and imports nothing of Dagster.
Does not live here: the instance's configuration (`orchestration/instance.py`).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from pipelines.console import fail
from pipelines.settings import Settings


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
    """A program of this installation with the project's code location."""
    return [str(Path(sys.executable).with_name(program)), *arguments, "-m", "pipelines.definitions", "-a", "defs"]


def run_ui(settings: Settings, host: str, port: int) -> None:
    """Run webserver and daemon until interrupted. A port that cannot be listened on ends the command before anything is started."""
    _require_free(host, port)
    arguments = command("dagster", "dev", "--host", host, "--port", str(port))
    print(f"Dagster's UI: http://{host}:{port}  (Ctrl-C ends it)", flush=True)  # noqa: T201
    try:
        ended = subprocess.run(arguments, env=environment(settings), cwd=settings.home, check=False)  # noqa: S603
    except KeyboardInterrupt:
        return
    if ended.returncode > 0:
        fail(f"Dagster's UI ended with code {ended.returncode}; the lines above say why")


def _require_free(host: str, port: int) -> None:
    # Left to itself Dagster starts its daemon, fails at the port a few seconds later and prints a traceback.
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror}; name another port with --port, or end the program that has it")
