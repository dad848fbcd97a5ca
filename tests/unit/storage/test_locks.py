"""The writer's lock: one process at a time, freed when its holder dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.storage.locks import LockHeldError, home_lock

_HOLDER = """
import sys, time
from pathlib import Path
from pipelines.storage.locks import home_lock
with home_lock(Path(sys.argv[1]), "nightly run of XNYS"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".state"


@pytest.fixture
def other(state: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with hold(state, 60) as process:
        yield process
        process.kill()


def hold(state: Path, seconds: float) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    arguments = [sys.executable, "-c", _HOLDER, str(state), str(seconds)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_who_holds_the_lock(state: Path, other: subprocess.Popen[str]) -> None:
    told = rf"another writer is at work in {state.parent}: process {other.pid} \(nightly run of XNYS\) since .*--wait SECONDS"
    with pytest.raises(LockHeldError, match=told), home_lock(state, "ingest"):
        pytest.fail("the lock was given twice")


def test_a_holder_that_is_killed_frees_the_lock_at_once(state: Path, other: subprocess.Popen[str]) -> None:
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with home_lock(state, "ingest"):
        pass


def test_one_process_may_hold_it_within_itself(state: Path) -> None:
    with home_lock(state, "command"):
        with home_lock(state, "its run"):
            pass
        # The inner block's end must not have freed it.
        with pytest.raises(AssertionError):
            hold(state, 0).wait()


def test_it_is_free_after_the_block_even_when_that_fails(state: Path) -> None:
    with pytest.raises(ZeroDivisionError), home_lock(state, "command"):
        raise ZeroDivisionError
    with hold(state, 0) as process:
        assert process.wait() == 0


def test_two_homes_do_not_know_each_other(state: Path, tmp_path: Path, other: subprocess.Popen[str]) -> None:
    with home_lock(tmp_path / "second" / ".state", "ingest"):
        pass


def test_waiting_gets_the_lock_when_the_other_is_done(state: Path) -> None:
    with hold(state, 0.3) as process:
        started = time.monotonic()
        with home_lock(state, "ingest", wait=timedelta(seconds=30)):
            assert time.monotonic() - started < 20
        assert process.wait() == 0


def test_waiting_ends(state: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(LockHeldError), home_lock(state, "ingest", wait=timedelta(seconds=0.2)):
        pass
