"""How long until the UI answers, and how long do its pages wait for what they ask of every table?

`marketlake ui` beside `dagster dev` on the same home after `marketlake demo`, in turns: seconds from the command to an answer that
lists the assets, then of one request for the state of every asset's sessions, as the graph and the launch dialog send it.

Not here: what a run costs (`build`, `ingest`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.tables import Table, ratio

ROUNDS = 3
DEADLINE_SECONDS = 180.0
_ASSETS = "{ assetNodes { id } }"
_STATES = """{ assetNodes { id staleStatus partitionStats { numMaterialized numFailed numPartitions }
  assetPartitionStatuses { ... on TimePartitionStatuses { ranges { startKey endKey status } } } } }"""


def run() -> Table:
    """Seconds of both commands, each started `ROUNDS` times."""
    found: dict[str, list[tuple[float, float]]] = {"marketlake ui": [], "dagster dev": []}
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "MARKETLAKE_HOME": folder,
            "MARKETLAKE_EXCHANGES": "XNYS",
            "DAGSTER_HOME": f"{folder}/.state/dagster",
        }
        subprocess.run([_program("marketlake"), "demo"], env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for _ in range(ROUNDS):
            for command, seconds in found.items():
                seconds.append(_measure(command, environment, folder))
    (ours, states), (theirs, _) = (tuple(zip(*found[name], strict=True)) for name in ("marketlake ui", "dagster dev"))
    rows = [
        ["command to first answer", _median(ours), _median(theirs), ratio(ours, theirs)],
        ["state of every asset's sessions", _median(states), "", ""],
    ]
    remark = f"On a home after `marketlake demo`; medians of {ROUNDS} starts of each, in turns, every process ended between them."
    return Table("Dagster's UI", ["seconds", "`marketlake ui`", "`dagster dev`", "ratio"], rows, remark)


def _measure(command: str, environment: dict[str, str], folder: str) -> tuple[float, float]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program, argument = command.split()
    workspace = ["-w", str(Path(__file__).parents[1] / "workspace.yaml")] if program == "dagster" else []
    begun = time.monotonic()
    process = subprocess.Popen(
        [_program(program), argument, "--port", str(port), *workspace],
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not _ask(port, _ASSETS):
            if process.poll() is not None or time.monotonic() > begun + DEADLINE_SECONDS:
                raise RuntimeError(f"{command} gave no answer within {DEADLINE_SECONDS:.0f} s")
            time.sleep(0.2)
        started = time.monotonic()
        if not _ask(port, _STATES):
            raise RuntimeError(f"{command} did not answer for the state of the assets")
        return started - begun, time.monotonic() - started
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def _ask(port: int, query: str) -> list[Any]:
    """Assets of the answer; none while there is no answer."""
    body, kind = json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", data=body, headers=kind)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
            content = json.load(answer)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return []
    return list((content.get("data") or {}).get("assetNodes") or [])


def _median(seconds: tuple[float, ...]) -> str:
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f} … {max(seconds):.1f})"


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
