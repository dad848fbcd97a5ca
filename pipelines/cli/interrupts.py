"""Ctrl-C where Python would drop it, or a library write it down.

Lives here: `redeliver_dropped_interrupts`, `keep_interrupts_out_of_logs`.
Does not live here: what an interrupted command prints and its exit code (`app.py`).
"""

from __future__ import annotations

import logging
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


#: Of SQLAlchemy, which logs whatever meets it while it closes a connection, with a traceback, and raises an interrupt again.
_POOLS = ("sqlalchemy.pool.impl.NullPool", "sqlalchemy.pool.impl.QueuePool", "sqlalchemy.pool.impl.SingletonThreadPool")


def keep_interrupts_out_of_logs() -> None:
    """From now on log no Ctrl-C that comes while a connection to Dagster's history is closed: the command itself says it."""
    for name in _POOLS:
        logging.getLogger(name).addFilter(_is_no_interrupt)


def _is_no_interrupt(record: logging.LogRecord) -> bool:
    return not (record.exc_info and record.exc_info[0] is KeyboardInterrupt)
