"""How a command ended, and the one line of one that was refused.

Lives here: `Ended`.
Does not live here: the command itself (the fixture `marketlake` in `tests/conftest.py`).
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on standard error, which is all that a refused command prints."""
        assert self.out == ""
        assert re.fullmatch(r"error: [^\n]+\n", self.err), self.err
        assert "Traceback" not in self.err
        return self.err.removeprefix("error: ").rstrip("\n")
