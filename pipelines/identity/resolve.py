"""Which instrument a symbol means on a day.

Lives here: resolving (symbol, date) through aliases, and assigning an identity at first sight.
Does not live here: ticker histories (`ticker_histories.py`), tickers that they leave to others (`ticker_reuse.py`), ISINs
(`isin.py`).
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

ALIAS = {"instrument_id": pl.String, "value": pl.String, "valid_from": pl.Date, "valid_to": pl.Date}


def aliases_from_renames(exchange: str, history: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Aliases from renames (rows of `history` with `renamed_from`): new ones, and those they end.

    `known`: aliases on record of kind symbol, with instrument_id, value, valid_from, valid_to. A rename belongs to the instrument
    that had the old ticker the day before, so that renames one after another, in any number of files, stay one history. Columns
    as `ticker_histories.aliases_from_history` gives them.
    """
    far = date.max
    of: dict[str, list[dict[str, object]]] = {}
    for row in known.sort("valid_from", "instrument_id").iter_rows(named=True):
        of.setdefault(row["value"], []).append(dict(row))
    changed: list[dict[str, object]] = []
    renames = history.drop_nulls("renamed_from").sort("valid_from", "batch_id", "row_number")
    for row in renames.iter_rows(named=True):
        old, new, day = row["renamed_from"].upper(), row["symbol"].upper(), row["valid_from"]
        before = day - timedelta(days=1)
        held = [a for a in of.get(old, []) if a["valid_from"] <= before <= (a["valid_to"] or far)]
        instrument = held[-1]["instrument_id"] if held else f"{exchange}:{old}"
        provenance = {name: row[name] for name in ("batch_id", "row_number", "source")}
        for alias in held[-1:]:
            alias |= {"valid_to": before, **provenance}
            changed.append(alias)
        if not any(a["instrument_id"] == instrument and a["valid_to"] is None for a in of.get(new, [])):
            added = {"instrument_id": instrument, "value": new, "valid_from": day, "valid_to": None, **provenance}
            of.setdefault(new, []).append(added)
            changed.append(added)
    schema = {**ALIAS, "batch_id": pl.String, "row_number": pl.Int64, "source": pl.String}
    made = pl.DataFrame([{name: a[name] for name in schema} for a in changed], schema=schema)
    key = ["instrument_id", "value", "valid_from"]
    return made.unique(key, keep="last", maintain_order=True).with_columns(kind=pl.lit("symbol"))


def successors(exchange: str, actions: pl.DataFrame, aliases: pl.DataFrame) -> pl.DataFrame:
    """`actions` with `successor_id`: the instrument that the ticker in `successor` means on the ex-date.

    Null for a rename, which leads to the same instrument under another ticker.
    """
    leads = actions.select("successor", "ex_date", "action").with_columns(symbol=pl.col("successor").str.to_uppercase())
    found = resolve(exchange, leads, aliases, "ex_date")["instrument_id"]
    other = pl.col("successor").is_not_null() & (pl.col("action") != "rename")
    return (
        actions.with_columns(found.alias("__found"))
        .with_columns(pl.when(other).then("__found").alias("successor_id"))
        .drop("__found")
    )


def resolve(exchange: str, rows: pl.DataFrame, aliases: pl.DataFrame, on: str) -> pl.DataFrame:
    """`rows` with `instrument_id` and `ambiguous`.

    The alias valid on the row's date (`on`) decides; a symbol that no alias covers means the instrument assigned for it,
    `{MIC}:{SYMBOL}`; a symbol with two aliases on that date is ambiguous.
    """
    pairs = rows.select("symbol", on).unique().drop_nulls()
    far = pl.lit(date.max)
    known = (
        pairs.join(aliases.select(*ALIAS), left_on="symbol", right_on="value", how="inner")
        .filter((pl.col(on) >= pl.col("valid_from")) & (pl.col(on) <= pl.col("valid_to").fill_null(far)))
        .group_by("symbol", on)
        .agg(pl.col("instrument_id").unique().sort())
        .select("symbol", on, pl.col("instrument_id").list.first(), (pl.col("instrument_id").list.len() > 1).alias("ambiguous"))
    )
    assigned = pl.format("{}:{}", pl.lit(exchange), pl.col("symbol"))
    return rows.join(known, on=["symbol", on], how="left", maintain_order="left").with_columns(
        pl.coalesce("instrument_id", assigned), pl.col("ambiguous").fill_null(value=False)
    )


def reused(exchange: str, shown: pl.DataFrame, aliases: pl.DataFrame) -> pl.DataFrame:
    """Names of instruments that took up a ticker after its first holder had given it up: `{MIC}:{SYMBOL}:{first session}`.

    `shown`: symbol and session_date of an order's rows. A row before the first session of such an instrument, and after the ticker
    was given up, is that instrument's too. A ticker that ended because another instrument took it was not given up: it means the
    first holder again once that one has. Columns of `ALIAS`.
    """
    plain = pl.format("{}:{}", pl.lit(exchange), pl.col("value"))
    held = aliases.filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    given_up = (
        held.filter(pl.col("instrument_id") == plain)
        .group_by(symbol="value")
        .agg(pl.col("valid_to").max().alias("ended"), pl.col("valid_to").is_null().any().alias("open"))
        .filter(~pl.col("open"))
    )
    taken = held.filter(pl.col("instrument_id") != plain).select(symbol="value", ended=pl.col("valid_from") - timedelta(days=1))
    given_up = given_up.join(taken, on=["symbol", "ended"], how="anti")
    free = shown.unique().drop_nulls().join(given_up, on="symbol").filter(pl.col("session_date") > pl.col("ended"))
    if free.is_empty():
        return pl.DataFrame(schema=ALIAS)
    spans = held.select("instrument_id", "valid_from", "valid_to", symbol="value")
    covered = free.join(spans, on="symbol").filter(
        pl.col("session_date").is_between("valid_from", pl.col("valid_to").fill_null(date.max))
    )
    free = free.join(covered, on=["symbol", "session_date"], how="anti")
    later = spans.filter(pl.col("instrument_id").str.starts_with(pl.format("{}:{}:", pl.lit(exchange), pl.col("symbol"))))
    next_one = (
        free.join(later, on="symbol")
        .filter(pl.col("valid_from") > pl.col("session_date"))
        .sort("valid_from", "instrument_id")
        .unique(["symbol", "session_date"], keep="first", maintain_order=True)
        .select("symbol", "session_date", "instrument_id", pl.col("valid_from").alias("until"))
    )
    named = free.join(next_one, on=["symbol", "session_date"], how="left").sort("symbol", "session_date")
    first = pl.col("session_date").min().over("symbol", pl.col("instrument_id").is_null())
    made = pl.format("{}:{}:{}", pl.lit(exchange), pl.col("symbol"), first)
    return (
        named.with_columns(pl.coalesce("instrument_id", made).alias("instrument_id"))
        .group_by("instrument_id", value="symbol", maintain_order=True)
        .agg(pl.col("session_date").min().alias("valid_from"), (pl.col("until").min() - timedelta(days=1)).alias("valid_to"))
        .select(*ALIAS)
    )


def first_seen(rows: pl.DataFrame) -> pl.DataFrame:
    """Instruments and their current symbol as these rows show them.

    One row per instrument_id: symbol (the latest), valid_from (first session), and the provenance of that first row.
    """
    ordered = rows.sort("session_date", "known_at", "batch_id", "row_number")
    return ordered.group_by("instrument_id", maintain_order=True).agg(
        pl.col("symbol").last(),
        pl.col("session_date").first().alias("valid_from"),
        *(pl.col(c).first() for c in ("source", "batch_id", "row_number", "known_at", "received_at")),
    )


def first_and_last(rows: pl.DataFrame) -> pl.DataFrame:
    """Those of the rows that `first_seen` and `tickers_seen` need, of many: the first and the last of each ticker."""
    ordered = rows.sort("session_date", "known_at", "batch_id", "row_number")
    name = ["instrument_id", "symbol"]
    return pl.concat(
        [ordered.unique(name, keep="first", maintain_order=True), ordered.unique(name, keep="last", maintain_order=True)]
    )


def tickers_seen(rows: pl.DataFrame) -> pl.DataFrame:
    """`first_seen` of each ticker of an instrument: one row per instrument_id and symbol."""
    ordered = rows.sort("session_date", "known_at", "batch_id", "row_number")
    return ordered.group_by("instrument_id", "symbol", maintain_order=True).agg(
        pl.col("session_date").first().alias("valid_from"),
        *(pl.col(c).first() for c in ("source", "batch_id", "row_number", "known_at", "received_at")),
    )
