"""Serving one page on this machine.

Lives here: `serve_page`, what it answers and the headers that keep the page from calling anybody.
Does not live here: making the page (`build/release_docs.py`), what the command prints before (`docs.py`).
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

from pipelines.cli.serving import ENDS

#: dbt's page knows a tracker, off in our project but on by a variable of the environment. A browser then calls nobody either. The
#: page's script, which is all in the page, compiles its templates.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


def serve_page(page: Path, host: str, port: int, when_ready: Callable[[], None]) -> str:
    """Serve the file at `/` until a signal ends the command; return the signal's name. OSError where the port is taken.

    It is read for every request: a page made anew meanwhile is what the next reload shows. `when_ready` is called once requests
    are taken.
    """
    ended: list[str] = []
    with _server(page, host, port) as server:

        def end(number: int, _frame: FrameType | None) -> None:
            ended.append(signal.Signals(number).name)
            # In a thread of its own, since `shutdown` waits for this one. An error raised here would be lost where the signal comes
            # while a request is taken: the server catches those.
            threading.Thread(target=server.shutdown).start()

        for number in ENDS:
            signal.signal(number, end)
        when_ready()
        server.serve_forever()
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
    return ended[0]


def _server(page: Path, host: str, port: int) -> ThreadingHTTPServer:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]

    class Server(ThreadingHTTPServer):
        address_family = family

        def handle_error(self, *request: Any) -> None:
            # A browser that closes its tab while it loads is no error.
            if not isinstance(sys.exc_info()[1], ConnectionError):
                super().handle_error(*request)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(self._start())

        def do_HEAD(self) -> None:
            self._start()

        def log_message(self, *_: object) -> None:
            """Nothing: a line per request would bury the address."""

        def _start(self) -> bytes:
            is_page = self.path.partition("?")[0] in {"/", "/index.html"} and page.is_file()
            content = page.read_bytes() if is_page else b"not here: the documentation is at /\n"
            self.send_response(HTTPStatus.OK if is_page else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", "text/html; charset=utf-8" if is_page else "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-cache")
            self.end_headers()
            return content

    return Server((host, port), Handler)
