"""What the commands share that serve pages until they are interrupted.

Lives here: the signals that end them, and a port that can be listened on.
Does not live here: what is served (`dagster_process.py`, `docs_server.py`).
"""

from __future__ import annotations

import signal
import socket
from types import FrameType

from pipelines.cli.console import fail

#: What ends a command that serves: Ctrl-C, a service manager, a closed terminal.
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EndedError(BaseException):
    """A signal ends this command. As KeyboardInterrupt, no error: what handles those must not take it for one."""


def raise_ended(number: int, _frame: FrameType | None) -> None:
    """Handle a signal of `ENDS`: raise EndedError with its name."""
    raise EndedError(signal.Signals(number).name)


def require_free(host: str, port: int) -> None:
    """End the command where the port cannot be listened on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror}; name another port with --port, or end the program that has it")
