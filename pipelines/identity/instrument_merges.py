"""Links learned late: two identities that turn out to be one history, after bars were stored under both.

Lives here: `find_instrument_merges`, which finds identities assigned for a ticker that another instrument had, and says which rows
move.
Does not live here: links known in time (`resolve.py`, `isin.py`), moving the stored rows (`storage/reassign.py`).

A ticker that no source had named got an identity of its own at first sight. When a rename, a ticker history or an ISIN says later
that the ticker was another instrument's then, the rows of these days are that instrument's, as they would have been had the link
come first. It is followed only where nothing contradicts: both never have a bar in one session, their ISINs are not of two
issuers, and an ISIN joins only a history without one that begins after the other's last session under its former ticker.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from pipelines.identity.isin import ALIAS_ROW, issuer
from pipelines.identity.ticker_histories import PERMANENT
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.reassign import MOVE

_BARS = ("bars_daily", "bars_other_series", "bars_1m", "bars_1m_extended")
_DAY = timedelta(days=1)
_KEY = ["instrument_id", "kind", "value", "valid_from"]


@dataclass(frozen=True)
class InstrumentMerges:
    """`moves`: whose stored rows become whose (columns of `MOVE`). `aliases`: names that are new or now closed. `refused`: claims,
    with `reason`, that what is stored contradicts.
    """

    moves: pl.DataFrame
    aliases: pl.DataFrame
    refused: pl.DataFrame


def find_instrument_merges(
    lake: Lake, exchange: str, claims: pl.DataFrame, aliases: pl.DataFrame, batches: list[str], parted: pl.DataFrame
) -> InstrumentMerges:
    """What the claims mean for rows that are stored already.

    `claims`: aliases of kind symbol with provenance and `stated`; true: the source states the period; false: an ISIN ties the
    ticker to the instrument from some day on. `aliases`: all on record and stated, with batch_id. `batches`: of the order, so
    that an interrupted one is completed by the same order. `parted`: moves of rows that turn out to be another holder's of the
    ticker (`ticker_reuse.py`): they stand against no claim.
    """
    moves: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    names = _Names(aliases)
    waiting = list(claims.sort("valid_from", "instrument_id", "value").iter_rows(named=True))
    gone: list[dict[str, Any]] = parted.to_dicts()
    before = -1
    # Rows that one claim moves away may be what stood against another.
    while waiting and len(moves) != before:
        before = len(moves)
        refused, stopped = [], []
        for claim in waiting:
            whys = []
            for rival in names.assigned_for(exchange, claim, batches):
                seen = _after_moves(lake, exchange, [claim["instrument_id"], rival], gone)
                move, why = _judge(names, claim, rival, seen)
                if why:
                    whys.append(why)
                elif move is not None:
                    moves.append(move)
                    gone.append(move)
                    names.join(move, claim)
            if whys:
                stopped.append(claim)
                refused += [{**claim, "reason": why} for why in whys]
        waiting = stopped
    schema = {**claims.schema, "reason": pl.String()}
    return InstrumentMerges(
        pl.DataFrame(moves, schema=MOVE).unique(maintain_order=True),
        pl.DataFrame(list(names.changed.values()), schema=ALIAS_ROW),
        pl.DataFrame(refused, schema=schema).unique(_KEY, maintain_order=True),
    )


def _judge(names: _Names, claim: dict[str, Any], rival: str, seen: pl.DataFrame) -> tuple[dict[str, Any] | None, str | None]:
    """The move that a claim leads to, or why it cannot be followed; neither where an ISIN does not say enough."""
    holder, first, last = claim["instrument_id"], claim["valid_from"], claim["valid_to"]
    theirs = seen.filter(pl.col("instrument_id") == rival)
    ours = seen.filter(pl.col("instrument_id") == holder)
    if not claim["stated"]:
        before: list[date] = ours.filter(pl.col("symbol") != claim["value"])["session_date"].to_list()
        # Without rows: they have moved already, and what was left to do was cut short.
        first = min(theirs["session_date"].to_list(), default=names.first(rival, claim["value"]))
        if names.isins(rival) or any(first <= day for day in before):
            return None, None
    in_question = theirs.filter(pl.col("session_date").is_between(first, last or date.max))
    both = in_question.join(ours, on=["table", "session_date"], how="semi")["session_date"].unique().sort()
    if both.len():
        return None, f"{holder} and {rival} both have bars of {both[0]}: {claim['value']} was not the same share then"
    issuers = [{issuer(isin) for isin in names.isins(instrument)} for instrument in (holder, rival)]
    if all(issuers) and not issuers[0] & issuers[1]:
        return None, f"{holder} and {rival} have ISINs of two issuers"
    resumes = None if last is None else theirs.filter(pl.col("session_date") > last)["session_date"].min()
    span = {"first_session": first, "last_session": last, "resumes": resumes, "symbol": claim["value"], "ticker": None}
    provenance = {name: claim[name] for name in ("batch_id", "row_number", "source", "received_at")}
    return {"from_id": rival, "to_id": holder, **span, **provenance}, None


def _sessions(lake: Lake, exchange: str, instruments: list[str]) -> pl.DataFrame:
    """Sessions with stored bars of these instruments: table, instrument_id, symbol, session_date."""
    columns = ["instrument_id", "symbol", "session_date"]
    parts = []
    for name in _BARS:
        table = LakeTable(lake.table_uri(exchange, name), TABLES[name])
        rows = table.read(columns=columns, where=pl.col("instrument_id").is_in(instruments)).unique()
        parts.append(rows.with_columns(table=pl.lit(name)))
    return pl.concat(parts)


def _after_moves(lake: Lake, exchange: str, instruments: list[str], moves: list[dict[str, Any]]) -> pl.DataFrame:
    """Sessions with bars of these instruments as they are after moves, in their order."""
    givers = [move["from_id"] for move in moves if move["to_id"] in instruments]
    seen = _sessions(lake, exchange, list(dict.fromkeys([*instruments, *givers])))
    holder, day = pl.col("instrument_id"), pl.col("session_date")
    there = {*instruments, *givers}
    for move in moves:
        if move["from_id"] not in there:
            continue
        there.add(move["to_id"])
        moved = (holder == move["from_id"]) & day.is_between(move["first_session"], move["last_session"] or date.max)
        if move["ticker"] is not None:
            moved &= pl.col("symbol") == move["ticker"]
        seen = seen.with_columns(instrument_id=pl.when(moved).then(pl.lit(move["to_id"])).otherwise("instrument_id"))
    return seen.filter(holder.is_in(instruments))


class _Names:
    """Names of instruments as joins change them."""

    def __init__(self, aliases: pl.DataFrame) -> None:
        self.rows = [dict(row) for row in aliases.select(*ALIAS_ROW, "stated").iter_rows(named=True)]
        self.changed: dict[tuple[Any, ...], dict[str, Any]] = {}

    def isins(self, instrument: str) -> list[str]:
        """ISINs that the instrument has or had."""
        return [r["value"] for r in self.rows if r["instrument_id"] == instrument and r["kind"] == "isin" and not _is_empty(r)]

    def first(self, instrument: str, value: str) -> date:
        """First day on which the name was the instrument's, or was thought to be."""
        days: list[date] = [r["valid_from"] for r in self.rows if (r["instrument_id"], r["value"]) == (instrument, value)]
        return min(days)

    def assigned_for(self, exchange: str, claim: dict[str, Any], batches: list[str]) -> list[str]:
        """Identities named after the claimed ticker whose names meet the claim, or were closed by this very order."""
        plain = f"{exchange}:{claim['value']}"
        found = {
            r["instrument_id"]
            for r in self.rows
            if r["kind"] == "symbol"
            and r["value"] == claim["value"]
            and r["instrument_id"] != claim["instrument_id"]
            and (r["instrument_id"] == plain or r["instrument_id"].startswith(f"{plain}:"))
            and not r["stated"]
            and (_meet(r, claim) or r["batch_id"] in batches)
        }
        return sorted(found)

    def join(self, move: dict[str, Any], claim: dict[str, Any]) -> None:
        """The rival's names of the moved days become the holder's."""
        first, last = move["first_session"], move["last_session"]
        span = {"valid_from": first, "valid_to": last}
        given = [r for r in self.rows if r["instrument_id"] == move["from_id"] and not _is_empty(r) and not self._is_stated(r)]
        for row in [r for r in given if _meet(r, span)]:
            begins, ends = row["valid_from"], row["valid_to"]
            self._change(row, {"valid_to": max(begins, first) - _DAY if begins < first else begins - _DAY}, claim)
            if move["resumes"] is not None and (ends is None or ends > last) and not self._named_after(move["from_id"], row, last):
                self._add({**row, "valid_from": move["resumes"], "valid_to": ends}, claim)
            until = min((d for d in (ends, last) if d is not None), default=None)
            self._take(move["to_id"], {**row, "valid_from": max(begins, first), "valid_to": until}, claim)
        if last is None:
            for row in self.rows:
                former = row["instrument_id"] == move["to_id"] and row["kind"] == "symbol" and row["value"] != claim["value"]
                if former and row["valid_from"] < first and (row["valid_to"] is None or row["valid_to"] >= first):
                    self._change(row, {"valid_to": first - _DAY}, claim)

    def _is_stated(self, name: dict[str, Any]) -> bool:
        """Whether the name is of a company whose whole history is stated: no claim takes it away."""
        if name["kind"] != "symbol" or not name["stated"]:
            return bool(name["kind"] == PERMANENT)
        return any(r["kind"] == PERMANENT and r["instrument_id"] == name["instrument_id"] for r in self.rows)

    def _take(self, holder: str, name: dict[str, Any], claim: dict[str, Any]) -> None:
        has = [r for r in self.rows if r["instrument_id"] == holder and (r["kind"], r["value"]) == (name["kind"], name["value"])]
        covering = [r for r in has if r["valid_from"] <= name["valid_from"] and _meet(r, name)]
        if not covering:
            self._add({**name, "instrument_id": holder}, claim)
        elif covering[-1]["valid_to"] is None and name["valid_to"] is not None:
            self._change(covering[-1], {"valid_to": name["valid_to"]}, claim)

    def _named_after(self, instrument: str, name: dict[str, Any], day: date) -> bool:
        same = (r for r in self.rows if r["instrument_id"] == instrument and r["value"] == name["value"])
        return any(r["valid_from"] > day for r in same)

    def _add(self, row: dict[str, Any], claim: dict[str, Any]) -> None:
        added = {**row, "stated": True}
        self.rows.append(added)
        self._change(added, {}, claim)

    def _change(self, row: dict[str, Any], values: dict[str, Any], claim: dict[str, Any]) -> None:
        row |= {**values, **{c: claim[c] for c in ("batch_id", "row_number", "source")}}
        self.changed[tuple(row[c] for c in _KEY)] = {c: row[c] for c in ALIAS_ROW}


def _is_empty(name: dict[str, Any]) -> bool:
    """A name that was never the instrument's: what is left of one that was given up."""
    return name["valid_to"] is not None and bool(name["valid_to"] < name["valid_from"])


def _meet(left: dict[str, Any], right: dict[str, Any]) -> bool:
    def ends(name: dict[str, Any]) -> date:
        return date.max if name["valid_to"] is None else name["valid_to"]

    return bool(left["valid_from"] <= ends(right) and right["valid_from"] <= ends(left))
