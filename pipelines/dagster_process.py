"""Dagster's own processes on this home: webserver and daemon.

Lives here: starting them with the right environment. It starts programs and imports nothing of Dagster.
Does not live here: the instance's configuration (`orchestration/instance.py`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
    """Run webserver and daemon until interrupted."""
    arguments = command("dagster", "dev", "--host", host, "--port", str(port))
    print(f"Dagster's UI: http://{host}:{port}  (Ctrl-C ends it)")  # noqa: T201
    try:
        subprocess.run(arguments, env=environment(settings), cwd=settings.home, check=False)  # noqa: S603
    except KeyboardInterrupt:
        return
