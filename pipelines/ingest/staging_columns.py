"""Columns that staging adds to parsed rows: sessions, segments, known_at, and the rows of reference tables.

Lives here: small pure steps from a source's frame to the lake's columns.
Does not live here: their order and the rules between them (`staging.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import polars as pl

from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.closing_auction import closing_auctions
from pipelines.market.schema import TableSchema
from pipelines.storage.delta import empty_frame

#: A file, or a day of it, with fewer shares than these may have no delivery by chance.
_ROWS_AT_LEAST = 10
#: A lakh and a crore.
_UNITS_OF_RUPEES = (100_000, 10_000_000)
_UTC = pl.Datetime("us", "UTC")


def known_by_close(rows: pl.DataFrame, days: ExchangeCalendar, lags: Mapping[str, timedelta]) -> pl.DataFrame:
    """Daily rows with `closes_at` (null when the exchange was closed), `within_calendar`, `known_at` = close + source's lag."""
    closes = days.frame().select("session_date", "closes_at")
    lag = pl.col("source").replace_strict(dict(lags), default=timedelta(0), return_dtype=pl.Duration("us"))
    return rows.join(closes, on="session_date", how="left", maintain_order="left").with_columns(
        _within(days, pl.col("session_date")),
        (pl.col("closes_at") + lag).cast(_UTC).alias("known_at"),
        pl.col("session_date").dt.year().cast(pl.Int64).alias("session_year"),
    )


def without_empty_zeros(rows: pl.DataFrame) -> pl.DataFrame:
    """Daily rows with null for zeros that stand for "not given", one rule a column whatever the source.

    Something traded, so turnover and trades cannot be 0; a previous close of 0 is a first day of trading; deliveries can be 0 of
    one share and day, but not of a whole file, nor of all its shares on one day, nor beside trades of 0.
    """
    no_delivery = pl.col("delivery_qty").fill_null(0) == 0
    of_file, of_day = ["batch_id"], ["batch_id", "session_date"]
    of_many = (no_delivery.all().over(group) & (pl.len().over(group) >= _ROWS_AT_LEAST) for group in (of_file, of_day))
    # A row that leaves out its trades leaves out its deliveries too: NSE's first version of a day has zeros for both.
    uncounted = (no_delivery & (pl.col("volume") > 0) & (pl.col("trades") == 0)).fill_null(value=False)
    nowhere = pl.any_horizontal(*of_many, uncounted)
    means_missing = {
        "turnover": pl.col("volume") > 0,
        "trades": pl.col("volume") > 0,
        "prev_close": pl.lit(value=True),
        "delivery_qty": nowhere,
    }
    return rows.with_columns(
        pl.when(~((pl.col(name) == 0) & missing.fill_null(value=False)).fill_null(value=False)).then(pl.col(name)).alias(name)
        for name, missing in means_missing.items()
    )


def in_currency_units(rows: pl.DataFrame, currency: str) -> pl.DataFrame:
    """Daily rows of India whose turnover is written in lakhs or crores, in rupees: volume × close tells which.

    The two differ from rupees by factors of 100,000 and 10,000,000; a day's average price lies within a factor of 2.5 of its close.
    """
    if currency != "INR":
        return rows
    share = pl.col("turnover") / (pl.col("volume") * pl.col("close"))
    turnover = pl.col("turnover")
    for unit in _UNITS_OF_RUPEES:
        turnover = pl.when((share * unit).is_between(0.4, 2.5)).then((pl.col("turnover") * unit).round(2)).otherwise(turnover)
    traded = (pl.col("volume") > 0) & (pl.col("close") > 0)
    return rows.with_columns(pl.when(traded).then(turnover).otherwise(pl.col("turnover")).alias("turnover"))


def within_calendar(rows: pl.DataFrame, days: ExchangeCalendar) -> pl.DataFrame:
    """Rows with `within_calendar`: whether the exchange's calendar covers their `session_date`."""
    return rows.with_columns(_within(days, pl.col("session_date")))


def place_minutes(rows: pl.DataFrame, days: ExchangeCalendar) -> pl.DataFrame:
    """One-minute rows with `session_date` (exchange date), `within_calendar`, `known_at` = end of the minute, and `segment`.

    The segment is `regular` inside a window of the session, `auction` where the instrument has left it for its closing auction,
    the name of the extended window around it, or null.
    """
    venue = days.exchange
    local = pl.col("ts").dt.convert_time_zone(venue.timezone)
    dated = rows.with_columns(local.dt.date().alias("session_date"), local.dt.time().alias("__time")).with_row_index("__row")
    windows = days.windows_frame()
    regular = (
        dated.select("__row", "session_date", "ts")
        .join(windows, on="session_date")
        .filter((pl.col("ts") >= pl.col("opens_at")) & (pl.col("ts") < pl.col("closes_at")))
        .select("__row")
        .unique()
        .with_columns(segment=pl.lit("regular"))
    )
    placed = dated.join(regular, on="__row", how="left", maintain_order="left")
    placed = placed.join(_hours(days), on="session_date", how="left", maintain_order="left")
    placed = placed.join(_in_auction(dated, venue.mic), on="__row", how="left", maintain_order="left")
    segment = pl.coalesce("__auction", "segment")
    for window in venue.extended:
        inside = pl.col("__time").is_between(window.starts, window.ends, closed="left") & pl.col("opens_at").is_not_null()
        segment = pl.when(segment.is_null() & inside).then(pl.lit(window.segment)).otherwise(segment)
    after_early_close = segment.is_null() & (pl.col("ts") >= pl.col("closes_at")) & (pl.col("__time") < _latest_extended(days))
    segment = pl.when(after_early_close & (len(venue.extended) > 0)).then(pl.lit("post")).otherwise(segment)
    return placed.with_columns(
        segment.alias("segment"),
        _within(days, pl.col("session_date")),
        (pl.col("ts") + pl.duration(minutes=1)).cast(_UTC).alias("known_at"),
    ).drop("__row", "__time", "__auction", "opens_at", "closes_at")


def stage_columns(schema: TableSchema, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with exactly the lake's columns, typed, plus `received_at` and `overrules`.

    Columns the source does not have are null. `overrules` lists the rules that a person decided not to count for the row; a row
    that was let in so arrives, for whatever it replaces, when that was decided.
    """
    types = empty_frame(schema).schema
    columns = [(pl.col(n) if n in rows.columns else pl.lit(None)).cast(t).alias(n) for n, t in types.items()]
    received, overrules = pl.col("received_at"), pl.lit(None)
    if "overrules" in rows.columns:
        received, overrules = pl.max_horizontal("received_at", "decided_at"), pl.col("overrules")
    return rows.select(*columns, received.cast(_UTC).alias("received_at"), overrules.cast(pl.List(pl.String)).alias("overrules"))


def reference_rows(
    exchange: str,
    seen: pl.DataFrame,
    tickers: pl.DataFrame,
    history: pl.DataFrame,
    known: pl.DataFrame,
    known_aliases: pl.DataFrame,
    received: Mapping[str, datetime],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows for `instruments` and `instrument_aliases`: what `history` says (of any kind), and what was seen trading first.

    `seen`, `tickers`: instruments and their tickers as `identity.first_seen` and `identity.tickers_seen` give them. A ticker that
    was seen before another of the same instrument began, or before another instrument is stated to have it, ended on the day
    before that. One whose names on record all ended before it was seen is named again.
    """
    from pipelines.market.exchanges import exchange as venue_of

    venue = venue_of(exchange)
    fresh = seen.join(known, on="instrument_id", how="anti", maintain_order="left")
    isins = history.filter(pl.col("kind") == "isin").group_by("instrument_id").agg(pl.col("value").last().alias("isin"))
    instruments = fresh.join(isins, on="instrument_id", how="left", maintain_order="left").with_columns(
        exchange=pl.lit(exchange),
        tick_size=pl.lit(venue.tick_size),
        lot_size=pl.lit(1),
        is_active=pl.lit(value=True),
    )
    midnight = pl.col("valid_from").cast(pl.Datetime("us")).dt.replace_time_zone(venue.timezone).dt.convert_time_zone("UTC")
    from_history = history.with_columns(
        exchange=pl.lit(exchange),
        known_at=midnight,
        received_at=pl.col("batch_id").replace_strict(dict(received), default=None, return_dtype=_UTC),
    )
    stated = _symbols([known_aliases, history])
    assigned = _unnamed(tickers.rename({"symbol": "value"}), stated)
    assigned = _until_taken(_until_the_next(assigned, [stated, assigned]), stated)
    assigned = assigned.with_columns(kind=pl.lit("symbol"), exchange=pl.lit(exchange))
    columns = [
        "instrument_id",
        "kind",
        "value",
        "valid_from",
        "valid_to",
        "exchange",
        "source",
        "known_at",
        "batch_id",
        "row_number",
    ]
    aliases = pl.concat([frame.select(*columns, "received_at") for frame in (from_history, assigned)], how="vertical_relaxed")
    key = ["instrument_id", "kind", "value", "valid_from"]
    return instruments, aliases.unique(key, keep="first", maintain_order=True)


def _symbols(names: list[pl.DataFrame]) -> pl.DataFrame:
    """Tickers with their days; of equal ones that of the last of `names` counts."""
    symbols = [rows.filter(pl.col("kind") == "symbol") if "kind" in rows.columns else rows for rows in names]
    both = pl.concat([rows.select("instrument_id", "value", "valid_from", "valid_to") for rows in symbols])
    return both.unique(["instrument_id", "value", "valid_from"], keep="last", maintain_order=True)


def _unnamed(tickers: pl.DataFrame, stated: pl.DataFrame) -> pl.DataFrame:
    """Tickers seen that the instrument has no name for, unless all of them ended before."""
    last = pl.max_horizontal("valid_from", pl.col("valid_to").fill_null(date.max)).alias("__last")
    names = stated.select("instrument_id", "value", last)
    both = tickers.join(names, on=["instrument_id", "value"]).filter(pl.col("__last") >= pl.col("valid_from"))
    return tickers.join(both, on=["instrument_id", "value", "valid_from"], how="anti", maintain_order="left")


def _until_the_next(names: pl.DataFrame, all_names: list[pl.DataFrame]) -> pl.DataFrame:
    """Tickers with `valid_to`: the day before the instrument's next one begins, null where there is none."""
    begins = pl.concat([rows.select("instrument_id", "value", pl.col("valid_from").alias("__next")) for rows in all_names])
    later = names.join(begins, on="instrument_id", suffix="_next").filter(
        (pl.col("__next") > pl.col("valid_from")) & (pl.col("value_next") != pl.col("value"))
    )
    name = ["instrument_id", "value", "valid_from"]
    ends = later.group_by(name).agg((pl.col("__next").min() - timedelta(days=1)).alias("valid_to"))
    return names.join(ends, on=name, how="left", maintain_order="left")


def _until_taken(names: pl.DataFrame, stated: pl.DataFrame) -> pl.DataFrame:
    """Tickers that end before another instrument is stated to have them."""
    held = stated.filter(pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("valid_from")))
    taken = held.select("value", pl.col("instrument_id").alias("__by"), pl.col("valid_from").alias("__taken"))
    later = names.join(taken, on="value").filter(
        (pl.col("__by") != pl.col("instrument_id")) & (pl.col("__taken") > pl.col("valid_from"))
    )
    ends = later.group_by("instrument_id", "value", "valid_from").agg(pl.col("__taken").min() - timedelta(days=1))
    joined = names.join(ends, on=["instrument_id", "value", "valid_from"], how="left", maintain_order="left")
    return joined.with_columns(pl.min_horizontal("valid_to", "__taken").alias("valid_to")).drop("__taken")


def _within(days: ExchangeCalendar, day: pl.Expr) -> pl.Expr:
    return day.is_between(days.exchange.calendar_start, days.last_day).alias("within_calendar")


def _in_auction(dated: pl.DataFrame, mic: str) -> pl.DataFrame:
    """`__row` of the rows in their instrument's closing auction, with `__auction`."""
    at = dated.select("__row", "symbol", "session_date", "__time").join(closing_auctions(mic), on="symbol")
    inside = pl.col("session_date").is_between(pl.col("valid_from"), pl.col("valid_to")) & pl.col("__time").is_between(
        pl.col("starts"), pl.col("ends"), closed="left"
    )
    return at.filter(inside).select("__row", __auction=pl.lit("auction"))


def _hours(days: ExchangeCalendar) -> pl.DataFrame:
    return days.frame().select("session_date", "opens_at", "closes_at")


def _latest_extended(days: ExchangeCalendar) -> pl.Expr:
    ends = [w.ends for w in days.exchange.extended]
    return pl.lit(max(ends)) if ends else pl.lit(None, pl.Time)
