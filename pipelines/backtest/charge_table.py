"""Dated tables of statutory charges: their lines, and which are in force at a date.

Lives here: reading `cost_tables/*.csv`. Does not live here: what the lines add up to for a fill (`costs.py`), or the rates, which
are data: each line with its date, its source and how sure it is.

A file holds the lines of every class of instruments and both holdings; a table is one view of it (`TABLES`). Rates are fractions of
traded value before rounding: a contract note rounds transaction tax and stamp duty to whole rupees, these tables do not.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib import resources

#: Classes of instruments that are charged differently, by the number that the kernel knows them by.
CLASSES = ("equity", "equity_fund", "other_fund")
#: A position left in the session it was entered in, and one that is held longer.
HOLDINGS = ("intraday", "delivery")
#: Tables by name: file, class of instruments, holding.
TABLES = {f"nse_{kind}_{holding}": ("nse_cash", kind, holding) for kind in CLASSES for holding in HOLDINGS}
#: sure: a circular, an act, or two independent reports. weak: one secondary source, or a date not confirmed. state: differs by the
#: client's state, so that a setting may replace it.
CONFIDENCES = ("sure", "weak", "state")
_SIDES = ("buy", "sell")


class CostsError(ValueError):
    """A date without rates, or a table that does not read: the message says which table, line and date."""


@dataclass(frozen=True)
class Charge:
    """One line of a table: from `valid_from` on, `side` pays `rate` of value; `taxed` charges carry service tax or GST on top."""

    charge: str
    side: str
    rate: float
    taxed: bool
    valid_from: date
    confidence: str
    source: str


@cache
def read_table(name: str) -> tuple[Charge, ...]:
    """The lines of a table of `TABLES`, a line for both sides as one for each.

    Raises CostsError for an unknown name (listing the known ones) or a line that does not read.
    """
    if name not in TABLES:
        raise CostsError(f"No cost table {name!r}; known: {', '.join(sorted(TABLES))}.")
    file, kind, holding = TABLES[name]
    path = resources.files("pipelines.backtest") / "cost_tables" / f"{file}.csv"
    found: list[Charge] = []
    with path.open(encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            found += parse_line(file, number, row, kind, holding)
    return tuple(found)


def first_date(name: str) -> date:
    """The first date at which every charge of the table has a rate."""
    charges = read_table(name)
    return max(min(c.valid_from for c in charges if (c.charge, c.side) == key) for key in {(c.charge, c.side) for c in charges})


def changes(name: str) -> list[date]:
    """The dates from `first_date` on at which a rate of the table changes, that date included."""
    first = first_date(name)
    return sorted({first} | {c.valid_from for c in read_table(name) if c.valid_from > first})


def in_force(charges: Sequence[Charge], day: date) -> list[Charge] | None:
    """The newest line of each charge and side at that date; None where one has no line yet."""
    newest: dict[tuple[str, str], Charge | None] = {(c.charge, c.side): None for c in charges}
    for line in sorted(charges, key=lambda c: c.valid_from):
        if line.valid_from <= day:
            newest[line.charge, line.side] = line
    found = [line for line in newest.values() if line is not None]
    return found if len(found) == len(newest) else None


def parse_line(file: str, number: int, row: dict[str, str], kind: str, holding: str) -> list[Charge]:
    """A line of a file as charges of one table, one for each side; none where it is not about that class and holding.

    Raises CostsError, naming file and line, for what does not read.
    """
    where = f"cost_tables/{file}.csv line {number}"
    try:
        classes = CLASSES if row["instruments"] == "all" else tuple(row["instruments"].split())
        holdings = HOLDINGS if row["holding"] == "any" else (row["holding"],)
        charge = Charge(
            charge=row["charge"],
            side=row["side"],
            rate=float(row["rate"]),
            taxed={"yes": True, "no": False}[row["taxed"]],
            valid_from=date.fromisoformat(row["valid_from"]),
            confidence=row["confidence"],
            source=row["source"],
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise CostsError(f"{where}: {error!r}; expected the columns of the header.") from error
    if not set(classes) <= set(CLASSES) or not set(holdings) <= set(HOLDINGS):
        raise CostsError(f"{where}: instruments must be all or {', '.join(CLASSES)}; holding any or {', '.join(HOLDINGS)}.")
    if charge.side not in {*_SIDES, "both"} or charge.confidence not in CONFIDENCES or not charge.source or not charge.rate >= 0:
        raise CostsError(
            f"{where}: side must be buy, sell or both, the rate 0 or more, confidence of {', '.join(CONFIDENCES)}, and a source "
            "must be named."
        )
    if kind not in classes or holding not in holdings:
        return []
    return [replace(charge, side=side) for side in (_SIDES if charge.side == "both" else (charge.side,))]
