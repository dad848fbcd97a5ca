"""Tickers that two companies had: days on which a ticker is not the company's that is named after it.

Lives here: `foreign_days`, which ticker histories leave to others; `other_holders`, who has them; `split_reused_tickers`, stored
rows that turn out to be the other's.
Does not live here: the histories (`ticker_histories.py`), tickers that were given up
(`identity.reused`), moving the rows (`storage/reassign.py`).

A ticker without a stated holder means the instrument `{MIC}:{TICKER}`. Where that is a company whose whole history is stated, and
the history gives it another ticker on the day, or it was not listed yet, the bar is another company's: it goes to an instrument of
its own, `{MIC}:{TICKER}:{first session}`, one for each stretch of days between stated holders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from pipelines.identity.isin import ALIAS_ROW
from pipelines.identity.resolve import ALIAS
from pipelines.identity.ticker_histories import PERMANENT
from pipelines.market.tables import BAR_TABLES, TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake
from pipelines.storage.reassign import MOVE

_DAY = timedelta(days=1)
_LINE = ("batch_id", "row_number", "source")
#: Days from `first` to `last` on which `symbol` is not the ticker of `instrument_id`, though that is named after it.
FOREIGN = {"symbol": pl.String, "instrument_id": pl.String, "first": pl.Date, "last": pl.Date}


@dataclass(frozen=True)
class SplitTickers:
    """Stored rows that are another holder's: `moves` (columns of `MOVE`) and the holders' `aliases` (columns of `ALIAS_ROW`)."""

    moves: pl.DataFrame
    aliases: pl.DataFrame


def foreign_days(exchange: str, names: pl.DataFrame, histories_begin: Mapping[str, date]) -> pl.DataFrame:
    """Stretches of days on which tickers are not the companies' that are named after them (columns of `FOREIGN`).

    `names`: aliases of all kinds (columns of `ALIAS_ROW`). `histories_begin`: by source, the first day that its histories know
    of: of a company whose history begins then, with this ticker, the days before are its own.
    """
    held = names.filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    companies = names.filter(pl.col("kind") == PERMANENT)
    spans = held.filter(pl.col("kind") == "symbol").join(companies, on="instrument_id", how="semi").sort("valid_from", "value")
    source = dict(companies.sort("valid_from").select("instrument_id", "source").iter_rows())
    by_ticker: dict[str, list[tuple[date, date]]] = {}
    by_instrument: dict[str, list[tuple[str, date]]] = {}
    for instrument, ticker, first, last in spans.select("instrument_id", "value", "valid_from", "valid_to").iter_rows():
        by_ticker.setdefault(ticker, []).append((first, last or date.max))
        by_instrument.setdefault(instrument, []).append((ticker, first))
    found: list[tuple[str, str, date, date]] = []
    for ticker in sorted(by_ticker):
        instrument = f"{exchange}:{ticker}"
        theirs = by_instrument.get(instrument, [])
        if not any(name == ticker for name, _ in theirs):
            continue
        first_ticker, listed = theirs[0]
        open_before = first_ticker == ticker and listed <= histories_begin.get(source[instrument], date.min)
        stretches = _between(by_ticker[ticker])
        found += [(ticker, instrument, first, last) for first, last in stretches if not (open_before and last < listed)]
    return pl.DataFrame(found, schema=FOREIGN, orient="row")


def other_holders(exchange: str, shown: pl.DataFrame, aliases: pl.DataFrame, foreign: pl.DataFrame) -> pl.DataFrame:
    """Who has a ticker on the foreign days that an order shows: symbol, session_date, instrument_id, first, last (the stretch).

    `shown`: symbol and session_date of the order's rows. `aliases`: columns of `ALIAS`, kind symbol. A day with a stated holder is
    left out.
    """
    days = shown.unique().drop_nulls().join(foreign.drop("instrument_id"), on="symbol")
    days = days.filter(pl.col("session_date").is_between("first", "last"))
    spans = aliases.select(symbol="value", __from="valid_from", __to=pl.col("valid_to").fill_null(date.max))
    covered = days.join(spans, on="symbol").filter(pl.col("session_date").is_between("__from", "__to"))
    free = days.join(covered, on=["symbol", "session_date"], how="anti")
    named = free.join(_on_record(exchange, aliases, foreign), on=["symbol", "first"], how="left")
    made = pl.format("{}:{}:{}", pl.lit(exchange), "symbol", pl.col("session_date").min().over("symbol", "first"))
    named = named.with_columns(pl.coalesce("instrument_id", made).alias("instrument_id"))
    return named.select("symbol", "session_date", "instrument_id", "first", "last").sort("symbol", "session_date")


def split_reused_tickers(
    lake: Lake, exchange: str, stated: pl.DataFrame, names: pl.DataFrame, foreign: pl.DataFrame
) -> SplitTickers:
    """Stored rows of companies whose history is stated now, under tickers that were not theirs on the day.

    `stated`: aliases of the order with received_at. `names`: all on record and stated; so that an interrupted order finds the
    holders that it made, those of `instruments` are asked too.
    """
    moves: list[dict[str, Any]] = []
    aliases: list[dict[str, Any]] = []
    by = stated.filter(pl.col("kind") == PERMANENT).unique("instrument_id", keep="last", maintain_order=True)
    concerned = foreign.join(by, on="instrument_id", how="inner", maintain_order="left")
    if concerned.height:
        seen = _seen(lake, exchange, concerned["instrument_id"].unique().to_list())
        record = _on_record(exchange, pl.concat([_listed(lake, exchange), names.select(*ALIAS)]), foreign)
        holders = {(symbol, first): holder for symbol, first, holder in record.iter_rows()}
        theirs = seen.join(concerned, on=["instrument_id", "symbol"]).filter(pl.col("session_date").is_between("first", "last"))
        stretch = ["instrument_id", "symbol", "first", "last", *_LINE, "received_at"]
        found = theirs.group_by(stretch).agg(pl.col("session_date").min().alias("begins")).sort("symbol", "first")
        for row in found.iter_rows(named=True):
            instrument, ticker, begins = row["instrument_id"], row["symbol"], row["begins"]
            holder = holders.get((ticker, row["first"]), f"{instrument}:{begins}")
            last = None if row["last"] == date.max else row["last"]
            resumes = None if last is None else _after(seen, foreign, instrument, last)
            line = {name: row[name] for name in _LINE}
            days = {"first_session": begins, "last_session": last, "resumes": resumes}
            whose = {"from_id": instrument, "to_id": holder, "symbol": ticker, "ticker": ticker}
            moves.append({**whose, **days, **line, "received_at": row["received_at"]})
            name = {"instrument_id": holder, "kind": "symbol", "value": ticker, "valid_from": begins, "valid_to": last}
            aliases.append({**name, **line})
    return SplitTickers(pl.DataFrame(moves, schema=MOVE), pl.DataFrame(aliases, schema=ALIAS_ROW))


def describe_holders(shown: pl.DataFrame, others: pl.DataFrame, aliases: pl.DataFrame, companies: pl.DataFrame) -> dict[str, str]:
    """Batch → what a user should know of its bars on days on which no ticker history names a holder.

    `shown`: batch_id, symbol and session_date of the order's rows, and how many `rows`. `others`: as `other_holders` gives them.
    `aliases`: columns of `ALIAS`, kind symbol. `companies`: instrument_id of those whose whole history is stated.
    """
    foreign = shown.join(others.select("symbol", "session_date", "instrument_id"), on=["symbol", "session_date"])
    held_tickers = aliases.join(companies, on="instrument_id", how="semi")["value"].unique()
    rest = shown.filter(pl.col("symbol").is_in(held_tickers.implode())).join(foreign, on=["symbol", "session_date"], how="anti")
    spans = aliases.select(symbol="value", __from="valid_from", __to=pl.col("valid_to").fill_null(date.max))
    covered = rest.join(spans, on="symbol").filter(pl.col("session_date").is_between("__from", "__to"))
    free = rest.join(covered, on=["symbol", "session_date"], how="anti").with_columns(instrument_id=pl.lit(None, pl.String))
    lines = (
        pl.concat([foreign, free.select(foreign.columns)])
        .group_by("batch_id", "symbol", "instrument_id")
        .agg(pl.col("session_date").min().alias("first"), pl.col("session_date").max().alias("last"), pl.col("rows").sum())
        .sort("batch_id", "symbol", "first")
    )
    found: dict[str, list[str]] = {}
    for batch, symbol, instrument, first, last, rows in lines.iter_rows():
        bars = f"bars of {symbol} from {first} to {last} ({rows:,})"
        text = (
            f"{bars} are of another company than {symbol}'s ticker history; they are kept as {instrument}"
            if instrument
            else f"{bars} are on days of which no ticker history knows; they stay with the instrument named after the ticker"
        )
        found.setdefault(batch, []).append(text)
    return {batch: "; ".join(texts) for batch, texts in found.items()}


def _between(spans: list[tuple[date, date]]) -> list[tuple[date, date]]:
    """The days outside all spans, as stretches."""
    found, free_from = [], date.min
    for first, last in sorted(spans):
        if first > free_from:
            found.append((free_from, first - _DAY))
        if last == date.max:
            return found
        free_from = max(free_from, last + _DAY)
    return [*found, (free_from, date.max)]


def _on_record(exchange: str, aliases: pl.DataFrame, foreign: pl.DataFrame) -> pl.DataFrame:
    """The instrument that was made for a stretch before: symbol, first, instrument_id."""
    made = aliases.filter(
        pl.col("instrument_id").str.starts_with(pl.format("{}:{}:", pl.lit(exchange), "value"))
        & (pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    ).select("instrument_id", "valid_from", symbol="value")
    inside = foreign.drop("instrument_id").join(made, on="symbol").filter(pl.col("valid_from").is_between("first", "last"))
    first_made = inside.sort("valid_from", "instrument_id").unique(["symbol", "first"], keep="first", maintain_order=True)
    return first_made.select("symbol", "first", "instrument_id")


def _listed(lake: Lake, exchange: str) -> pl.DataFrame:
    rows = LakeTable(lake.table_uri(exchange, "instruments"), TABLES["instruments"]).read(
        columns=["instrument_id", "symbol", "valid_from", "valid_to"]
    )
    return rows.select("instrument_id", "valid_from", "valid_to", value="symbol").select(*ALIAS)


def _seen(lake: Lake, exchange: str, instruments: list[str]) -> pl.DataFrame:
    columns = ["instrument_id", "symbol", "session_date"]
    wanted = pl.col("instrument_id").is_in(instruments)
    tables = [LakeTable(lake.table_uri(exchange, name), TABLES[name]) for name in BAR_TABLES]
    return pl.concat([table.read(columns=columns, where=wanted).unique() for table in tables]).unique()


def _after(seen: pl.DataFrame, foreign: pl.DataFrame, instrument: str, day: date) -> date | None:
    """The first session after `day` with rows that are the instrument's own."""
    rows = seen.filter((pl.col("instrument_id") == instrument) & (pl.col("session_date") > day))
    theirs = rows.join(foreign, on=["instrument_id", "symbol"]).filter(pl.col("session_date").is_between("first", "last"))
    own = rows.join(theirs, on=["symbol", "session_date"], how="anti")["session_date"]
    return own.min()  # type: ignore[return-value]
