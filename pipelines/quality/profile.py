"""The profile of a staged table: a row per session and instrument, which the GX suite of the table judges.

Lives here: `profile`, one aggregation per table.
Does not live here: what its columns are (`market/tables/profiles.py`), the expectations (`expectations/*.json`) and running them
(`ingest/suites.py`).
"""

from __future__ import annotations

import polars as pl

from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.closing_auction import closing_auctions
from pipelines.market.tables import BAR_TABLES, TABLES
from pipelines.market.tables.profiles import REFERENCE_SESSION
from pipelines.quality.market_context import MARKET_CONTEXT


def profile(table: str, rows: pl.DataFrame, days: ExchangeCalendar, around: pl.DataFrame | None = None) -> pl.DataFrame:
    """What the suite of `table` is asked about: columns `session` (date) and `instrument_id`, and the figures of that pair.

    Bars: rows, distinct_rows, expected_rows, lowest_low, highest_high, range_ratio (high over low), volume, mislabelled rows.
    `around` (see `market_context.py`) adds market_coverage, market_step and share_off_scale to daily bars; to minutes the latter
    two, their high and low over those of the day, and how far their median close lies outside the day (1: inside).
    """
    if table in BAR_TABLES:
        return _with_market_context(table, _profile_bars(table, rows, days), around)
    copies = pl.len().over(TABLES[table].key).cast(pl.Int64)
    return rows.with_columns(pl.col(REFERENCE_SESSION[table]).alias("session"), copies.alias("copies")).drop(
        "received_at", "overrules", strict=False
    )


def _profile_bars(table: str, rows: pl.DataFrame, days: ExchangeCalendar) -> pl.DataFrame:
    daily = table in {"bars_daily", "bars_other_series"}
    # Series of one symbol may be different securities (a share and its issuer's bond), so each is judged by itself.
    by = ["session_date", "instrument_id", *(["series"] if table == "bars_other_series" else [])]
    moment = "session_date" if daily else "ts"
    grouped = rows.group_by(by).agg(
        pl.len().cast(pl.Int64).alias("rows"),
        pl.col(moment).n_unique().cast(pl.Int64).alias("distinct_rows"),
        pl.col("low").min().alias("lowest_low"),
        pl.col("high").max().alias("highest_high"),
        (pl.col("high") / pl.col("low")).max().alias("widest_bar_ratio"),
        pl.col("volume").sum().alias("volume"),
        *([] if table != "bars_1m" else [pl.col("close").median().alias("typical_close")]),
        (pl.col("exchange") != days.exchange.mic).sum().cast(pl.Int64).alias("foreign_rows"),
        pl.col("symbol").first(),
    )
    return (
        grouped.join(_expected(grouped, days, daily=daily), on=["session_date", "symbol"], how="left")
        .drop("symbol")
        .with_columns(
            (pl.col("highest_high") / pl.col("lowest_low")).alias("range_ratio"),
            (pl.col("rows") / pl.col("expected_rows")).alias("completeness"),
        )
        .rename({"session_date": "session"})
        .sort("session", *by[1:])
    )


def _with_market_context(table: str, figures: pl.DataFrame, around: pl.DataFrame | None) -> pl.DataFrame:
    if table not in MARKET_CONTEXT:
        return figures
    context = pl.DataFrame(schema=MARKET_CONTEXT[table]) if around is None else around
    key = [name for name in ("session_date", "instrument_id") if name in context.columns]
    names = [{"session_date": "session"}.get(name, name) for name in key]
    joined = figures.join(context, left_on=names, right_on=key, how="left", maintain_order="left")
    if table == "bars_daily":
        return joined
    return joined.with_columns(
        (pl.col("highest_high") / pl.col("day_high")).alias("high_to_day"),
        (pl.col("lowest_low") / pl.col("day_low")).alias("low_to_day"),
        pl.max_horizontal(pl.col("typical_close") / pl.col("day_high"), pl.col("day_low") / pl.col("typical_close"))
        .clip(lower_bound=1)
        .alias("typical_to_day"),
    ).drop("day_high", "day_low", "typical_close")


def _expected(grouped: pl.DataFrame, days: ExchangeCalendar, *, daily: bool) -> pl.DataFrame:
    """`expected_rows` by session and symbol: the session's minutes, fewer for symbols that close in an auction; one daily bar."""
    pairs = grouped.select("session_date", "symbol").unique()
    sessions = days.frame().select("session_date", "bars_expected", "bars_expected_auction")
    auctions = closing_auctions(days.exchange.mic).select("symbol", "valid_from", "valid_to")
    early = (
        pairs.join(auctions, on="symbol")
        .filter(pl.col("session_date").is_between(pl.col("valid_from"), pl.col("valid_to")))
        .select("session_date", "symbol", early=pl.lit(value=True))
    )
    minutes = pl.when("early").then(pl.coalesce("bars_expected_auction", "bars_expected")).otherwise("bars_expected")
    return (
        pairs.join(sessions, on="session_date")
        .join(early, on=["session_date", "symbol"], how="left")
        .select("session_date", "symbol", (pl.lit(1) if daily else minutes).cast(pl.Int64).alias("expected_rows"))
    )
