"""Errors of a lake that is not as it was written.

Lives here: the classes and the way out that their messages name, without an import, so that every command can catch them.
Does not live here: finding damages (`integrity.py`, `table_log.py`).
"""

from __future__ import annotations

#: The way out of every damage.
WAY_OUT = "run `marketlake repair`, which says what it can bring back"


class DamagedTableError(RuntimeError):
    """A table cannot be read, or is not what was written; the message is one line with the way out."""


class ForeignCommitError(DamagedTableError):
    """The newest version of a table was not made by marketlake."""
