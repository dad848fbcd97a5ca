"""What an instrument was last worth: the price of an event at which it has no bar of its own.

Lives here: last closes before a session, and instruments that stopped trading without a word.
Does not live here: what such an event does (`grid`, `engine/`).
"""

from __future__ import annotations

import numpy as np

from pipelines.backtest.fills import GONE_AFTER


class LastPrices:
    """Last closes before a session, carried through the actions since: what an event is priced at."""

    def __init__(self, close: np.ndarray, session: np.ndarray) -> None:
        """close: float64[T, N], NaN without a bar. session: int64[T], the number of each step's session, counted from 0."""
        self.first_step = np.searchsorted(session, np.arange(session[-1] + 1))
        self._close = close
        self._traded = np.logical_or.reduceat(~np.isnan(close), self.first_step, axis=0)
        self._factors: dict[int, list[tuple[int, float]]] = {}

    def carry(self, i: int, session: int, factor: float) -> None:
        """Note what an action of a session left of the price."""
        self._factors.setdefault(i, []).append((session, factor))

    def before(self, i: int, session: int) -> float:
        """The last close before a session in the basis reached by the actions noted so far; NaN where there is none."""
        traded = np.flatnonzero(self._traded[:session, i])
        if not traded.size:
            return np.nan
        closes = self._close[self.first_step[traded[-1]] : self.first_step[session], i]
        price = float(closes[~np.isnan(closes)][-1])
        for when, factor in self._factors.get(i, []):
            price *= factor if when > traded[-1] else 1.0
        return price

    def gone(self) -> list[tuple[int, int]]:
        """(session, instrument) at which an instrument has had no bar in more than `GONE_AFTER` sessions."""
        found = []
        for i in range(self._traded.shape[1]):
            sessions = np.flatnonzero(self._traded[:, i])
            following = np.append(sessions[1:], self._traded.shape[0])
            found += [(int(last) + GONE_AFTER + 1, i) for last in sessions[following - sessions > GONE_AFTER + 1]]
        return found
