"""Dagster's own web page on a demo home, in a real browser.

Lives here: a home with the demo and two deliveries with a refused session each, `marketlake ui` on it, and a page to look at it.
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
from datetime import datetime, timedelta
from pathlib import Path

import pytest

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ui)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def ui_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after `marketlake demo` and two deliveries, each with a session that changes its scale by a hundred.

    Where most minutes of the session are wrong the row rules set all of them aside; where few are, the gate refuses the session.
    Either way nothing of it is published, the rest of the file is, and the code is 1. A third file waits to be named in the UI.
    """
    pytest.importorskip("playwright", reason="the playwright package is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    home = tmp_path_factory.mktemp("ui") / "home"
    home.mkdir()
    assert marketlake(home, "demo").returncode == 0
    deliveries = {
        "most.csv": [("2021-04-05", 390), ("2021-04-06", 150), ("2021-04-07", 390)],
        "few.csv": [("2021-04-08", 390), ("2021-04-09", 300)],
    }
    (home / "deliveries").mkdir()
    for name, days in {**deliveries, "deliveries/named.csv": [("2021-04-12", 390)]}.items():
        text = "symbol,time,open,high,low,close,volume\n" + "".join(_minutes(day, wrong_from) for day, wrong_from in days)
        (home / name).write_text(text)
    for name, told in {
        "most.csv": "2021-04-06 in bars_1m: out_of_line",
        "few.csv": "refused: 2021-04-09: range_is_possible",
    }.items():
        refused = marketlake(home, "ingest", str(home / name), "--source", "csv")
        assert refused.returncode == 1, refused.stdout + refused.stderr
        assert told in refused.stdout
    return home


@pytest.fixture(scope="module")
def ui(ui_home: Path) -> Iterator[str]:
    """Address of the running page; webserver and daemon end with the last test here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (ui_home / "ui.log").open("w")
    process = subprocess.Popen(
        [PROGRAM, "ui", "--port", str(port)],
        env=_environment(ui_home),
        cwd=ui_home,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process, ui_home / "ui.log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)
        log.close()


@pytest.fixture(scope="module")
def browser(ui_home: Path) -> Iterator["object"]:
    from playwright.sync_api import expect, sync_playwright

    # A context's own timeout is none for what is expected of it: five seconds, which a busy machine needs for a page.
    expect.set_options(timeout=120_000)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, ui):  # type: ignore[no-untyped-def]
    """A fresh page whose addresses are relative to the UI; texts are waited for up to two minutes."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000}, base_url=ui)
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


def marketlake(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], env=_environment(home), cwd=home, capture_output=True, text=True, check=False)


def _environment(home: Path) -> dict[str, str]:
    dagster_home = home / ".state" / "dagster"
    return {**os.environ, "MARKETLAKE_HOME": str(home), "MARKETLAKE_EXCHANGES": "XNYS", "DAGSTER_HOME": str(dagster_home)}


def _minutes(day: str, wrong_from: int) -> str:
    """A session of 390 minutes, those from `wrong_from` on at a hundredth of their price."""
    first = datetime.fromisoformat(f"{day}T09:30:00")
    rows = []
    for minute in range(390):
        price = 397.0 * (0.01 if minute >= wrong_from else 1.0)
        rows.append(f"SPY,{first + timedelta(minutes=minute)},{price},{price * 1.001},{price * 0.999},{price},1000\n")
    return "".join(rows)


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
