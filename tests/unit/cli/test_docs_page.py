"""`marketlake docs` as typed: what it refuses, what it serves, and how it ends."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from email.message import Message
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from pipelines.build.release_docs import docs_path
from pipelines.cli.docs_server import serve_page
from pipelines.settings import Settings

Command = Callable[..., tuple[int, str, str]]
Answer = TypeVar("Answer")


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


def get(port: int, path: str = "/") -> tuple[int, bytes, Message]:
    """What the server answers, as soon as there is one."""
    deadline = time.monotonic() + 120
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                return answer.status, answer.read(), answer.headers
        except HTTPError as error:
            return error.code, error.read(), error.headers
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def while_served(serve: Callable[[], Answer], ask: Callable[[], None], number: signal.Signals = signal.SIGTERM) -> Answer:
    """Ask beside a server in this thread, then end it by a signal; what serving gave back."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            ask()
        except BaseException as error:  # noqa: BLE001  # raised again below, after the server ended
            failures.append(error)
        finally:
            os.kill(os.getpid(), number)

    visitor = threading.Thread(target=run)
    visitor.start()
    ended = serve()
    visitor.join()
    if failures:
        raise failures[0]
    return ended


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_the_page_is_served_as_it_is_now_until_a_signal_comes(tmp_path: Path, port: int, number: signal.Signals) -> None:
    page = tmp_path / "index.html"
    page.write_text("first")

    def ask() -> None:
        assert get(port)[:2] == (200, b"first")
        page.write_text("made anew")
        assert get(port, "/index.html?refresh")[1] == b"made anew"
        assert get(port, "/made_of.json")[0] == 404
        assert get(port, "/../secret")[0] == 404

    assert while_served(lambda: serve_page(page, "127.0.0.1", port, lambda: None), ask, number) == number.name


@pytest.mark.timeout(120)
def test_a_signal_that_comes_while_a_request_is_taken_ends_the_server(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "index.html"
    page.write_text("page")
    take = ThreadingHTTPServer.process_request

    def take_with_signal(*request: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        take(*request)

    monkeypatch.setattr(ThreadingHTTPServer, "process_request", take_with_signal)
    visitor = threading.Thread(target=get, args=(port,))
    visitor.start()
    assert serve_page(page, "127.0.0.1", port, lambda: None) == "SIGTERM"
    visitor.join()


def test_a_browser_may_load_nothing_from_elsewhere_for_the_page(tmp_path: Path, port: int) -> None:
    page = tmp_path / "index.html"
    page.write_text("page")

    def ask() -> None:
        policy = get(port)[2]["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert "*" not in policy

    while_served(lambda: serve_page(page, "127.0.0.1", port, lambda: None), ask)


def test_wrong_input_is_one_line_and_leaves_the_folder_alone(home: Settings, marketlake: Command, port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        in_use = str(taken.getsockname()[1])
        asked: dict[tuple[str, ...], tuple[int, str]] = {
            ("--exchange", "XNSE", "--no-serve"): (2, "XNSE is not configured"),
            ("--no-serve",): (1, "nothing of XNYS is released yet: run `marketlake nightly --exchange XNYS` first"),
            ("--port", str(port)): (1, "nothing of XNYS is released yet"),
            ("--port", in_use): (1, f"cannot listen on 127.0.0.1:{in_use}: Address already in use; name another port with --port"),
        }
        for arguments, (code, line) in asked.items():
            ended, out, err = marketlake("docs", *arguments, "--json")
            assert (ended, out, err.count("\n")) == (code, "", 1), arguments
            assert err.startswith("error: "), arguments
            assert line in err, arguments
    assert list(home.home.iterdir()) == []


@pytest.mark.slow
def test_the_models_of_a_release_are_documented_once_and_served(released: Settings, marketlake: Command, port: int) -> None:
    code, out, err = marketlake("docs", "--no-serve", "--json")
    assert (code, err) == (0, "")
    page = docs_path(released.state_dir)
    facts = {"exchange": "XNYS", "release_id": json.loads(out)["release_id"], "page": str(page), "url": None}
    assert json.loads(out) == {**facts, "generated": True}
    assert facts["release_id"].startswith("r00001")

    def ask() -> None:
        status, content, headers = get(port)
        assert (status, headers.get_content_type()) == (200, "text/html")
        for name in (
            b"model.marketlake_models.scanner_signals",
            b"exposure.marketlake_models.catalogue",
            b'"send_anonymous_usage_stats": false',
        ):
            assert name in content
        # From the database, not from a yml: the catalog lists what is there.
        assert b'"catalog' in content
        assert b"window_bounds" in content

    code, out, err = while_served(lambda: marketlake("docs", "--port", str(port), "--json"), ask)
    assert (code, err) == (0, "")
    assert json.loads(out) == {**facts, "generated": False, "url": f"http://127.0.0.1:{port}"}
