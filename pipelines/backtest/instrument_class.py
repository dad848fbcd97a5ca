"""Which class of statutory charges an instrument falls under: a share, a fund of shares, or another fund.

Lives here: the rules, from the surest down. Does not live here: the charges (`charge_table`), or the list, which is data
(`cost_tables/nse_funds.csv`, each line with its source and how sure it is).

1. `list`: the file names the ticker. 2. `isin`: an Indian ISIN begins with INF for a fund's units, with INE or IN9 for a company's
securities. 3. `name`: the ticker ends in BEES or ETF, as those of funds do and no share's did in any file seen. 4. `assumed`: none
of these; it counts as a share, whose charges are the highest. A fund that the list does not name counts as one of shares, whose
charges are the higher of the two, unless its ticker names gold, silver, cash or bonds.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

import polars as pl

from pipelines.backtest.charge_table import CLASSES, CONFIDENCES, CostsError

EQUITY, EQUITY_FUND, OTHER_FUND = CLASSES
#: How a class is known.
BASES = ("list", "isin", "name", "assumed")
_LISTS = {"XNSE": "nse_funds"}
_FUND_NAME = re.compile(r"(BEES|ETF)$")
_OTHER_NAME = re.compile(r"GOLD|SILV|LIQ|CASH|GILT|GSEC|G\d*SEC|SDL|BOND|BBETF|COMMO|\dG(ETF|$)|\d+YBEES")


@dataclass(frozen=True)
class InstrumentClass:
    """A class of `charge_table.CLASSES`, and how it is known (`BASES`)."""

    name: str
    basis: str


def classify(exchange: str, instruments: pl.DataFrame) -> dict[str, InstrumentClass]:
    """The class of each instrument by instrument_id; empty for an exchange without a list of funds.

    instruments: instrument_id, symbol, isin (null where not known), a row for each period; the ticker within the instrument_id
    counts as one of its symbols.
    """
    if exchange not in _LISTS:
        return {}
    symbols: dict[str, set[str]] = {}
    isins: dict[str, set[str]] = {}
    for instrument, symbol, isin in instruments.select("instrument_id", "symbol", "isin").unique().iter_rows():
        symbols.setdefault(instrument, {instrument.split(":")[1]}).add(symbol)
        isins.setdefault(instrument, set()).update([isin] if isin else [])
    listed = listed_funds(_LISTS[exchange])
    return {name: _class_of(sorted(symbols[name]), sorted(isins[name]), listed) for name in sorted(symbols)}


@cache
def listed_funds(name: str) -> dict[str, str]:
    """Class of fund by ticker, from `cost_tables/{name}.csv`. Raises CostsError, naming file and line, for what does not read."""
    found: dict[str, str] = {}
    with (resources.files("pipelines.backtest") / "cost_tables" / f"{name}.csv").open(encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            fine = row.get("class") in CLASSES[1:] and row.get("confidence") in CONFIDENCES and row.get("source")
            if not fine or not row.get("symbol") or row["symbol"] in found:
                raise CostsError(
                    f"cost_tables/{name}.csv line {number}: expected a ticker not yet named, a class of {', '.join(CLASSES[1:])}, "
                    f"a confidence of {', '.join(CONFIDENCES)}, and a source."
                )
            found[row["symbol"]] = row["class"]
    return found


def _class_of(symbols: list[str], isins: list[str], listed: dict[str, str]) -> InstrumentClass:
    share = any(isin.startswith(("INE", "IN9")) for isin in isins)
    known = [listed[symbol] for symbol in symbols if symbol in listed]
    # A ticker of the list may later be a company's: its ISIN says so.
    if known and not share:
        return InstrumentClass(known[0], "list")
    other = any(_OTHER_NAME.search(symbol) for symbol in symbols)
    if any(isin.startswith("INF") for isin in isins):
        return InstrumentClass(OTHER_FUND if other else EQUITY_FUND, "isin")
    if share:
        return InstrumentClass(EQUITY, "isin")
    if any(_FUND_NAME.search(symbol) for symbol in symbols):
        return InstrumentClass(OTHER_FUND if other else EQUITY_FUND, "name")
    return InstrumentClass(EQUITY, "assumed")
