"""Reference rows of an order: instruments and their names: assigned, stated, merged and ended.

Lives here: `stage_reference`.
Does not live here: which names mean what (`identity/aliases.py`), shaping assigned rows (`staging_columns.py`).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl

from pipelines.identity.aliases import RequestNames
from pipelines.identity.resolve import first_and_last, first_seen, tickers_seen
from pipelines.ingest.quarantine import quarantine_rows
from pipelines.ingest.requests import IngestRequest
from pipelines.ingest.staged import Counts, Staged
from pipelines.ingest.staging_columns import reference_rows, stage_columns
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

_SEEN = ["instrument_id", "symbol", "session_date", "source", "batch_id", "row_number", "known_at", "received_at"]
_NAME = ["instrument_id", "kind", "value", "valid_from", "valid_to"]
_DAY = timedelta(days=1)
#: What follows from a link or an end holds against what another source said when it knew of neither.
_DECIDED = ["source_priority", "source_conflict"]


def show_instruments(bars: pl.DataFrame, refused: pl.DataFrame) -> pl.DataFrame:
    """What staged bars show of instruments and tickers, for `stage_reference`.

    Those that a gate refused before (`refused`: batch_id, row_number) show none.
    """
    row = ["batch_id", "row_number"]
    return first_and_last(bars.select(_SEEN).join(refused, on=row, how="anti", maintain_order="left"))


def stage_reference(
    lake: Lake, order: IngestRequest, staged: Staged, names: RequestNames, shown: pl.DataFrame, others: pl.DataFrame
) -> pl.DataFrame:
    """Add `instruments` and `instrument_aliases` to what is staged; returns stated names to set aside, as rows of the quarantine.

    `shown`: what the staged bars show (`show_instruments`). `names.refused` has `rule`. `others`: holders of tickers on days that
    are not the stated company's, as `ticker_reuse.other_holders` gives them.
    """
    seen, tickers = first_seen(shown), tickers_seen(shown)
    stored = LakeTable(lake.table_uri(order.exchange, "instruments"), TABLES["instruments"]).read()
    received = {d.batch_id: d.received_at for d in order.deliveries}
    moved = _joined(stored, names.moves)
    key = list(TABLES["instruments"].key)
    listed = pl.concat([stored.join(moved, on=key, how="anti"), moved.select(stored.columns)]).filter(~_never_held())
    fresh, aliases = reference_rows(
        order.exchange, seen, tickers, names.history, listed.select("instrument_id"), names.known, received
    )
    aliases = _until_the_stretch_ends(aliases, others)
    instruments = _taken_over(stage_columns(TABLES["instruments"], fresh), aliases, names, others)
    again = pl.col("instrument_id").is_in(stored["instrument_id"].implode())
    decided = pl.when(again).then(pl.lit(_DECIDED, pl.List(pl.String))).otherwise("overrules")
    instruments = instruments.with_columns(overrules=decided)
    changed = moved.select(instruments.columns).join(instruments, on=key, how="anti", maintain_order="left")
    named = _with_isins(stored, names, received).select(instruments.columns)
    for rows in (changed, instruments):
        named = named.join(rows, on=key, how="anti", maintain_order="left")
    instruments = _ended(_over(stored, instruments, pl.concat([named, changed])), names.ends, received)
    aliases = stage_columns(TABLES["instrument_aliases"], _ended_names(aliases, names.ends))
    key = ["instrument_id", "kind", "value", "valid_from"]
    before = names.known.select(*key, __was=pl.col("valid_to"), __known=pl.lit(value=True))
    aliases = aliases.join(before, on=key, how="left", maintain_order="left")
    cut = pl.col("__known") & pl.col("__was").ne_missing(pl.col("valid_to"))
    aliases = aliases.with_columns(overrules=pl.when(cut).then(pl.lit(_DECIDED, pl.List(pl.String))).otherwise("overrules"))
    staged.tables["instruments"] = instruments
    staged.tables["instrument_aliases"] = aliases.drop("__was", "__known")
    refused = quarantine_rows(order.exchange, "instrument_aliases", names.refused)
    staged.counts["instruments"] = Counts(instruments.height)
    staged.counts["instrument_aliases"] = Counts(aliases.height + refused.height, 0, refused.height)
    return refused


def _with_isins(stored: pl.DataFrame, names: RequestNames, received: dict[str, Any]) -> pl.DataFrame:
    """Rows of instruments that were known by ticker alone, with the ISIN that came since."""
    provenance = ["batch_id", "row_number", "source"]
    isins = pl.concat(
        [rows.select("instrument_id", "kind", "value", "valid_from", *provenance) for rows in (names.known, names.history)]
    )
    latest = isins.filter(pl.col("kind") == "isin").sort("valid_from").unique("instrument_id", keep="last", maintain_order=True)
    lacking = stored.filter(pl.col("isin").is_null() & pl.col("valid_to").is_null())
    found = lacking.drop("isin", *provenance).join(latest.drop("kind", "valid_from"), on="instrument_id", maintain_order="left")
    at = pl.col("batch_id").replace_strict(received, default=None, return_dtype=pl.Datetime("us", "UTC"))
    arrived = pl.coalesce(at, "known_at").alias("received_at")
    return found.rename({"value": "isin"}).with_columns(arrived, overrules=pl.lit(_DECIDED, pl.List(pl.String)))


def _never_held() -> pl.Expr:
    """Whether a row is what is left of an instrument that was given up: it ends before it begins."""
    return (pl.col("valid_to") < pl.col("valid_from")).fill_null(value=False)


def _until_the_stretch_ends(aliases: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Tickers of holders beside the stated company: they end with the stretch of days that is theirs."""
    ends = others.filter(pl.col("last") < date.max).select("instrument_id", "last", value="symbol").unique()
    rows = aliases.join(ends, on=["instrument_id", "value"], how="left", maintain_order="left")
    return rows.with_columns(pl.min_horizontal("valid_to", "last").alias("valid_to")).drop("last")


def _taken_over(instruments: pl.DataFrame, aliases: pl.DataFrame, names: RequestNames, others: pl.DataFrame) -> pl.DataFrame:
    """New instruments whose only ticker is another's for good from some day on: ended on the day before."""
    stated = pl.concat([rows.select(_NAME) for rows in (names.known, names.history, aliases)])
    symbols = stated.unique(_NAME[:4], keep="last").filter((pl.col("kind") == "symbol") & ~_never_held())
    open_now = symbols.filter(pl.col("valid_to").is_null())
    takers = open_now.select(symbol="value", __by="instrument_id", __taken="valid_from")
    later = instruments.join(takers, on="symbol").filter(
        (pl.col("__by") != pl.col("instrument_id")) & (pl.col("__taken") > pl.col("valid_from"))
    )
    taken = later.group_by("instrument_id").agg((pl.col("__taken").min() - _DAY).alias("__ends"))
    stretch = others.filter(pl.col("last") < date.max).group_by("instrument_id").agg(pl.col("last").max().alias("__ends"))
    ends = pl.concat([stretch, taken.join(open_now, on="instrument_id", how="anti").join(stretch, on="instrument_id", how="anti")])
    rows = instruments.join(ends, on="instrument_id", how="left", maintain_order="left")
    hit = pl.col("__ends").is_not_null()
    return rows.with_columns(valid_to=pl.when(hit).then("__ends").otherwise("valid_to"), is_active=pl.col("is_active") & ~hit).drop(
        "__ends"
    )


def _joined(stored: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """Rows of instruments that late links change: one given up or cut short, one grown backwards or under a new ticker."""
    types = {**stored.schema, "received_at": pl.Datetime("us", "UTC"), "overrules": pl.List(pl.String)}
    rows = {(r["instrument_id"], r["valid_from"]): r for r in stored.sort("instrument_id", "valid_from").iter_rows(named=True)}
    changed: dict[tuple[str, date], dict[str, Any]] = {}

    def put(row: dict[str, Any], move: dict[str, Any]) -> None:
        provenance = {name: move[name] for name in ("batch_id", "row_number", "source", "received_at")}
        rows[row["instrument_id"], row["valid_from"]] = changed[row["instrument_id"], row["valid_from"]] = {
            **row,
            **provenance,
            "overrules": _DECIDED,
        }

    for move in moves.iter_rows(named=True):
        first, last = move["first_session"], move["last_session"]
        given = [r for r in rows.values() if r["instrument_id"] == move["from_id"] and _open_at(r, first, last)]
        for row in given:
            begins = row["valid_from"]
            put({**row, "valid_to": (first if begins < first else begins) - _DAY, "is_active": False}, move)
            if move["resumes"] is not None:
                put({**row, "valid_from": move["resumes"]}, move)
        ours = sorted(
            (r for r in rows.values() if r["instrument_id"] == move["to_id"] and _open_at(r, date.min, None)),
            key=lambda row: row["valid_from"],
        )
        grown = max(first, min((r["valid_from"] for r in given), default=first))
        if not ours and given:
            put({**given[0], "instrument_id": move["to_id"], "valid_from": grown, **_parted(move)}, move)
        elif ours and grown < ours[0]["valid_from"]:
            put({**ours[0], "valid_from": grown, "valid_to": ours[0]["valid_from"] - _DAY}, move)
        if ours and last is None:
            put({**ours[-1], "symbol": move["symbol"]}, move)
    return pl.DataFrame(list(changed.values()), schema=types)


def _parted(move: dict[str, Any]) -> dict[str, Any]:
    """What differs of an instrument that is made because a ticker was another company's."""
    if move["ticker"] is None:
        return {}
    last = move["last_session"]
    return {"symbol": move["symbol"], "isin": None, "name": None, "sector": None, "valid_to": last, "is_active": last is None}


def _open_at(row: dict[str, Any], first: date, last: date | None) -> bool:
    ends = row["valid_to"] or date.max
    return bool(row["valid_from"] <= (last or date.max) and ends >= first and ends >= row["valid_from"])


def _over(stored: pl.DataFrame, fresh: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """New and changed rows, and the stored ones to see what ends them; marked by `__staged`."""
    key = ["instrument_id", "valid_from"]
    # A link may have made the instrument that the order's bars show too, and knows its earlier days.
    made = changed.join(stored, on="instrument_id", how="anti").select("instrument_id")
    staged = pl.concat([fresh.join(made, on="instrument_id", how="anti", maintain_order="left"), changed])
    beside = stored.join(staged, on=key, how="anti", maintain_order="left")
    return pl.concat(
        [staged.with_columns(__staged=pl.lit(value=True)), beside.with_columns(__staged=pl.lit(value=False))], how="diagonal"
    )


def _ended(instruments: pl.DataFrame, ends: pl.DataFrame, received: dict[str, Any]) -> pl.DataFrame:
    """Staged rows, and those that an end closes: the last session is that before the ex-date."""
    first_ends = _first_end(ends).rename({name: f"__{name}" for name in ("batch_id", "row_number", "source")})
    rows = instruments.join(first_ends, on="instrument_id", how="left", maintain_order="left")
    hit = pl.col("is_active") & pl.col("valid_to").is_null() & (pl.col("valid_from") < pl.col("ex_date")).fill_null(value=False)
    at = pl.col("__batch_id").replace_strict(received, default=None, return_dtype=pl.Datetime("us", "UTC"))
    rows = rows.with_columns(__hit=hit).with_columns(
        valid_to=pl.when("__hit").then(pl.col("ex_date") - _DAY).otherwise("valid_to"),
        is_active=pl.col("is_active") & ~pl.col("__hit"),
        received_at=pl.when("__hit").then(pl.coalesce(at, "received_at", "known_at")).otherwise("received_at"),
        overrules=pl.when("__hit").then(pl.lit(_DECIDED, pl.List(pl.String))).otherwise("overrules"),
        **{c: pl.when("__hit").then(f"__{c}").otherwise(c) for c in ("batch_id", "row_number", "source")},
    )
    return rows.filter(pl.col("__staged") | pl.col("__hit")).select([c for c in instruments.columns if c != "__staged"])


def _ended_names(aliases: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
    """Names that these bars show for the first time, of instruments whose end is known already."""
    rows = aliases.join(_first_end(ends).select("instrument_id", "ex_date"), on="instrument_id", how="left", maintain_order="left")
    hit = (pl.col("kind") == "symbol") & pl.col("valid_to").is_null() & (pl.col("valid_from") < pl.col("ex_date"))
    ends_on = pl.when(hit.fill_null(value=False)).then(pl.col("ex_date") - _DAY).otherwise("valid_to")
    return rows.with_columns(valid_to=ends_on).drop("ex_date")


def _first_end(ends: pl.DataFrame) -> pl.DataFrame:
    return ends.sort("ex_date").unique("instrument_id", keep="first", maintain_order=True)
