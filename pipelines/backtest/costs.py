"""What a fill costs: simple schedules and dated tables of statutory charges.

Lives here: the kinds of schedule and how they become the kernel's cost rows. Does not live here: the kernel's fee formula
(`engine/fees`), the dated tables (`charge_table`), or which schedule an exchange's nightly run uses (`exchange_costs`).

A cost row is float64[8] in the order of `layout.COST_FIELDS`. Rates are fractions of traded value (0.001 is 10 basis points),
amounts are in the instruments' currency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Protocol

import numpy as np

from pipelines.backtest.charge_table import Charge, CostsError, first_date, in_force, read_table
from pipelines.backtest.layout import COST_FIELDS

#: What happens at a date before a table's first complete one.
BEFORE_TABLE = ("refuse", "assume")


@dataclass(frozen=True)
class CostSheet:
    """The costs of a run as the kernel takes them.

    rows: float64[T, K, 2, 8], by step, class of instruments, and holding (0: left in the session of the entry, 1: held longer);
    NaN at dates without rates. classes: int64[N], the class of each instrument. assumed, unsure: bool[T], whether the first rates
    of a table stand in for a date before them, and whether a line in force is not sure.
    """

    rows: np.ndarray
    classes: np.ndarray
    assumed: np.ndarray
    unsure: np.ndarray


class Costs(Protocol):
    """Anything that can price the fills of a run."""

    def sheet(self, dates: Sequence[date], instruments: Sequence[str]) -> CostSheet:
        """Costs at the date of each step, for instruments by instrument_id."""
        ...

    def as_parameters(self) -> dict[str, Any]:
        """The schedule as plain values, for `config_snapshot` and `run_id`."""
        ...


@dataclass(frozen=True)
class FlatCosts:
    """The same basis points of value at every date; an order pays at least `minimum`."""

    buy_bps: float = 0.0
    sell_bps: float = 0.0
    minimum: float = 0.0

    def __post_init__(self) -> None:
        for name in ("buy_bps", "sell_bps", "minimum"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise CostsError(f"FlatCosts.{name} is {value!r}; it must be 0 or more.")

    def rates(self, dates: Sequence[date]) -> np.ndarray:
        """One identical row per date: float64[len(dates), 8]."""
        row = (0.0, 0.0, self.buy_bps / 1e4, self.sell_bps / 1e4, self.minimum, math.inf, 0.0, 0.0)
        return np.tile(np.array(row, dtype=np.float64), (len(dates), 1))

    def sheet(self, dates: Sequence[date], instruments: Sequence[str]) -> CostSheet:
        """One class of instruments, the same costs however long they are held."""
        never = np.zeros(len(dates), dtype=bool)
        return CostSheet(_alike(self.rates(dates)), np.zeros(len(instruments), dtype=np.int64), never, never)

    def as_parameters(self) -> dict[str, Any]:
        """The fields by name."""
        return {"schedule": "flat", **asdict(self)}


@dataclass(frozen=True)
class DatedCosts:
    """Statutory charges from one dated table, plus what the broker and the depository take.

    table: a name of `charge_table.TABLES`. brokerage_rate: fraction of value; an order pays at least `brokerage_least` and at most
    `brokerage_most`. depository_charge: amount per instrument and day of sale, tax included. The tax on charges (`gst`)
    is added to the brokerage and to the taxed charges. state_stamp_duty: fraction of value that replaces the lines that
    differ by state; None keeps the table's. before_table: `refuse` leaves dates before the first complete one without rates (NaN),
    `assume` takes the rates of that date.
    """

    table: str
    brokerage_rate: float = 0.0
    brokerage_least: float = 0.0
    brokerage_most: float = math.inf
    depository_charge: float = 0.0
    state_stamp_duty: float | None = None
    before_table: str = "refuse"

    def __post_init__(self) -> None:
        if self.before_table not in BEFORE_TABLE:
            raise CostsError(f"DatedCosts.before_table is {self.before_table!r}; it must be {' or '.join(BEFORE_TABLE)}.")

    def rates(self, dates: Sequence[date]) -> np.ndarray:
        """Rows by the lines in force at each date: float64[len(dates), 8].

        Raises CostsError if the table is unknown or malformed.
        """
        charges, first = read_table(self.table), first_date(self.table)
        rows = {day: self._row(charges, day if self.before_table == "refuse" else max(day, first)) for day in set(dates)}
        return np.array([rows[day] for day in dates], dtype=np.float64).reshape(len(dates), len(COST_FIELDS))

    def assumed(self, dates: Sequence[date]) -> np.ndarray:
        """Whether a date lies before the table's first complete one: bool[len(dates)]."""
        first = first_date(self.table)
        return np.array([day < first for day in dates], dtype=bool)

    def unsure(self, dates: Sequence[date]) -> np.ndarray:
        """Whether a line in force at a date is marked weak, or the first lines stand in for it: bool[len(dates)]."""
        charges, first = read_table(self.table), first_date(self.table)
        weak = {day: any(c.confidence == "weak" for c in in_force(charges, max(day, first)) or []) for day in set(dates)}
        return np.array([weak[day] or day < first for day in dates], dtype=bool)

    def sheet(self, dates: Sequence[date], instruments: Sequence[str]) -> CostSheet:
        """All instruments by this one table, however long they are held."""
        classes = np.zeros(len(instruments), dtype=np.int64)
        return CostSheet(_alike(self.rates(dates)), classes, self.assumed(dates), self.unsure(dates))

    def as_parameters(self) -> dict[str, Any]:
        """The fields by name; no upper bound is spelled None, since JSON has no infinity."""
        most = None if math.isinf(self.brokerage_most) else self.brokerage_most
        return {"schedule": "dated", **asdict(self), "brokerage_most": most}

    def _row(self, charges: Sequence[Charge], day: date) -> tuple[float, ...]:
        lines = in_force(charges, day)
        if lines is None:
            return (math.nan,) * len(COST_FIELDS)
        tax = 1.0 + next(c.rate for c in lines if c.charge == "gst")
        levies = {"buy": 0.0, "sell": 0.0}
        for line in lines:
            if line.charge != "gst":
                levies[line.side] += self._rate(line) * (tax if line.taxed else 1.0)
        rate, least, most = (value * tax for value in (self.brokerage_rate, self.brokerage_least, self.brokerage_most))
        return (levies["buy"], levies["sell"], rate, rate, least, most, 0.0, self.depository_charge)

    def _rate(self, line: Charge) -> float:
        by_state = line.confidence == "state" and self.state_stamp_duty is not None
        return float(self.state_stamp_duty) if by_state else line.rate  # type: ignore[arg-type]


def _alike(rows: np.ndarray) -> np.ndarray:
    """Rows of one class that cost the same held or not: float64[T, 1, 2, 8] from float64[T, 8]."""
    return np.repeat(rows[:, np.newaxis, np.newaxis, :], 2, axis=2)
