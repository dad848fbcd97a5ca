"""The folder of reports as web pages beside Dagster's UI, whose own pages cannot open a file.

Lives here: a read-only server of one folder, in a thread of the process that starts it.
Does not live here: the reports (`reports/`), the link to them on an asset's page (`orchestration/catalog.py`).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

_ANY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 - recognised, not chosen


class _Reports(SimpleHTTPRequestHandler):
    """Files of one folder: GET and HEAD, nothing else, and nothing on the terminal."""

    def end_headers(self) -> None:
        """A report is replaced every night under its name, so that no browser may keep one."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal shows what Dagster's programs say."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    #: A port that another program listens on is refused, not shared.
    allow_reuse_port = False


class _ServerV6(_Server):
    address_family = socket.AF_INET6


@contextmanager
def serve_reports(folder: Path, host: str, port: int) -> Iterator[str]:
    """Serve the files of a folder while the block runs; yields the address. Where the port is taken the system chooses one."""
    server = _listen(folder, host, port)
    thread = Thread(target=server.serve_forever, name="reports", daemon=True)
    thread.start()
    name = socket.gethostname() if host in _ANY_ADDRESS else f"[{host}]" if ":" in host else host
    try:
        yield f"http://{name}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listen(folder: Path, host: str, port: int) -> _Server:
    kind = _ServerV6 if socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0] == socket.AF_INET6 else _Server
    handler = partial(_Reports, directory=str(folder))
    if 0 < port <= 65_535:
        try:
            return kind((host, port), handler)
        except OSError:
            # In use: any other port does, since the link on the asset's page names it.
            pass
    return kind((host, 0), handler)
