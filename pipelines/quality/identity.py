"""Which instrument a symbol means on a day.

Lives here: resolving (symbol, date) through aliases, and minting an identity at first sight.
Does not live here: where aliases come from (map files in `sources/`), ISIN continuity (`isin.py`).
"""

from __future__ import annotations

from datetime import date

import polars as pl

ALIAS = {"instrument_id": pl.String, "value": pl.String, "valid_from": pl.Date, "valid_to": pl.Date}


def aliases_from_history(exchange: str, history: pl.DataFrame) -> pl.DataFrame:
    """Aliases from ticker histories: `permanent` names the instrument, as `{MIC}:{permanent}`. Provenance columns stay."""
    return history.select(
        pl.format("{}:{}", pl.lit(exchange), pl.col("permanent").str.to_uppercase()).alias("instrument_id"),
        pl.col("symbol").str.to_uppercase().alias("value"),
        pl.lit("symbol").alias("kind"),
        "valid_from",
        "valid_to",
        *(c for c in ("batch_id", "row_number", "source") if c in history.columns),
    )


def resolve(exchange: str, rows: pl.DataFrame, aliases: pl.DataFrame, on: str) -> pl.DataFrame:
    """`rows` with `instrument_id` and `ambiguous`.

    The alias valid on the row's date (`on`) decides; a symbol that no alias covers means the instrument minted for it,
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
    minted = pl.format("{}:{}", pl.lit(exchange), pl.col("symbol"))
    return rows.join(known, on=["symbol", on], how="left", maintain_order="left").with_columns(
        pl.coalesce("instrument_id", minted), pl.col("ambiguous").fill_null(value=False)
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
