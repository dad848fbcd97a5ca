"""What entering and leaving costs, as fractions of value by class of instrument, side and session.

Lives here: the charges of a signal, which has a value but no size.
Does not live here: the tables and how their lines add up (`backtest/costs.py`), which tables an exchange has
(`backtest/exchange_costs.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.backtest.charge_table import CLASSES, HOLDINGS, CostsError, changes
from pipelines.backtest.exchange_costs import CostSettings, StatutoryCosts, has_tables

_BUY, _SELL = 0, 1


@dataclass(frozen=True)
class Charges:
    """Costs by session number.

    rates: float64[K (class of instrument), 2 (same session, held longer), 2 (buy, sell), S]. assumed: bool[S]. classes: int64[N],
    by number of the instrument. refused: whether an assumed rate is an error. dates: datetime64[D] by session number.
    """

    rates: np.ndarray
    assumed: np.ndarray
    classes: np.ndarray
    refused: bool
    dates: np.ndarray

    def of(
        self, instrument: np.ndarray, side: np.ndarray, entered: np.ndarray, left: np.ndarray, ratio: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Costs of both sides as a fraction of the entry's value, and whether a rate was assumed.

        instrument: number of the instrument. side: int64[n], 1 for a purchase first. entered, left: session numbers. ratio: exit
        over entry price in one basis. Raises CostsError, naming the first date, for an assumed rate where the settings refuse it.
        """
        kind, held = self.classes[instrument], (entered != left).astype(np.int64)
        at_entry, at_exit = np.where(side > 0, _BUY, _SELL), np.where(side > 0, _SELL, _BUY)
        paid = self.rates[kind, held, at_entry, entered] + self.rates[kind, held, at_exit, left] * ratio
        assumed = self.assumed[entered] | self.assumed[left]
        if self.refused and assumed.any():
            raise CostsError(
                f"a signal enters at {self.dates[entered[assumed].min()]}, before the first date of the cost table. Add "
                "dated lines for that time to it, or have its first rates assumed (MARKETLAKE_BACKTEST_BEFORE_COST_TABLE=assume)."
            )
        return paid, assumed


def charges(exchange: str, dates: np.ndarray, settings: CostSettings, classes: np.ndarray) -> Charges:
    """Statutory charges in force at each date, where the exchange has dated tables, and basis points for broker and slippage.

    dates: datetime64[D] by session number, the first being none. classes: int64[N], by number of the instrument, of
    `charge_table.CLASSES`. Before a table's first date its first rates count, and the row says so. Charges of a fixed amount (the
    depository's) are left out: a signal has no size.
    """
    rates = np.full((len(CLASSES), len(HOLDINGS), 2, dates.size), settings.bps / 10_000.0)
    assumed = np.zeros(dates.size, dtype=bool)
    if has_tables(exchange):
        statutory = StatutoryCosts(exchange, settings, {})
        for number, kind in enumerate(CLASSES):
            for held, holding in enumerate(HOLDINGS):
                schedule = statutory.schedule(kind, holding)
                knots = changes(schedule.table)
                at = np.searchsorted(np.array(knots, dtype="datetime64[D]"), dates, side="right") - 1
                rates[number, held] += schedule.rates(knots)[:, :2][np.maximum(at, 0)].T
                assumed |= at < 0
    return Charges(rates, assumed, classes, settings.before_table == "refuse", dates)
