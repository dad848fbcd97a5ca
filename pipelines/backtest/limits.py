"""What limits fills at every step of a run, and the corporate actions that fall on it.

Lives here: `place_market`, from frames to the kernel's `Limits` and events.
Does not live here: the rule by which a bar counts as locked (`fills`), what actions mean (`actions`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.backtest.actions import effects_of
from pipelines.backtest.fills import with_limits, with_minute_limits
from pipelines.backtest.grid import Grid, number_of, place_actions
from pipelines.backtest.rules import Rules
from pipelines.backtest.state import Limits

_KEY = ["instrument_id", "session_date"]
_USED = {*_KEY, "ts_close", "open", "high", "low", "close", "prev_close", "series", "volume"}


@dataclass(frozen=True)
class PlacedMarket:
    """What happens to orders and holdings besides prices: events and their offsets by step, and `Limits` of [T, N]."""

    events: np.ndarray
    event_offsets: np.ndarray
    limits: Limits


def place_market(grid: Grid, bars: pl.DataFrame, actions: pl.DataFrame | None, rules: Rules) -> PlacedMarket:
    """Events and limits of a run.

    bars: those of `grid`, with `series`, `prev_close` and `volume` where they are known. actions: as for `actions.effects_of`. Of
    the rules only `locked_move` and `delisting_haircut` matter. Raises InputError as `effects_of` does.
    """
    events, offsets = place_actions(grid, actions, rules.delisting_haircut)
    return PlacedMarket(events, offsets, fill_limits(grid, bars, actions, rules.locked_move))


def fill_limits(grid: Grid, bars: pl.DataFrame, actions: pl.DataFrame | None, locked_move: float) -> Limits:
    """`Limits` of [T, N]: a daily bar is judged by itself, a minute by its own price and its session's reference."""
    rows = bars.select(name for name in bars.columns if name in _USED).drop_nulls(["open", "high", "low", "close"])
    rows = rows.with_columns(session_number=pl.Series(number_of(grid.exchange_dates, rows["session_date"])))
    effects = effects_of(actions)
    if grid.steps == len(grid.session_dates):
        limited = with_limits(rows, effects, locked_move)
    else:
        limited = with_minute_limits(_with_session(rows, effects, locked_move))
    column = limited["instrument_id"].cast(pl.Enum(grid.instruments)).to_physical()
    closes = limited["ts_close"].cast(pl.Datetime("us", "UTC")).dt.replace_time_zone(None)
    at = (np.searchsorted(grid.ts_close, closes.to_numpy()), column.to_numpy())
    shape = grid.bars.close.shape
    blocked, must_deliver, volume = np.zeros(shape, np.uint8), np.zeros(shape, np.bool_), np.full(shape, np.inf)
    blocked[at], must_deliver[at] = limited["blocked"].to_numpy(), limited["must_deliver"].to_numpy()
    if "volume" in limited.columns:
        volume[at] = limited["volume"].cast(pl.Float64).fill_null(np.inf).to_numpy()
    return Limits(blocked, must_deliver, volume)


def _with_session(rows: pl.DataFrame, effects: pl.DataFrame, locked_move: float) -> pl.DataFrame:
    """Minutes with what limits their whole session: its reference, and whether its series must be delivered."""
    daily = (
        rows.sort("ts_close")
        .group_by(*_KEY, "session_number", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            *([pl.col("series").first()] if "series" in rows.columns else []),
        )
    )
    whole = with_limits(daily, effects, locked_move).select(*_KEY, "reference", "must_deliver")
    return rows.join(whole, on=_KEY, how="left")
