"""Coarser bars from finer ones: the one rule that every part of the pipeline uses.

Lives here: trades or bars to one-minute bars, one-minute bars to daily bars, and the trades behind a feed's cumulative volume.
Does not live here: which trades count (the sources say).

The rule: a bar is labelled by its START and holds what happened in [start, end), so that 09:30:00.000 belongs to the 09:30 bar.
Open is the first price by time, then by order in the input; high and low the extremes; close the last; volume the sum. An
interval without a trade has no bar. Lean and Kite label the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence


def ticks_to_minutes(ticks: pl.DataFrame, *, by: Sequence[str] = ("symbol",), first: Sequence[str] = ()) -> pl.DataFrame:
    """One-minute bars of trades.

    `ticks`: columns `by`, `ts` (Datetime, any unit and zone), `price`, `volume` (units of the one trade, not cumulative), in any
    order of rows; no nulls in these. Returns `by`, `ts` (start of the minute), open, high, low, close, volume, and of each
    column in `first` the value of the earliest trade; sorted by `by`, `ts`.
    """
    price = pl.col("price")
    return bars_to_minutes(ticks.with_columns(open=price, high=price, low=price, close=price), by=by, first=first)


def trades_of_cumulative(ticks: pl.DataFrame, *, by: Sequence[str] = ("symbol",), session: str = "session_date") -> pl.DataFrame:
    """The trades that snapshots of a feed show, which tell a last price and the volume of the session so far.

    `ticks`: columns `by`, `session` (tells sessions apart: the count starts anew with each), `ts`, `price`, `cumulative`; no nulls
    in these. Returns the rows that add volume, sorted by `by`, `ts`, with `volume`, what they add. Snapshots of one instant are put
    in the order of their volume: a feed delivers those of a second in any order, and its own count knows better. A volume below the
    greatest so far is a late snapshot and adds nothing; nor does the first of a session, whose volume was traded before it.
    """
    key = [*by, session]
    ordered = ticks.sort(*by, "ts", "cumulative", maintain_order=True)
    greatest = pl.col("cumulative").cum_max()
    rise = (greatest - greatest.shift()).over(key).alias("volume")
    return ordered.with_columns(rise).filter(pl.col("volume") > 0)


def bars_to_minutes(bars: pl.DataFrame, *, by: Sequence[str] = ("symbol",), first: Sequence[str] = ()) -> pl.DataFrame:
    """One-minute bars of bars of a finer interval (labelled by start); columns and result as in `ticks_to_minutes`."""
    ordered = bars.sort(*by, "ts", maintain_order=True).with_columns(pl.col("ts").dt.truncate("1m"))
    return _merge(ordered, [*by, "ts"], first)


def minutes_to_daily(minutes: pl.DataFrame, *, by: Sequence[str] = ("symbol", "session_date")) -> pl.DataFrame:
    """Daily bars of one-minute bars.

    `minutes`: columns `by` (which must tell sessions apart), `ts`, open, high, low, close, volume. Returns `by`, open, high,
    low, close, volume, sorted by `by`. Which minutes belong to the session is the caller's choice: an exchange's own daily close
    may come from an auction or an average that no minute shows.
    """
    return _merge(minutes.sort(*by, "ts", maintain_order=True), list(by), ())


def _merge(ordered: pl.DataFrame, keys: Sequence[str], first: Sequence[str]) -> pl.DataFrame:
    return ordered.group_by(*keys, maintain_order=True).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
        *(pl.col(name).first() for name in first),
    )
