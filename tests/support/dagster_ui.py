"""Dagster's web page of a home, started as people start it.

Lives here: `marketlake ui` on a free port, and how a browser is started that looks at it.
Does not live here: what is on the pages (`tests/ui`).
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = str(Path(sys.executable).with_name("marketlake"))
CHROMIUM = shutil.which("chromium")
BROWSER_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def environment(home: Path, exchanges: str = "XNYS") -> dict[str, str]:
    """Environment of a program that works on a home."""
    dagster_home = home / ".state" / "dagster"
    return {**os.environ, "MARKETLAKE_HOME": str(home), "MARKETLAKE_EXCHANGES": exchanges, "DAGSTER_HOME": str(dagster_home)}


@contextmanager
def running_ui(home: Path, exchanges: str = "XNYS") -> Iterator[str]:
    """Address of the running page; webserver and daemon end with the block. What they print goes to `ui.log` of the home."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (home / "ui.log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAM, "ui", "--port", str(port)],
            env=environment(home, exchanges),
            cwd=home,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(address, process, home / "ui.log")
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def _wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/server_info", timeout=5)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"the UI did not come up: {log.read_text()[-2000:]}")
