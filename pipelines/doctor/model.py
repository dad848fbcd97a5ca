"""What a check of `marketlake doctor` reports.

Lives here: `Finding`.
Does not live here: the checks (one module an area), printing (`cli/app.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

#: ok: nothing to do. warning: worth knowing, nothing is wrong yet or nobody is waiting for it. error: needs action now.
Severity = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One check's result: what was found, and what to do about it (empty where there is nothing to do)."""

    check: str
    severity: Severity
    finding: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing needs action now."""
        return self.severity != "error"

    def as_json(self) -> dict[str, Any]:
        """The finding for machines."""
        return {
            "check": self.check,
            "ok": self.ok,
            "severity": self.severity,
            "finding": self.finding,
            "advice": self.advice,
        }
