"""Tickers that pass to another company on a stated day, as a person or a file says who knows of no ticker history.

Lives here: `transfer_ticker`, from rows of `symbol_history` with `new_instrument` to aliases and moves, and `find_split`, the
same for one ticker before anything is written.
Does not live here: whole histories of companies (`ticker_histories.py`,
`ticker_reuse.py`), the command (`cli/instruments.py`).

From that day on bars under the ticker, corporate actions and names of its holder are the new instrument's; what came before stays.
What contradicts is refused: a ticker history that says who has the ticker, and an ISIN of the holder that goes on beyond the day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from pipelines.identity.isin import ALIAS_ROW
from pipelines.identity.ticker_histories import PERMANENT
from pipelines.market.symbols import is_well_formed
from pipelines.market.tables import BAR_TABLES, TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.reassign import MOVE

_DAY = timedelta(days=1)
_LINE = ("batch_id", "row_number", "source")


class SplitError(ValueError):
    """A ticker's history cannot be parted as asked. The message says why and what to do."""


@dataclass(frozen=True)
class Split:
    """A ticker that passes to `new_id` on `day`; `holder` had it until then. `is_done`: that is on record already."""

    symbol: str
    day: date
    holder: str
    new_id: str
    is_done: bool


@dataclass(frozen=True)
class TickerTransfer:
    """`aliases`: names that are new or cut (columns of `ALIAS_ROW`); `moves`: stored rows that follow (`MOVE`); `refused`: aliases
    that something on record contradicts, with `reason`.
    """

    aliases: pl.DataFrame
    moves: pl.DataFrame
    refused: pl.DataFrame


def transfer_ticker(lake: Lake, exchange: str, history: pl.DataFrame, names: pl.DataFrame) -> TickerTransfer:
    """What rows of `symbol_history` with `new_instrument` mean. `history`: with provenance and received_at. `names`: columns of
    `ALIAS_ROW`, on record and stated.
    """
    stated = history.drop_nulls(["new_instrument", "symbol", "valid_from"])
    record = {_key(row): row for row in names.iter_rows(named=True)} if stated.height else {}
    changed: dict[tuple[Any, ...], dict[str, Any]] = {}
    moves: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    ordered = stated.sort("valid_from", "received_at", "batch_id", "row_number")
    for row in ordered.iter_rows(named=True):
        line = {name: row[name] for name in _LINE}
        symbol, day, new_id = row["symbol"].upper(), row["valid_from"], f"{exchange}:{row['new_instrument'].upper()}"
        name = {"instrument_id": new_id, "kind": "symbol", "value": symbol, "valid_from": day, "valid_to": None, **line}
        rows = list(record.values())
        holder = _holder(rows, exchange, symbol, day, new_id)
        why = _contradiction(rows, symbol, day, holder, new_id)
        if why:
            refused.append({**name, "received_at": row["received_at"], "reason": why})
            continue
        last = _until(rows, symbol, day, holder, new_id)
        fresh = [{**name, "valid_to": last}]
        if holder is not None:
            fresh += _passed_on(rows, holder, new_id, symbol, day, last, line)
            days = {"first_session": day, "last_session": last, "resumes": _resumes(lake, exchange, holder, last)}
            whose = {"from_id": holder, "to_id": new_id, "symbol": symbol, "ticker": symbol}
            moves.append({**whose, **days, **line, "received_at": row["received_at"]})
        found = {_key(alias): alias for alias in fresh}
        record |= found
        changed |= found
    schema: dict[str, Any] = {**ALIAS_ROW, "received_at": pl.Datetime("us", "UTC"), "reason": pl.String}
    return TickerTransfer(
        pl.DataFrame(list(changed.values()), schema=ALIAS_ROW),
        pl.DataFrame(moves, schema=MOVE),
        pl.DataFrame(refused, schema=schema),
    )


def find_split(lake: Lake, exchange: str, symbol: str, day: date, name: str | None) -> Split:
    """The split of a ticker from a day on, as the lake stands. `name`: of the new instrument, without MIC (None: ticker and day).

    Raises SplitError where there is nothing to part, or something on record contradicts.
    """
    ticker = symbol.strip().upper()
    wanted = (name or f"{ticker}:{day}").strip().upper()
    if name is not None and not pl.select(is_well_formed(pl.lit(wanted))).item():
        raise SplitError(f"--name: {name!r} cannot name an instrument; give letters, digits and the marks & . - _ / ^ =")
    new_id = f"{exchange}:{wanted}"
    rows = _table(lake, exchange, "instrument_aliases").read().select(list(ALIAS_ROW)).rows(named=True)
    done = [r for r in rows if (r["instrument_id"], r["kind"], r["value"], r["valid_from"]) == (new_id, "symbol", ticker, day)]
    holder = _holder(rows, exchange, ticker, day, new_id)
    if done and not _is_empty(done[0]):
        return Split(ticker, day, str(holder or new_id), new_id, is_done=True)
    why = _contradiction(rows, ticker, day, holder, new_id)
    if why:
        raise SplitError(why)
    if holder is None:
        raise SplitError(
            f"no instrument of {exchange} has the ticker {ticker} on {day}; the table instrument_aliases tells who had it"
        )
    sessions = pl.concat([_bars(lake, exchange, holder, table) for table in BAR_TABLES]).filter(pl.col("symbol") == ticker)[
        "session_date"
    ]
    days: list[date] = sessions.unique().sort().to_list()
    if not days or days[0] >= day:
        first = f"; its first are of {days[0]}" if days else ""
        raise SplitError(f"{holder} has no bars of {ticker} before {day}: there is nothing to part from{first}")
    if days[-1] < day:
        raise SplitError(f"{holder} has no bars of {ticker} from {day} on: there is nothing to part; its last are of {days[-1]}")
    return Split(ticker, day, holder, new_id, is_done=False)


def _holder(rows: list[dict[str, Any]], exchange: str, symbol: str, day: date, new_id: str) -> str | None:
    """The instrument that has the ticker on the day, the new one apart; else the one named after the ticker, seen later only."""
    held = [r for r in rows if (r["kind"], r["value"]) == ("symbol", symbol) and r["instrument_id"] != new_id and not _is_empty(r)]
    there = [r for r in held if r["valid_from"] <= day <= (r["valid_to"] or date.max)]
    later = [r for r in held if r["valid_from"] > day and r["instrument_id"] == f"{exchange}:{symbol}"]
    found = sorted(there, key=lambda r: (r["valid_from"], r["instrument_id"]))[-1:] or later[:1]
    return str(found[0]["instrument_id"]) if found else None


def _contradiction(rows: list[dict[str, Any]], symbol: str, day: date, holder: str | None, new_id: str) -> str | None:
    """Why the ticker cannot pass on; None where nothing on record stands against it."""
    taken = [r for r in rows if r["instrument_id"] == new_id and not _is_empty(r)]
    if any(r["kind"] == "symbol" and (r["value"], r["valid_from"]) != (symbol, day) for r in taken):
        return f"{new_id} is an instrument already; give the new one another name"
    if holder is None:
        return None
    if any(r["instrument_id"] == holder and r["kind"] == PERMANENT for r in rows):
        return f"the ticker history on record says that {symbol} is {holder} on {day}; withdraw or replace that history"
    before = day - _DAY
    through = [
        r["value"]
        for r in rows
        if r["instrument_id"] == holder and r["kind"] == "isin" and r["valid_from"] <= before and (r["valid_to"] or date.max) >= day
    ]
    if through:
        return f"{holder} has the ISIN {through[0]} before {day} and after: by that it is one share"
    return None


def _until(rows: list[dict[str, Any]], symbol: str, day: date, holder: str | None, new_id: str) -> date | None:
    """The last day of the new holder: that of the old one, or the day before somebody else's begins."""
    symbols = [r for r in rows if (r["kind"], r["value"]) == ("symbol", symbol) and not _is_empty(r)]
    ends = [
        r["valid_to"] for r in symbols if r["instrument_id"] == holder and r["valid_from"] <= day <= (r["valid_to"] or date.max)
    ]
    others = [r["valid_from"] - _DAY for r in symbols if r["instrument_id"] not in {holder, new_id} and r["valid_from"] > day]
    return min((d for d in (*ends, *others) if d is not None), default=None)


def _passed_on(
    rows: list[dict[str, Any]], holder: str, new_id: str, symbol: str, day: date, last: date | None, line: dict[str, Any]
) -> list[dict[str, Any]]:
    """The holder's ticker, cut on the day before, and its ISINs of later days, which go with it."""
    changed = []
    for row in rows:
        if row["instrument_id"] != holder or _is_empty(row):
            continue
        is_ticker = (row["kind"], row["value"]) == ("symbol", symbol)
        if is_ticker and day <= (row["valid_to"] or date.max):
            changed.append({**row, **line, "valid_to": max(day, row["valid_from"]) - _DAY})
        elif row["kind"] == "isin" and day <= row["valid_from"] <= (last or date.max):
            changed.append({**row, **line, "valid_to": row["valid_from"] - _DAY})
            changed.append({**row, **line, "instrument_id": new_id})
    return changed


def _resumes(lake: Lake, exchange: str, holder: str, last: date | None) -> date | None:
    if last is None:
        return None
    later = pl.concat([_bars(lake, exchange, holder, table) for table in BAR_TABLES]).filter(pl.col("session_date") > last)
    return later["session_date"].min()  # type: ignore[return-value]


def _bars(lake: Lake, exchange: str, instrument: str, table: str) -> pl.DataFrame:
    where = pl.col("instrument_id") == instrument
    return _table(lake, exchange, table).read(columns=["symbol", "session_date"], where=where)


def _table(lake: Lake, exchange: str, name: str) -> LakeTable:
    return LakeTable(lake.table_uri(exchange, name), TABLES[name])


def _key(name: dict[str, Any]) -> tuple[Any, ...]:
    return name["instrument_id"], name["kind"], name["value"], name["valid_from"]


def _is_empty(name: dict[str, Any]) -> bool:
    return name["valid_to"] is not None and bool(name["valid_to"] < name["valid_from"])
