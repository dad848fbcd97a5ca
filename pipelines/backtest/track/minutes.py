"""The minutes of one session as arrays.

Lives here: `Minutes`, and finding the minute that a position is entered at.
Does not live here: reading them from the lake (`nightly.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.backtest.track.market import owned

#: Microseconds; more than any session lasts, so that instrument and time make one ascending key.
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Minutes:
    """One-minute bars of a session, ordered by instrument and time. instrument: int64[n]; ts: int64[n], starts in microseconds."""

    instrument: np.ndarray
    ts: np.ndarray
    opens: np.ndarray
    highs: np.ndarray
    lows: np.ndarray
    closes: np.ndarray
    begins: int

    def first_from(self, instrument: np.ndarray, moment: np.ndarray) -> np.ndarray:
        """The instrument's first minute that starts at or after the moment, -1 where there is none: int64[n]."""
        found = np.searchsorted(self._key(self.instrument, self.ts), self._key(instrument, moment))
        inside = np.minimum(found, self.ts.size - 1)
        return np.where((found < self.ts.size) & (self.instrument[inside] == instrument), found, -1)

    def last_of(self, minute: np.ndarray) -> np.ndarray:
        """The last minute of the same instrument: int64[n]."""
        return np.searchsorted(self.instrument, self.instrument[minute], side="right") - 1

    def before(self, minute: np.ndarray) -> np.ndarray:
        """The minute before of the same instrument, -1 where the minute is its first: int64[n]."""
        previous = np.maximum(minute - 1, 0)
        return np.where((minute > 0) & (self.instrument[previous] == self.instrument[minute]), previous, -1)

    def _key(self, instrument: np.ndarray, moment: np.ndarray) -> np.ndarray:
        return instrument * _DAY + np.clip(moment - self.begins, 0, _DAY - 1)


def build_minutes(bars: pl.DataFrame, instruments: list[str]) -> Minutes | None:
    """The arrays of a session's bars_1m; None without a bar. Instruments without daily bars are left out."""
    rows = bars.filter(pl.col("instrument_id").is_in(instruments)).sort("instrument_id", "ts")
    if rows.is_empty():
        return None
    ts = rows.get_column("ts").dt.epoch("us").to_numpy()
    return Minutes(
        instrument=rows.get_column("instrument_id").cast(pl.Enum(instruments)).to_physical().cast(pl.Int64).to_numpy(),
        ts=ts,
        **{f"{name}s": owned(rows.get_column(name)) for name in ("open", "high", "low", "close")},
        begins=int(ts.min()),
    )
