"""The minutes of one session as arrays.

Lives here: `Minutes`, and finding the minute that a position is entered at.
Does not live here: reading them from the lake (`update.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.backtest.fills import NO_BUYING, NO_SELLING, with_minute_limits
from pipelines.backtest.signal_performance.market import Market, next_wanted, owned

#: Microseconds; more than any session lasts, so that instrument and time make one ascending key.
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Minutes:
    """One-minute bars of a session, ordered by instrument and time. instrument: int64[n]; ts: int64[n], starts in microseconds.

    blocked: uint8[n], who cannot trade in the minute (`fills`). next_open_to: by side of an order, the first minute from each one
    on in which it is filled, -1 where there is none.
    """

    instrument: np.ndarray
    ts: np.ndarray
    opens: np.ndarray
    highs: np.ndarray
    lows: np.ndarray
    closes: np.ndarray
    blocked: np.ndarray
    next_open_to: dict[int, np.ndarray]
    begins: int

    def first_from(self, instrument: np.ndarray, moment: np.ndarray, side: np.ndarray) -> np.ndarray:
        """The instrument's first minute from the moment on in which a purchase (side 1) or a sale (-1) is filled, -1 where there is
        none: int64[n]."""
        found = np.searchsorted(self._key(self.instrument, self.ts), self._key(instrument, moment))
        found = np.where(side > 0, self.next_open_to[1][found], self.next_open_to[-1][found])
        return np.where((found >= 0) & (self.instrument[found] == instrument), found, -1)

    def last_of(self, minute: np.ndarray) -> np.ndarray:
        """The last minute of the same instrument: int64[n]."""
        return np.searchsorted(self.instrument, self.instrument[minute], side="right") - 1

    def before(self, minute: np.ndarray) -> np.ndarray:
        """The minute before of the same instrument, -1 where the minute is its first: int64[n]."""
        previous = np.maximum(minute - 1, 0)
        return np.where((minute > 0) & (self.instrument[previous] == self.instrument[minute]), previous, -1)

    def _key(self, instrument: np.ndarray, moment: np.ndarray) -> np.ndarray:
        return instrument * _DAY + np.clip(moment - self.begins, 0, _DAY - 1)


def build_minutes(bars: pl.DataFrame, market: Market, session: int) -> Minutes | None:
    """The arrays of a session's bars_1m; None without a bar. Instruments without daily bars are left out.

    session: its number. The session's daily bars say how far a minute's price lies from the last close.
    """
    daily = np.flatnonzero(market.session == session)
    known = pl.DataFrame(
        {
            "instrument_id": pl.Series([market.instruments[i] for i in market.instrument[daily]], dtype=pl.String),
            "reference": market.reference[daily],
        }
    )
    ours = bars.filter(pl.col("instrument_id").is_in(market.instruments)).join(known, on="instrument_id", how="left")
    rows = with_minute_limits(ours.with_columns(pl.col("reference").fill_nan(None))).sort("instrument_id", "ts")
    if rows.is_empty():
        return None
    ts = rows.get_column("ts").dt.epoch("us").to_numpy()
    instrument = rows.get_column("instrument_id").cast(pl.Enum(market.instruments)).to_physical().cast(pl.Int64).to_numpy()
    blocked = owned(rows.get_column("blocked"))
    last = np.searchsorted(instrument, instrument, side="right") - 1
    return Minutes(
        instrument=instrument,
        ts=ts,
        **{f"{name}s": owned(rows.get_column(name)) for name in ("open", "high", "low", "close")},
        blocked=blocked,
        next_open_to={1: next_wanted(blocked & NO_BUYING == 0, last, -1), -1: next_wanted(blocked & NO_SELLING == 0, last, -1)},
        begins=int(ts.min()),
    )
