"""One of Dagster's programs on a code server that another process starts at the same time.

Lives here: loading the program (`dagster-webserver`, `dagster-daemon`), which takes seconds, while the code server loads the
definitions; the program runs from the moment the code server answers.
Does not live here: which programs run, and when they end (`cli/dagster_process.py`).
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

_POLL_SECONDS = 0.1


def wait_for_socket(path: Path) -> None:
    """Return as soon as a server accepts connections on a Unix socket. Who started both ends this process if the server fails."""
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(_POLL_SECONDS)
            else:
                return


def main() -> None:
    """Run `python -m pipelines.orchestration.dagster_program SOCKET PROGRAM [ARGUMENT…]`."""
    path, program, *arguments = sys.argv[1:]
    # Nothing is to be cleaned up before the program runs, and Python's own handler would print a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    (script,) = entry_points(group="console_scripts", name=program)
    run = script.load()
    wait_for_socket(Path(path))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [program, *arguments]
    run()


if __name__ == "__main__":
    main()
