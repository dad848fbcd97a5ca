"""What a fill costs: simple schedules and dated tables of statutory charges.

Lives here: the two kinds of schedule and how they become the kernel's cost rows. Does not live here: the kernel's fee formula
(`kernel`), or the rates themselves, which are data (`cost_tables/*.csv`, each line with its date and source).

Every schedule answers `rates(dates)`: float64[len(dates), 8] in the order of `layout.COST_FIELDS`. Rates are fractions of traded
value (0.001 is 10 basis points), amounts are in the instruments' currency.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib import resources
from typing import Any, Protocol

import numpy as np

from pipelines.backtest.layout import COST_FIELDS


class CostsError(ValueError):
    """A date without rates, or a table that does not read: the message says which table, line and date."""


class Costs(Protocol):
    """Anything that can price the fills of a run."""

    def rates(self, dates: Sequence[date]) -> np.ndarray:
        """Cost rows for those dates, NaN for dates the schedule does not cover."""
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
        """One identical row per date."""
        row = (0.0, 0.0, self.buy_bps / 1e4, self.sell_bps / 1e4, self.minimum, math.inf, 0.0, 0.0)
        return np.tile(np.array(row, dtype=np.float64), (len(dates), 1))

    def as_parameters(self) -> dict[str, Any]:
        """The fields by name."""
        return {"schedule": "flat", **asdict(self)}


@dataclass(frozen=True)
class Charge:
    """One line of a cost table: from `valid_from` on, `side` pays `rate` of value; `taxed` charges carry GST on top."""

    charge: str
    side: str
    rate: float
    taxed: bool
    valid_from: date
    source: str


@dataclass(frozen=True)
class DatedCosts:
    """Statutory charges from a dated table, plus what the broker and the depository take.

    table: name of a file in `cost_tables/`. brokerage_rate: fraction of value; an order pays at least `brokerage_least` and at most
    `brokerage_most`. depository_charge: amount per instrument and day of sale, tax included. The tax on charges (`gst` in the
    table) is added to the brokerage and to the charges marked as taxed.
    """

    table: str
    brokerage_rate: float = 0.0
    brokerage_least: float = 0.0
    brokerage_most: float = math.inf
    depository_charge: float = 0.0

    def rates(self, dates: Sequence[date]) -> np.ndarray:
        """Rows by the lines in force at each date; NaN where any charge of the table has no line yet.

        Raises CostsError if the table is unknown or malformed.
        """
        charges = read_table(self.table)
        unique = sorted(set(dates))
        rows = {day: self._row(charges, day) for day in unique}
        return np.array([rows[day] for day in dates], dtype=np.float64).reshape(len(dates), len(COST_FIELDS))

    def as_parameters(self) -> dict[str, Any]:
        """The fields by name; no upper bound is spelled None, since JSON has no infinity."""
        most = None if math.isinf(self.brokerage_most) else self.brokerage_most
        return {"schedule": "dated", **asdict(self), "brokerage_most": most}

    def _row(self, charges: Sequence[Charge], day: date) -> tuple[float, ...]:
        levies = {"buy": 0.0, "sell": 0.0}
        in_force = [_in_force(charges, name, side, day) for name, side in sorted({(c.charge, c.side) for c in charges})]
        if any(charge is None for charge in in_force):
            return (math.nan,) * len(COST_FIELDS)
        known = [charge for charge in in_force if charge is not None]
        tax = 1.0 + sum(charge.rate for charge in known if charge.charge == "gst")
        for charge in known:
            if charge.charge == "gst":
                continue
            for side in levies if charge.side == "both" else (charge.side,):
                levies[side] += charge.rate * (tax if charge.taxed else 1.0)
        rate, least, most = (value * tax for value in (self.brokerage_rate, self.brokerage_least, self.brokerage_most))
        return (levies["buy"], levies["sell"], rate, rate, least, most, 0.0, self.depository_charge)


def read_table(name: str) -> list[Charge]:
    """The lines of `cost_tables/{name}.csv`.

    Raises CostsError for an unknown name (listing the known ones) or a line that does not read.
    """
    folder = resources.files("pipelines.backtest") / "cost_tables"
    known = sorted(entry.name.removesuffix(".csv") for entry in folder.iterdir() if entry.name.endswith(".csv"))
    if name not in known:
        raise CostsError(f"No cost table {name!r}; known: {', '.join(known)}.")
    with (folder / f"{name}.csv").open(encoding="utf-8") as lines:
        return [_charge(name, number, row) for number, row in enumerate(csv.DictReader(lines), start=2)]


def first_date(name: str) -> date:
    """The first date at which every charge of the table has a rate."""
    charges = read_table(name)
    return max(min(c.valid_from for c in charges if (c.charge, c.side) == key) for key in {(c.charge, c.side) for c in charges})


def _in_force(charges: Sequence[Charge], name: str, side: str, day: date) -> Charge | None:
    lines = [c for c in charges if c.charge == name and c.side == side and c.valid_from <= day]
    return max(lines, key=lambda c: c.valid_from, default=None)


def _charge(table: str, number: int, row: dict[str, str]) -> Charge:
    try:
        charge = Charge(
            charge=row["charge"],
            side=row["side"],
            rate=float(row["rate"]),
            taxed={"yes": True, "no": False}[row["taxed"]],
            valid_from=date.fromisoformat(row["valid_from"]),
            source=row["source"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise CostsError(f"cost_tables/{table}.csv line {number}: {error!r}; expected the columns of the header.") from error
    if charge.side not in {"buy", "sell", "both"} or not charge.source:
        raise CostsError(f"cost_tables/{table}.csv line {number}: side must be buy, sell or both, and a source must be named.")
    return charge
