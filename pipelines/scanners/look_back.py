"""How far back a scanner looks, read from its text.

Lives here: `reach_of`, for people who want to see what a signal stands on, and `look_back`, for those who ask what was missing.
Does not live here: the scanners' texts (`dbt_project/models/scanners`), what lies in reach (`signal_provenance.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from pipelines.indicators.tables import indicator_tables
from pipelines.market.calendar import ExchangeCalendar
from pipelines.scanners.engine.inputs import DAYS_BACK
from pipelines.scanners.registry import CompiledScanners, Scanner

#: Sessions of daily history in reach of a scanner (macro `scan_reach`).
_REACH = 264
#: How a scanner's text bounds what it reads: every one filters sessions_ago (docs/scanners.md).
_BOUND = re.compile(r"\b(regular_ago|sessions_ago)\s*(?:<=|<|=|between\s+\d+\s+and)\s*(\d+)")
#: Columns of indicators_daily that are no indicator.
INDICATOR_KEY = ("session_date", "instrument_id", "exchange", "symbol", "bars_seen", "known_at")


@dataclass(frozen=True)
class Reach:
    """What a scanner's text may read: how many sessions back, whether it counts regular ones only, indicators, minutes."""

    sessions: int
    regular: bool
    indicators: tuple[str, ...]
    minutes: bool

    def days(self, sessions: ExchangeCalendar, session: date) -> list[date]:
        """The session and those before it in reach, of the exchange's sessions."""
        known = sessions.between(session - DAYS_BACK, session)
        counted = [s.session_date for s in known[:-1] if not self.regular or s.kind == "regular"]
        first = counted[-self.sessions :][:1] or [session]
        return [s.session_date for s in known if self.sessions and s.session_date >= first[0]] or [session]


@dataclass(frozen=True)
class LookBack:
    """What a scanner's text asks for: so many sessions before, regular ones or any, indicators, and what is usual by a minute.

    sessions: 0 where the text has no bound.
    """

    sessions: int
    regular: bool
    indicators: tuple[str, ...]
    usual: bool


def look_back(compiled: CompiledScanners, scanner: Scanner) -> LookBack:
    """What the scanner asks for by its own text, or by that of the patterns it reads; nothing for a scanner in Python."""
    model = compiled.models[scanner.relation]
    bounds = _bounds(model.sql)
    if not bounds and model.sql:
        for relation in sorted(model.reads):
            if relation.startswith("scan.") and relation in compiled.models:
                bounds |= _bounds(compiled.models[relation].sql)
    names = [
        c for c in indicator_tables(compiled.indicators)["indicators_daily"].names if c not in {*INDICATOR_KEY, "session_year"}
    ]
    # An ATR is no condition: without one a signal has neither stop nor target.
    used = tuple(n for n in names if n != "atr_14" and re.search(rf"\b{n}\b", model.sql))
    usual = "volume_profile" in model.sql and re.search(r"\bsessions\s*>=", model.sql) is not None
    return LookBack(bounds.get("regular_ago", bounds.get("sessions_ago", 0)), "regular_ago" in bounds, used, usual)


def _bounds(text: str) -> dict[str, int]:
    """By column the most sessions back that a text asks for."""
    bounds: dict[str, int] = {}
    for name, count in _BOUND.findall(text):
        bounds[name] = max(int(count), bounds.get(name, 0))
    return bounds


def reach_of(compiled: CompiledScanners, scanner: Scanner | None) -> Reach:
    """What the scanner's text bounds itself to; without a text everything in reach of any scanner."""
    names = [
        c for c in indicator_tables(compiled.indicators)["indicators_daily"].names if c not in {*INDICATOR_KEY, "session_year"}
    ]
    text = compiled.models[scanner.relation].sql if scanner and scanner.relation in compiled.models else ""
    if not scanner or not text:
        return Reach(_REACH, regular=False, indicators=tuple(names), minutes=True)
    bounds = _bounds(text)
    used = tuple(name for name in names if re.search(rf"\b{name}\b", text))
    intraday = scanner.evaluates == "intraday"
    if "regular_ago" in bounds:
        return Reach(bounds["regular_ago"], regular=True, indicators=used, minutes=intraday)
    return Reach(bounds.get("sessions_ago", _REACH), regular=False, indicators=used, minutes=intraday)
