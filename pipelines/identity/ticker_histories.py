"""Ticker histories of companies: which instrument each of them is about.

Lives here: `aliases_from_history`, from rows of map files to aliases, and `replaced_names`, what they make void.
Does not live here: reading map files (`sources/`), tickers that a history leaves to others (`ticker_reuse.py`).

A source files a company under a permanent name, in Lean its last ticker, so that the name changes with the ticker and may pass to
another company later. What stays is the first ticker and the day on which it was first used: a history that begins with them is
the company's that is on record with them, whatever it is called now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import polars as pl

from pipelines.identity.isin import ALIAS_ROW

#: `kind` of the alias that is a company's permanent name; its value is `{source}:{name}`.
PERMANENT = "permanent"
_DAY = timedelta(days=1)
_KEY = ["instrument_id", "kind", "value", "valid_from"]


@dataclass(frozen=True)
class _History:
    """One company's tickers as one file tells them: symbol, valid_from, valid_to and row_number of each."""

    permanent: str
    spans: tuple[dict[str, Any], ...]
    batch_id: str
    source: str

    @property
    def listed(self) -> date:
        first: date = self.spans[0]["valid_from"]
        return first

    @property
    def filed_as(self) -> str:
        return permanent_name(self.source, self.permanent)

    def alias(self, instrument: str, kind: str, value: str, span: dict[str, Any]) -> dict[str, Any]:
        days = {"valid_from": span["valid_from"], "valid_to": span["valid_to"]}
        line = {"batch_id": self.batch_id, "row_number": span["row_number"], "source": self.source}
        return {"instrument_id": instrument, "kind": kind, "value": value, **days, **line}


@dataclass
class _Names:
    """Names of instruments, on record and stated so far, by instrument and by what they say; an equal key replaces."""

    of: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)
    saying: dict[tuple[str, str], dict[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)

    def add(self, names: Iterable[dict[str, Any]]) -> None:
        for name in names:
            self.of.setdefault(name["instrument_id"], {})[_key(name)] = name
            self.saying.setdefault((name["kind"], name["value"]), {})[_key(name)] = name

    def permanent(self, instrument: str) -> list[dict[str, Any]]:
        """Permanent names of an instrument, with those given up."""
        return [row for row in self.of.get(instrument, {}).values() if row["kind"] == PERMANENT]

    def held(self, kind: str, value: str) -> list[dict[str, Any]]:
        """Names of this kind and value that were not given up."""
        return [row for row in self.saying.get((kind, value), {}).values() if not _is_empty(row)]

    def tickers(self, instrument: str) -> list[dict[str, Any]]:
        """Tickers of an instrument that were not given up."""
        return [row for row in self.of.get(instrument, {}).values() if row["kind"] == "symbol" and not _is_empty(row)]


def aliases_from_history(exchange: str, history: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Aliases of kind symbol and permanent that ticker histories tell (columns of `ALIAS_ROW`).

    `history`: rows of `symbol_history` with provenance; those without `permanent` are left aside. `known`: aliases on record. The
    instrument is the one on record with the same first ticker and day, else `{MIC}:{permanent}`; where that is another company, on
    record with days before or after all of these, `{MIC}:{first ticker}:{first day}`.
    """
    stated = history.drop_nulls("permanent")
    if stated.is_empty():
        return pl.DataFrame(schema=ALIAS_ROW)
    names = _Names()
    names.add(known.select(list(ALIAS_ROW)).iter_rows(named=True))
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in _histories(stated):
        instrument = _instrument(exchange, one, names)
        rows = [one.alias(instrument, "symbol", span["symbol"], span) for span in one.spans]
        whole = {**one.spans[0], "valid_to": None}
        rows.append(one.alias(instrument, PERMANENT, one.filed_as, whole))
        rows += [
            one.alias(row["instrument_id"], PERMANENT, one.filed_as, {**whole, **_never(row)})
            for row in names.held(PERMANENT, one.filed_as)
            if row["instrument_id"] != instrument
        ]
        names.add(rows)
        found |= {_key(row): row for row in rows}
    return pl.DataFrame(list(found.values()), schema=ALIAS_ROW)


def permanent_name(source: str, name: str) -> str:
    """Value of the alias of kind permanent."""
    return f"{source}:{name}"


def replaced_names(stated: pl.DataFrame, known: pl.DataFrame, assigned: pl.Series, sources: Collection[str]) -> pl.DataFrame:
    """Tickers on record of instruments whose whole history is stated now, and which it does not have: given up.

    `stated`: aliases of the order. `assigned`: of each known alias whether bars alone gave it. `sources`: those that state whole
    histories: an earlier version of one gives way too, a rename that another source states does not.
    """
    companies = stated.filter((pl.col("kind") == PERMANENT) & pl.col("valid_to").is_null())
    companies = companies.unique("instrument_id", keep="last", maintain_order=True)
    companies = companies.select("instrument_id", *(pl.col(c).alias(f"__{c}") for c in _ROW))
    earlier = known.filter(pl.col("kind") == PERMANENT)["instrument_id"].unique()
    again = pl.col("instrument_id").is_in(earlier.implode()) & pl.col("source").is_in(list(sources))
    empty = (pl.col("valid_to") < pl.col("valid_from")).fill_null(value=False)
    old = known.with_columns(assigned.alias("__assigned")).filter(
        (pl.col("kind") == "symbol") & ~empty & (pl.col("__assigned") | again)
    )
    void = old.join(companies, on="instrument_id", how="inner", maintain_order="left").join(stated, on=_KEY, how="anti")
    return void.with_columns(valid_to=pl.col("valid_from") - _DAY, **{c: pl.col(f"__{c}") for c in _ROW}).select(list(ALIAS_ROW))


_ROW = ("batch_id", "row_number", "source")


def _histories(stated: pl.DataFrame) -> list[_History]:
    """The histories in order of their arrival."""
    named = stated.with_columns(pl.col("permanent", "symbol").str.to_uppercase())
    ordered = named.sort("received_at", "batch_id", "valid_from", "row_number")
    span = ["symbol", "valid_from", "valid_to", "row_number"]
    return [
        _History(str(permanent), tuple(rows.select(span).iter_rows(named=True)), str(batch), str(rows["source"][0]))
        for (batch, permanent), rows in ordered.group_by("batch_id", "permanent", maintain_order=True)
    ]


def _instrument(exchange: str, history: _History, names: _Names) -> str:
    ticker, day = history.spans[0]["symbol"], history.listed
    begun = [row["instrument_id"] for row in names.held("symbol", ticker) if row["valid_from"] == day]
    same = sorted(one for one in begun if any(row["valid_from"] == day for row in names.permanent(one)))
    if same:
        return str(same[0])
    candidate = f"{exchange}:{history.permanent}"
    theirs = names.tickers(candidate) if names.permanent(candidate) else []
    last = history.spans[-1]["valid_to"] or date.max
    apart = all(row["valid_from"] > last or (row["valid_to"] or date.max) < day for row in theirs)
    return f"{exchange}:{ticker}:{day}" if theirs and apart else candidate


def _key(name: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(name[column] for column in _KEY)


def _never(name: dict[str, Any]) -> dict[str, Any]:
    """Days of a name that was given up."""
    return {"valid_from": name["valid_from"], "valid_to": name["valid_from"] - _DAY}


def _is_empty(name: dict[str, Any]) -> bool:
    return name["valid_to"] is not None and bool(name["valid_to"] < name["valid_from"])
