"""How much money a strategy can carry before its own entries are too large for their bars' volume.

Lives here: `find_capacity`. Does not live here: what an entry may take in a run (`engine/fills`, `Rules.volume_share`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.backtest.actions import UNITS, effects_of

#: Part of a bar's volume that an entry may be.
SHARE = 0.05
#: Part of the entries that may be larger.
_BEYOND = 0.05


@dataclass(frozen=True)
class Capacity:
    """money: initial cash with which 19 of 20 entries stay within `SHARE`; None where no entry has a volume. entries: with one."""

    money: float | None
    typical: float | None
    entries: int
    unknown: int


def find_capacity(trades: pl.DataFrame, bars: pl.DataFrame, actions: pl.DataFrame | None, cash: float) -> Capacity:
    """Capacity of a run's trades. Sizes grow with the money, so an entry that takes a tenth of 5 % carries ten times the cash.

    typical: as money, for the median entry.
    """
    if trades.is_empty() or "volume" not in bars.columns:
        return Capacity(None, None, 0, trades.height)
    of_bars = bars.select("instrument_id", "session_date", "ts_open", "volume").sort("ts_open")
    entries = (
        trades.select("trade_number", "instrument_id", "entry_ts", "exit_ts", "quantity")
        .sort("entry_ts")
        .join_asof(of_bars, left_on="entry_ts", right_on="ts_open", by="instrument_id", strategy="backward", check_sortedness=False)
        .join(_unit_changes(trades, actions), on="trade_number", how="left")
        .with_columns(room=SHARE * pl.col("volume") / (pl.col("quantity") / pl.col("factor").fill_null(1.0)))
    )
    known = entries.get_column("room").drop_nulls()
    if known.is_empty():
        return Capacity(None, None, 0, trades.height)
    low, middle = (float(known.quantile(q, "lower") or 0.0) for q in (_BEYOND, 0.5))
    return Capacity(cash * low, cash * middle, known.len(), trades.height - known.len())


def _unit_changes(trades: pl.DataFrame, actions: pl.DataFrame | None) -> pl.DataFrame:
    """By trade_number, units at the exit for each unit at the entry, where an action lies between."""
    splits = effects_of(actions).filter(pl.col("effect") == UNITS).select("instrument_id", "ex_date", "ratio")
    spans = trades.select(
        "trade_number", "instrument_id", first=pl.col("entry_ts").dt.date(), last=pl.col("exit_ts").dt.date()
    ).join(splits, on="instrument_id", how="inner")
    within = spans.filter((pl.col("ex_date") > pl.col("first")) & (pl.col("ex_date") <= pl.col("last")))
    return within.group_by("trade_number").agg(factor=pl.col("ratio").product())
