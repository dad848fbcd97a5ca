"""What entering and leaving costs, as fractions of value by side and session.

Lives here: which cost table stands for which exchange, and what counts where a table has no rates.
Does not live here: the tables and how their lines add up (`backtest/costs.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.backtest.costs import DatedCosts, first_date, read_table

#: Dated tables of an exchange: for a position closed in its entry session, and for one held longer.
_TABLES = {"XNSE": ("nse_equity_intraday", "nse_equity_delivery")}
_BUY, _SELL = 0, 1


@dataclass(frozen=True)
class Charges:
    """Costs by session number. rates: float64[2 (same session, held longer), 2 (buy, sell), S]; assumed: bool[2, S]."""

    rates: np.ndarray
    assumed: np.ndarray

    def of(self, side: np.ndarray, entered: np.ndarray, left: np.ndarray, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Costs of both sides as a fraction of the entry's value, and whether a rate was assumed.

        side: int64[n], 1 for a purchase first. entered, left: session numbers. ratio: exit over entry price in one basis.
        """
        held = (entered != left).astype(np.int64)
        at_entry, at_exit = np.where(side > 0, _BUY, _SELL), np.where(side > 0, _SELL, _BUY)
        paid = self.rates[held, at_entry, entered] + self.rates[held, at_exit, left] * ratio
        return paid, self.assumed[held, entered] | self.assumed[held, left]


def charges(exchange: str, dates: np.ndarray, bps: float) -> Charges:
    """Statutory charges in force at each date, where the exchange has a dated table, and `bps` a side for broker and slippage.

    dates: datetime64[D] by session number, the first being none. Before a table's first date its first rates are assumed. Charges
    of a fixed amount (the depository's) are left out: a signal has no size.
    """
    sessions = dates.size
    rates = np.full((2, 2, sessions), bps / 10_000.0)
    assumed = np.zeros((2, sessions), dtype=bool)
    for held, name in enumerate(_TABLES.get(exchange, ())):
        begins = first_date(name)
        knots = sorted({max(charge.valid_from, begins) for charge in read_table(name)})
        levies = DatedCosts(name).rates(knots)[:, :2]
        at = np.searchsorted(np.array(knots, dtype="datetime64[D]"), dates, side="right") - 1
        rates[held] += levies[np.maximum(at, 0)].T
        assumed[held] = at < 0
    return Charges(rates, assumed)
