"""How figures are written out for readers.

Lives here: percentages, amounts, ratios, moments. Does not live here: what is shown (`run_report`, `verdict_box`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

MINUS, NONE = "−", "–"


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction as a percentage with a true minus sign; a dash for None or NaN."""
    return NONE if _missing(value) else f"{100 * value:.{digits}f} %".replace("-", MINUS)  # type: ignore[operator]


def amount(value: float | None, digits: int = 0) -> str:
    """A number with thousands separators; a dash for None or NaN."""
    return NONE if _missing(value) else f"{value:,.{digits}f}".replace("-", MINUS)


def ratio(value: float | None, digits: int = 2) -> str:
    """A plain number; a dash for None or NaN."""
    return NONE if _missing(value) else f"{value:.{digits}f}".replace("-", MINUS)


def p_value(value: float | None) -> str:
    """A p-value to three digits; a dash for None or NaN."""
    return "< 0.001" if not _missing(value) and value < 0.001 else ratio(value, 3)  # type: ignore[operator]


def moment(value: datetime, timezone: str) -> str:
    """A UTC time in the given zone, to the minute."""
    from zoneinfo import ZoneInfo

    return value.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M")


def plain(value: Any) -> str:
    """Any value of a table as text."""
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:,.2f}"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, sort_keys=True, default=str)
    return value.isoformat() if isinstance(value, date) else str(value)


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
