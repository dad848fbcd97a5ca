"""Ctrl-C where Python would drop it.

Lives here: `redeliver_dropped_interrupts`.
Does not live here: what an interrupted command prints and its exit code (`app.py`).
"""

from __future__ import annotations

import os
import signal
import sys
import threading

#: Long enough for the finalizer to return, short enough for the person who waits.
_SECONDS = 0.05


def redeliver_dropped_interrupts() -> None:
    """From now on send SIGINT again when it came inside a finalizer or a weak reference's callback.

    An import runs thousands of those. Python prints what is raised in one ("Exception ignored in …") and goes on, so that Ctrl-C in
    the first seconds of a command would now and then end nothing.
    """
    print_unraisable = sys.unraisablehook

    def redeliver(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            print_unraisable(unraisable)
            return
        timer = threading.Timer(_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
        timer.daemon = True
        timer.start()

    sys.unraisablehook = redeliver
