"""Rows of an order with the instruments that their tickers, or the names of companies, mean.

Lives here: which names an order's tickers are resolved by, and resolving its bars and actions by them.
Does not live here: resolving one ticker and day (`resolve.py`), what names there are (`aliases.py`), ISINs (`isin.attach`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import polars as pl

from pipelines.identity.aliases import RequestNames
from pipelines.identity.resolve import ALIAS, resolve, reused, successors


def names_in_force(venue: str, shown: pl.DataFrame, names: RequestNames, others: pl.DataFrame) -> pl.DataFrame:
    """The names (columns of `ALIAS`) by which an order's rows are resolved.

    `shown`: symbol and session_date of its rows. `others`: holders of tickers on days that are not the stated company's.
    """
    foreign = others.select("instrument_id", "session_date", value="symbol")
    day = {"valid_from": pl.col("session_date"), "valid_to": pl.col("session_date")}
    aliases = pl.concat([names.aliases, foreign.with_columns(**day).select(*ALIAS)])
    days = shown.select("symbol", "session_date").unique()
    left_out = days.join(names.foreign, on="symbol").filter(pl.col("session_date").is_between("first", "last"))
    free = days.join(left_out, on=["symbol", "session_date"], how="anti")
    return pl.concat([aliases, reused(venue, free, names.aliases)])


def resolve_bars(venue: str, rows: pl.DataFrame, aliases: pl.DataFrame) -> pl.DataFrame:
    """Bars with their instruments, by the names in force."""
    return resolve(venue, rows, aliases, "session_date").with_columns(exchange=pl.lit(venue))


def resolve_actions(
    venue: str, actions: pl.DataFrame, aliases: pl.DataFrame, names: RequestNames, companies_of: Collection[str]
) -> pl.DataFrame:
    """Corporate actions with their instruments: by the ticker of the day, of the sources `companies_of` by permanent names."""
    # A delisting names its share by the ticker of the last day, and who trades on after it is not the one delisted.
    named_on = (
        pl.when(pl.col("action").is_in(["delisting", "merger"])).then(pl.col("ex_date") - timedelta(days=1)).otherwise("ex_date")
    )
    by_ticker = resolve(venue, successors(venue, actions, aliases).with_columns(named_on=named_on), aliases, "named_on")
    filed_as = pl.format("{}:{}", "source", "symbol")
    companies = names.companies.select("permanent", __company="instrument_id")
    permanent = by_ticker.with_columns(permanent=filed_as).join(companies, on="permanent", how="left", maintain_order="left")
    of_company = pl.col("source").is_in(list(companies_of))
    company = pl.coalesce("__company", pl.format("{}:{}", pl.lit(venue), "symbol"))
    permanent = permanent.with_columns(
        pl.when(of_company).then(company).otherwise("instrument_id").alias("instrument_id"),
        ambiguous=pl.col("ambiguous") & ~of_company,
    )
    disputed = names.disputed.with_columns(disputed=pl.lit(value=True))
    found = permanent.drop("named_on", "permanent", "__company").join(
        disputed, on=["batch_id", "row_number"], how="left", maintain_order="left"
    )
    ambiguous = pl.col("ambiguous") | pl.col("disputed").fill_null(value=False)
    return found.with_columns(ambiguous).drop("disputed").with_columns(exchange=pl.lit(venue))
