"""Ctrl-C that comes where Python drops exceptions."""

import subprocess
import sys

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
