"""Identity by ISIN: which rows under different symbols, or with different ISINs, are one history.

Lives here: `link`, which walks first sightings of (symbol, ISIN) in order of their dates.
Does not live here: rows without ISIN, which the symbol decides alone (`resolve.py`).

An ISIN is never given to a second security, so it decides first: a known one under a new symbol is a rename. A new ISIN under a
known symbol is the same history when the issuer's part is equal (a face-value split changes only what follows it) or when a
corporate action of these days explains it; a new one when the symbol's former holder has moved to another symbol; else it is
ambiguous, and people decide.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

#: Leading characters of an ISIN that name the issuer. India: IN, kind of issuer, four characters (NSDL); elsewhere most
#: national numbers have six for it, as CUSIP does.
_ISSUER = {"IN": 7}
_ISSUER_ELSEWHERE = 8
#: Actions after which a share trades under a new ISIN.
_NEW_ISIN_AFTER = ("split", "capital_reduction", "merger", "demerger", "bonus")
#: A share may be suspended for some days between its last session before and its first after such an action.
_SUSPENSION = timedelta(days=10)
_OPEN = date.max
#: Letters of the country, nine of the country's own number, a check digit (ISO 6166).
_ISIN = r"^[A-Z]{2}[A-Z0-9]{9}[0-9]$"

#: A name of an instrument with its period, as a delivery states it.
ALIAS_ROW = {
    "instrument_id": pl.String,
    "kind": pl.String,
    "value": pl.String,
    "valid_from": pl.Date,
    "valid_to": pl.Date,
    "batch_id": pl.String,
    "row_number": pl.Int64,
    "source": pl.String,
}
_PAIR = {"symbol": pl.String, "isin": pl.String, "instrument_id": pl.String, "ambiguous": pl.Boolean}


@dataclass(frozen=True)
class Links:
    """`pairs`: the instrument of each (symbol, isin), and whether it is ambiguous. `aliases`: rows that are new or now closed."""

    pairs: pl.DataFrame
    aliases: pl.DataFrame


def link(exchange: str, rows: pl.DataFrame, known: pl.DataFrame, actions: pl.DataFrame) -> Links:
    """Links of the rows that have an ISIN.

    `rows`: symbol, isin, session_date and provenance. `known`: aliases of all kinds on record. `actions`: instrument_id, ex_date,
    action. Pairs of one date are taken with known ISINs first, so that two companies may swap symbols on a day.
    """
    provenance = ("batch_id", "row_number", "source")
    sightings = (
        rows.drop_nulls(["symbol", "isin", "session_date"])
        .filter(pl.col("isin").str.contains(_ISIN))
        .sort("session_date", "batch_id", "row_number")
        .group_by("symbol", "isin", maintain_order=True)
        .agg(pl.col("session_date").first(), *(pl.col(c).first() for c in provenance))
    )
    walk = _Walk(exchange, known, actions)
    pairs = []
    for _, day in sightings.group_by("session_date", maintain_order=True):
        for row in sorted(day.iter_rows(named=True), key=lambda r: (r["isin"] not in walk.by_isin, r["symbol"], r["isin"])):
            instrument, ambiguous = walk.instrument(row["symbol"], row["isin"], row["session_date"])
            pairs.append((row["symbol"], row["isin"], instrument, ambiguous))
            if not ambiguous:
                walk.name(instrument, row, {c: row[c] for c in provenance})
    changed = list({(a.instrument_id, a.kind, a.value, a.valid_from): a for a in walk.changed}.values())
    aliases = [{**vars(a), **a.provenance} for a in changed]
    return Links(
        pl.DataFrame(pairs, schema=_PAIR, orient="row"),
        pl.DataFrame([{c: a[c] for c in ALIAS_ROW} for a in aliases], schema=ALIAS_ROW),
    )


def attach(rows: pl.DataFrame, links: Links) -> pl.DataFrame:
    """`rows` with `instrument_id` and `ambiguous` replaced where the row's symbol and ISIN are linked."""
    found = links.pairs.rename({"instrument_id": "__linked", "ambiguous": "__ambiguous"})
    joined = rows.join(found, on=["symbol", "isin"], how="left", maintain_order="left")
    return (
        joined.with_columns(pl.coalesce("__linked", "instrument_id").alias("instrument_id"))
        .with_columns(pl.coalesce("__ambiguous", "ambiguous").alias("ambiguous"))
        .drop("__linked", "__ambiguous")
    )


def upsert_aliases(known: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """`known` aliases with those of `changed` added, and replaced where the key is equal."""
    key = ["instrument_id", "kind", "value", "valid_from"]
    columns = [*key, "valid_to"]
    return pl.concat([known.select(columns).join(changed, on=key, how="anti"), changed.select(columns)])


@dataclass
class _Alias:
    instrument_id: str
    kind: str
    value: str
    valid_from: date
    valid_to: date | None
    provenance: dict[str, object] = field(default_factory=dict)


class _Walk:
    """Aliases as they grow from sighting to sighting."""

    def __init__(self, exchange: str, known: pl.DataFrame, actions: pl.DataFrame) -> None:
        self.exchange = exchange
        self.by_isin: dict[str, str] = {}
        self.of: dict[str, list[_Alias]] = defaultdict(list)
        self.by_symbol: dict[str, list[_Alias]] = defaultdict(list)
        self.changed: list[_Alias] = []
        columns = ["instrument_id", "kind", "value", "valid_from", "valid_to"]
        given_up = pl.col("valid_to") < pl.col("valid_from")
        held = known.select(columns).filter(~given_up.fill_null(value=False))
        for row in held.sort("valid_from", "instrument_id", "kind", "value").iter_rows():
            self._add(_Alias(*row))
        explained = actions.filter(pl.col("action").is_in(_NEW_ISIN_AFTER)).select("instrument_id", "ex_date")
        self.action_days = set(explained.drop_nulls().iter_rows())

    def instrument(self, symbol: str, isin: str, day: date) -> tuple[str, bool]:
        """The instrument of a sighting, and whether it is ambiguous."""
        holders = [a for a in self.by_symbol[symbol] if a.valid_from <= day <= (a.valid_to or _OPEN)]
        holder = holders[-1].instrument_id if holders else None
        if isin in self.by_isin:
            found = self.by_isin[isin]
            # A history known by this symbol alone may be this share's or another's: nothing on record tells.
            return found, holder not in (None, found) and not self._isins(holder)
        assigned = f"{self.exchange}:{symbol}"
        if holder is None:
            expired = any((a.valid_to or _OPEN) < day for a in self.by_symbol[symbol])
            if self._isins(assigned) and not self._sameissuer(assigned, isin) and not expired:
                return assigned, True
            return (f"{assigned}:{day}" if expired else assigned), False
        if not self._isins(holder) or self._sameissuer(holder, isin) or self._acted(holder, day):
            return holder, False
        return holder, True

    def name(self, instrument: str, row: dict[str, object], provenance: dict[str, object]) -> None:
        """Record the sighting's symbol and ISIN as names of the instrument; the name before each ends the day before."""
        day = row["session_date"]
        assert isinstance(day, date)
        for kind, value in (("symbol", str(row["symbol"])), ("isin", str(row["isin"]))):
            names = [a for a in self.of[instrument] if a.kind == kind]
            if any(a.value == value for a in names):
                continue
            later = min((a.valid_from for a in names if a.valid_from > day), default=None)
            added = _Alias(instrument, kind, value, day, later - timedelta(days=1) if later else None, provenance)
            for alias in names:
                if alias.valid_from < day <= (alias.valid_to or _OPEN):
                    alias.valid_to, alias.provenance = day - timedelta(days=1), provenance
                    self.changed.append(alias)
            self._add(added)
            self.changed.append(added)

    def _add(self, alias: _Alias) -> None:
        self.of[alias.instrument_id].append(alias)
        if alias.kind == "isin":
            self.by_isin.setdefault(alias.value, alias.instrument_id)
        elif alias.kind == "symbol":
            self.by_symbol[alias.value].append(alias)

    def _isins(self, instrument: str | None) -> list[str]:
        return [a.value for a in self.of.get(instrument or "", []) if a.kind == "isin"]

    def _sameissuer(self, instrument: str, isin: str) -> bool:
        return any(issuer(known) == issuer(isin) for known in self._isins(instrument))

    def _acted(self, instrument: str, day: date) -> bool:
        return any((instrument, day - timedelta(days=back)) in self.action_days for back in range(_SUSPENSION.days + 1))


def issuer(isin: str) -> str:
    """The part of an ISIN that names who issued it."""
    return isin[: _ISSUER.get(isin[:2], _ISSUER_ELSEWHERE)]
