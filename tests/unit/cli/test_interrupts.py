"""Ctrl-C that comes where Python drops exceptions, and signals that end `marketlake ui`."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_DROPPED = """
import signal, sys, time, weakref
{install}
class Thing: pass
thing = Thing()
reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT) or [None for _ in range(1000)])
try:
    del thing
    time.sleep(2)
    print("went on")
except KeyboardInterrupt:
    print("interrupted")
"""
_INSTALL = "from pipelines.cli.interrupts import redeliver_dropped_interrupts; redeliver_dropped_interrupts()"


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize(("install", "said"), [("", "went on\n"), (_INSTALL, "interrupted\n")], ids=["Python alone", "redelivered"])
def test_an_interrupt_in_a_weak_references_callback_ends_what_runs(install: str, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _DROPPED.format(install=install)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout == said
    assert ("KeyboardInterrupt" in ended.stderr) == (not install)


def test_other_errors_in_a_finalizer_are_printed_as_before() -> None:
    program = f"{_INSTALL}\nclass Thing:\n    def __del__(self): raise ValueError('of a finalizer')\nthing = Thing()\ndel thing"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "ValueError: of a finalizer" in ended.stderr


_CLOSING = """
{install}
import sqlite3, sqlalchemy
from sqlalchemy.pool import {pool}
class Connection(sqlite3.Connection):
    def close(self): raise {error}
pool = {pool}(lambda: Connection(":memory:"))
try:
    pool.connect().invalidate()
    print("went on")
except KeyboardInterrupt:
    print("interrupted")
"""
_KEEP_OUT = "from pipelines.cli.interrupts import keep_interrupts_out_of_logs; keep_interrupts_out_of_logs()"


@pytest.mark.parametrize("pool", ["NullPool", "QueuePool", "SingletonThreadPool"])
@pytest.mark.parametrize(
    ("install", "error", "said", "is_logged"),
    [
        pytest.param("", "KeyboardInterrupt", "interrupted\n", True, id="SQLAlchemy alone logs an interrupt"),
        pytest.param(_KEEP_OUT, "KeyboardInterrupt", "interrupted\n", False, id="an interrupt is not logged"),
        pytest.param(_KEEP_OUT, "OSError", "went on\n", True, id="another error is"),
    ],
)
def test_an_interrupt_while_a_connection_is_closed(pool: str, install: str, error: str, said: str, is_logged: bool) -> None:
    program = _CLOSING.format(install=install, pool=pool, error=error)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == said
    assert ("Exception" in ended.stderr) == is_logged


_UI = """
import sys
from pipelines.cli.dagster_process import run_ui, start_session
from pipelines.settings import Settings
def start(arguments, environment, folder):
    program = [sys.argv[1]] if "code-server" in arguments else ["sleep", "60"]
    return start_session(program, environment, folder)
run_ui(Settings(), "127.0.0.1", 0, start)
"""


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_to_the_ui_ends_what_it_started_and_their_children(home, tmp_path: Path, number: signal.Signals) -> None:
    """Stand-ins take the programs' places; a child of the code server's ignores an interrupt."""
    server = tmp_path / "server"
    server.write_text("#!/bin/sh\nsleep 30 &\necho $!\nwait\n")
    server.chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", _UI, str(server)], stdout=subprocess.PIPE, text=True) as ui:
        assert ui.stdout is not None
        assert ui.stdout.readline().startswith("Dagster's UI: ")
        child = int(ui.stdout.readline())
        ui.send_signal(number)
        assert ui.wait(timeout=60) == 0
        assert ui.stdout.readline() == f"ended by {number.name}: webserver, daemon and code server are shut down\n"
        assert _ends(child)


def _ends(pid: int) -> bool:
    """Whether the process is gone within five seconds; one that has ended and waits to be collected is."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False
