"""What trading at an exchange costs by default: its dated statutory charges where it has a table, and basis points for the broker.

Lives here: `CostSettings`, the schedule of a nightly run, and what nightly backtest and track record charge alike.
Does not live here: the tables (`charge_table`), simple schedules (`costs`), which class an instrument belongs to
(`instrument_class`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np

from pipelines.backtest.charge_table import CLASSES, HOLDINGS, read_table
from pipelines.backtest.costs import BEFORE_TABLE, Costs, CostsError, CostSheet, DatedCosts, FlatCosts

#: Prefix of the dated tables of an exchange.
_TABLES = {"XNSE": "nse"}
#: Intraday stamp duty was a fifth of that on delivery in the states that the table names.
_INTRADAY_STAMP = 0.2


@dataclass(frozen=True)
class CostSettings:
    """What a home chooses of its costs.

    bps: basis points of value a side at every exchange, for broker and slippage. The rest counts where an exchange has a dated
    table. depository_charge: amount per instrument and day of a delivery sale, tax included, in the exchange's currency.
    state_stamp_bps: stamp duty on delivery a side before 2020-07-01, by the client's state. before_table: `assume` takes the first
    rates at dates before them and counts it, `refuse` fails.
    """

    bps: float = 5.0
    depository_charge: float = 15.34
    state_stamp_bps: float = 1.0
    before_table: str = "assume"

    def __post_init__(self) -> None:
        if self.before_table not in BEFORE_TABLE:
            raise CostsError(f"CostSettings.before_table is {self.before_table!r}; it must be {' or '.join(BEFORE_TABLE)}.")


@dataclass(frozen=True)
class StatutoryCosts:
    """The dated charges of an exchange by class of instrument and holding, with basis points a side on top.

    classes: class of `charge_table.CLASSES` by instrument_id; an instrument without one counts as equity, the dearest.
    """

    exchange: str
    settings: CostSettings
    classes: Mapping[str, str]

    def schedule(self, kind: str, holding: str) -> DatedCosts:
        """The charges of one class of instruments and holding, without the basis points."""
        delivery = holding == "delivery"
        return DatedCosts(
            f"{_TABLES[self.exchange]}_{kind}_{holding}",
            depository_charge=self.settings.depository_charge if delivery else 0.0,
            state_stamp_duty=self.settings.state_stamp_bps / 1e4 * (1.0 if delivery else _INTRADAY_STAMP),
            before_table=self.settings.before_table,
        )

    def sheet(self, dates: Sequence[date], instruments: Sequence[str]) -> CostSheet:
        """Costs by date, class and holding; see `costs.CostSheet`."""
        days = sorted(set(dates))
        place = np.searchsorted(np.array(days, dtype="datetime64[D]"), np.array(dates, dtype="datetime64[D]"))
        schedules = [[self.schedule(kind, holding) for holding in HOLDINGS] for kind in CLASSES]
        rows = np.stack([np.stack([s.rates(days) for s in of_class], axis=1) for of_class in schedules], axis=1)
        rows[..., :2] += self.settings.bps / 1e4
        every = [s for of_class in schedules for s in of_class]
        assumed, unsure = (
            np.any([flags(s) for s in every], axis=0) for flags in (lambda s: s.assumed(days), lambda s: s.unsure(days))
        )
        return CostSheet(np.ascontiguousarray(rows[place]), class_numbers(instruments, self.classes), assumed[place], unsure[place])

    def as_parameters(self) -> dict[str, Any]:
        """Settings, and hashes of the tables' content and of the instruments' classes, as plain values."""
        return {
            "schedule": "statutory",
            "exchange": self.exchange,
            **asdict(self.settings),
            "tables": tables_fingerprint(self.exchange),
            "classes_fingerprint": _digest(sorted(self.classes.items())),
        }


def exchange_costs(exchange: str, settings: CostSettings, classes: Mapping[str, str]) -> Costs:
    """The schedule of a nightly run: dated charges and basis points where the exchange has tables, the basis points elsewhere."""
    if exchange in _TABLES:
        return StatutoryCosts(exchange, settings, classes)
    return FlatCosts(buy_bps=settings.bps, sell_bps=settings.bps)


def has_tables(exchange: str) -> bool:
    """Whether the exchange has dated tables of statutory charges."""
    return exchange in _TABLES


def tables_fingerprint(exchange: str) -> str | None:
    """Hash of the lines of an exchange's tables; None where it has none. Another hash means other costs."""
    if not has_tables(exchange):
        return None
    names = [f"{_TABLES[exchange]}_{kind}_{holding}" for kind in CLASSES for holding in HOLDINGS]
    return _digest([(name, [(c.charge, c.side, c.rate, c.taxed, str(c.valid_from)) for c in read_table(name)]) for name in names])


def class_numbers(instruments: Sequence[str], classes: Mapping[str, str]) -> np.ndarray:
    """Number of the class of each instrument, equity where it has none: int64[N]."""
    return np.array([CLASSES.index(classes.get(name, CLASSES[0])) for name in instruments], dtype=np.int64)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).hexdigest()[:16]
