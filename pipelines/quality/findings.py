"""What the tables of findings say in a sentence and a few figures.

Lives here: summing up `price_flags` and `minute_reconciliation` of some sessions.
Does not live here: the findings themselves (dbt marts of these names), showing them (`orchestration/checks/findings.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Finding:
    """`holds`: nothing is worth a look. `rows` are those that are; `figures` whole numbers and ratios, None where undefined."""

    holds: bool
    summary: str
    figures: Mapping[str, int | float | None]
    rows: pl.DataFrame


def flagged_prices(flags: pl.DataFrame) -> Finding:
    """Sum up rows of `price_flags`."""
    counts = dict(flags.group_by("flag").len().sort("flag").iter_rows())
    summary = ", ".join(f"{number} {flag}" for flag, number in counts.items()) or "no price is flagged"
    shown = flags.sort("session_date", "instrument_id", "flag").select(
        "session_date", "symbol", "flag", "since", "price_ratio", "split_ratio", "volume_ratio"
    )
    return Finding(flags.is_empty(), summary, {"flags": flags.height, **counts}, shown)


def reconciled_minutes(days: pl.DataFrame) -> Finding:
    """Sum up rows of `minute_reconciliation`: the accuracy is the share of days on which the minutes agree with the daily bar."""
    agreed = int(days.get_column("agrees").sum())
    accuracy = agreed / days.height if days.height else None
    error = days.get_column("close_error_bp").abs()
    volume = days.get_column("volume_ratio")
    summary = f"{agreed} of {days.height} days agree ({accuracy:.2%})" if days.height else "no day has both minutes and a daily bar"
    shown = days.filter(~pl.col("agrees")).sort("session_date", "instrument_id")
    shown = shown.select(
        "session_date", "symbol", "minutes", "close_error_bp", "high_error_ticks", "low_error_ticks", "volume_ratio"
    )
    figures = {
        "days_compared": days.height,
        "days_agreeing": agreed,
        "accuracy": accuracy,
        "median_close_error_bp": _number(error.median()),
        "largest_close_error_bp": _number(error.max()),
        "median_volume_ratio": _number(volume.median()),
    }
    return Finding(agreed == days.height, summary, figures, shown)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
