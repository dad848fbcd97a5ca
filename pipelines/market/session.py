"""One trading session of an exchange.

Lives here: `Session`, and what a session rests on.
Does not live here: which sessions an exchange has (`calendar.py`), its closing auction (`closing_auction.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from pipelines.market.calendar_days import minutes

#: What a session rests on: a calendar; beyond what that knows, a whole-market file of the day; or only that it is a weekday.
KNOWN, CONFIRMED, PROVISIONAL = "known", "confirmed", "provisional"


@dataclass(frozen=True)
class Session:
    """One trading session. Times are UTC; `windows` are its stretches of regular trading, ends exclusive."""

    session_date: date
    number: int
    windows: tuple[tuple[datetime, datetime], ...]
    kind: str
    status: str = KNOWN

    @property
    def opens_at(self) -> datetime:
        """Open of the first window."""
        return self.windows[0][0]

    @property
    def closes_at(self) -> datetime:
        """Close of the last window."""
        return self.windows[-1][1]

    @property
    def bars_expected(self) -> int:
        """One-minute bars of regular trading."""
        return minutes(self.windows)
