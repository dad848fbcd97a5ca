"""From frames to the kernel's arrays: bars on one clock, signals at their steps.

Lives here: which step a signal or an action acts at, and the checks of bars and signals. Does not live here: what actions mean
(`actions`), what limits fills (`limits`), what then happens (`engine/`).

A step is one distinct `ts_close` of the bars. A signal fills at the first step that opens at or after its `known_at`, and is
therefore decided, and sized, at the step before: nothing acts on what was not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from pipelines.backtest.actions import DIVIDEND, ENDING, MERGER, PRICE, UNITS, UNKNOWN, InputError, effects_of, require_columns
from pipelines.backtest.fills import written_off
from pipelines.backtest.last_prices import LastPrices
from pipelines.backtest.layout import BUY, EVENT, ORDER, SELL
from pipelines.backtest.state import Bar

BAR_COLUMNS = ("instrument_id", "session_date", "ts_open", "ts_close", "open", "high", "low", "close")
SIGNAL_COLUMNS = ("signal_id", "instrument_id", "session_date", "known_at", "signal_type", "target_price", "stop_loss")
_UTC = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Grid:
    """Bars of N instruments on T steps.

    bars: `Bar` of float64[T, N], NaN where an instrument has no bar. ts_open, ts_close: datetime64[us], UTC. session: int64[T],
    the position of the step's session in `session_dates`. number: int64[T], the session counted by the exchange's calendar, so that
    a day without any bar counts too. exchange_dates: the dates that `number` counts, ascending.
    """

    instruments: tuple[str, ...]
    symbols: tuple[str, ...]
    session_dates: tuple[date, ...]
    session: np.ndarray
    ts_open: np.ndarray
    ts_close: np.ndarray
    bars: Bar
    number: np.ndarray
    exchange_dates: np.ndarray

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.session.size)


@dataclass(frozen=True)
class Orders:
    """Signals at their decision step: those of step t lie between offsets t and t + 1; `order["signal"]` is the row in `signals`.

    late: signals dropped because they became known too late to act on, or before the first bar.
    """

    orders: np.ndarray
    offsets: np.ndarray
    signals: pl.DataFrame
    late: int


def build_grid(bars: pl.DataFrame, sessions: Sequence[date] = ()) -> Grid:
    """Put bars on one clock.

    bars: `BAR_COLUMNS` (prices as traded; times UTC) and optionally `symbol`; any order of rows. A bar with a missing price counts
    as no bar. sessions: dates of the exchange's sessions; without them those of the bars are taken for all. Raises InputError for
    missing columns, no rows, two bars of an instrument at one ts_close, a high below the low, or steps whose opens are not in
    order.
    """
    require_columns(bars, BAR_COLUMNS, "bars")
    if bars.is_empty():
        raise InputError("bars: no rows. A backtest needs at least one bar; check the dates and instruments asked for.")
    prices = ("open", "high", "low", "close")
    rows = bars.with_columns(pl.col("ts_open", "ts_close").cast(_UTC), pl.col(*prices).cast(pl.Float64))
    rows = rows.with_columns(
        (pl.col("ts_close").rank("dense") - 1).cast(pl.Int64).alias("step"),
        (pl.col("instrument_id").rank("dense") - 1).cast(pl.Int64).alias("column"),
    )
    _check_bars(rows)
    clock = (
        rows.group_by("step").agg(pl.col("ts_open").min(), pl.col("ts_close").first(), pl.col("session_date").min()).sort("step")
    )
    if not clock["ts_open"].is_sorted():
        raise InputError("bars: a bar that closes later opens earlier. Give bars of one size, from one exchange.")
    dates = clock["session_date"].unique().sort()
    names = _names(rows)
    shape = (clock.height, names.height)
    at = (rows["step"].to_numpy(), rows["column"].to_numpy())
    first, high, low, close = matrices = [_matrix(shape, at, rows[name].to_numpy()) for name in prices]
    missing = np.isnan(first) | np.isnan(high) | np.isnan(low) | np.isnan(close)
    for matrix in matrices:
        matrix[missing] = np.nan
    session = np.searchsorted(dates.to_numpy(), clock["session_date"].to_numpy()).astype(np.int64)
    exchange_dates = np.unique(
        np.concatenate([np.array(sessions, dtype="datetime64[D]"), dates.to_numpy().astype("datetime64[D]")])
    )
    return Grid(
        instruments=tuple(names["instrument_id"]),
        symbols=tuple(names["symbol"]),
        session_dates=tuple(dates),
        session=session,
        ts_open=clock["ts_open"].to_numpy(),
        ts_close=clock["ts_close"].to_numpy(),
        bars=Bar(first, high, low, close, sizing=_last_close_of_session(close, session)),
        number=number_of(exchange_dates, clock["session_date"]),
        exchange_dates=exchange_dates,
    )


def place_signals(grid: Grid, signals: pl.DataFrame, signal_sessions: int) -> Orders:
    """Give every BUY and SELL its decision step.

    signals: `SIGNAL_COLUMNS` and optionally `confidence_score`; HOLD rows and instruments without bars are left out. Within a step
    the higher score comes first, then instrument_id and signal_id. Raises InputError for missing columns, a repeated signal_id
    or an unknown signal_type.
    """
    require_columns(signals, SIGNAL_COLUMNS, "signals")
    if signals["signal_id"].n_unique() != signals.height:
        raise InputError("signals: signal_id repeats. Each signal counts once; give one row per signal_id.")
    odd = set(signals["signal_type"].unique()) - {"BUY", "SELL", "HOLD"}
    if odd:
        raise InputError(f"signals: unknown signal_type {sorted(map(str, odd))}; expected BUY, SELL or HOLD.")
    score = pl.col("confidence_score") if "confidence_score" in signals.columns else pl.lit(0.0)
    columns = pl.DataFrame({"instrument_id": grid.instruments, "column": np.arange(len(grid.instruments))})
    rows = signals.filter(pl.col("signal_type") != "HOLD").join(columns, on="instrument_id", how="inner")
    rows = rows.with_columns(score.fill_null(0.0).alias("score"), pl.col("known_at").cast(_UTC))
    fill = np.searchsorted(grid.ts_open, rows["known_at"].to_numpy(), side="left")
    fill_session = np.append(grid.number, grid.exchange_dates.size)[fill]
    own = number_of(grid.exchange_dates, rows["session_date"])
    timely = (fill > 0) & (fill_session - own <= signal_sessions)
    kept = rows.with_columns(pl.Series("step", fill - 1)).filter(pl.Series(timely))
    kept = kept.sort(["step", "score", "instrument_id", "signal_id"], descending=[False, True, False, False])
    orders = np.zeros(kept.height, dtype=ORDER)
    orders["instrument"] = kept["column"].to_numpy()
    orders["side"] = np.where(kept["signal_type"].to_numpy() == "BUY", BUY, SELL)
    orders["stop"] = kept["stop_loss"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    orders["target"] = kept["target_price"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    orders["signal"] = np.arange(kept.height)
    orders["price"] = orders["fraction"] = np.nan
    return Orders(orders, offsets_of(kept["step"].to_numpy(), grid.steps), kept, late=rows.height - kept.height)


def place_actions(grid: Grid, actions: pl.DataFrame | None, delisting_haircut: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Corporate actions at the first step of their ex-date or of the next session: (events, offsets) as the kernel takes them.

    actions: as for `actions.effects_of`. An instrument that has no bar in more than `fills.GONE_AFTER` sessions on which others had
    is paid out at its last price. delisting_haircut: part of the last price that a delisted share does not pay, unless
    the action states the amount. Raises InputError as `effects_of` does.
    """
    column = {name: i for i, name in enumerate(grid.instruments)}
    prices = LastPrices(grid.bars.close, grid.session)
    rows = effects_of(actions)
    sessions = number_of(np.array(grid.session_dates, dtype="datetime64[D]"), rows["ex_date"])
    placed: list[tuple[int, int, dict[str, Any]]] = [
        (int(session), column[row["instrument_id"]], row)
        for session, row in zip(sessions, rows.iter_rows(named=True), strict=True)
        # What went ex before the first bar is already in every price that is seen.
        if row["instrument_id"] in column and 0 < session < len(grid.session_dates)
    ]
    silent = {"effect": ENDING, "action": "gone", "amount": None, "price_factor": None}
    placed += [(session, i, silent) for session, i in prices.gone()]
    placed.sort(key=lambda entry: entry[0])
    events = np.zeros(len(placed), dtype=EVENT)
    for event, (session, i, row) in zip(events, placed, strict=True):
        successor = column.get(row["successor_id"], -1) if row["effect"] == MERGER else -1
        last = prices.before(i if successor < 0 else successor, session)
        _write_event(event, i, row, successor, written_off(last, delisting_haircut) if row["action"] == "delisting" else last)
        if row["price_factor"] is not None:
            prices.carry(i, session, row["price_factor"])
    steps = prices.first_step[np.array([session for session, _, _ in placed], dtype=np.int64)]
    return events, offsets_of(steps, grid.steps)


def _write_event(event: np.void, i: int, row: Mapping[str, Any], successor: int, price: float) -> None:
    """Fill one record of `EVENT` from a row of `actions.effects_of`; price: of the successor, or of an ending."""
    effect, amount = row["effect"], row["amount"] or 0.0
    event["instrument"], event["ratio"], event["price_factor"] = i, 1.0, 1.0
    event["cash_out"], event["successor"], event["successor_price"] = np.nan, successor, np.nan
    if effect == UNKNOWN or (effect == MERGER and successor < 0):
        event["unknown"] = 1
    elif effect == UNITS:
        event["ratio"] = row["ratio"]
        event["dividend"] = amount / row["ratio"] if row["action"] == "capital_reduction" else 0.0
    elif effect == PRICE:
        event["price_factor"] = row["ratio"]
    elif effect == DIVIDEND:
        event["dividend"] = amount
    elif effect == MERGER:
        event["ratio"], event["dividend"], event["successor_price"] = row["ratio"], amount, price
    elif effect == ENDING:
        event["cash_out"] = price if row["amount"] is None else amount


def number_of(exchange_dates: np.ndarray, days: pl.Series) -> np.ndarray:
    """Number of the first session on or after each day: int64[n]."""
    return np.searchsorted(exchange_dates, days.to_numpy().astype("datetime64[D]")).astype(np.int64)


def _check_bars(rows: pl.DataFrame) -> None:
    repeated = rows.filter(pl.struct("step", "column").is_duplicated())
    if repeated.height:
        first = repeated.row(0, named=True)
        raise InputError(f"bars: {first['instrument_id']} has more than one bar closing at {first['ts_close']}.")
    crossed = rows.filter(pl.col("high") < pl.col("low"))
    if crossed.height:
        first = crossed.row(0, named=True)
        raise InputError(
            f"bars: {first['instrument_id']} at {first['ts_close']}: high {first['high']} is below low {first['low']}."
        )


def _names(rows: pl.DataFrame) -> pl.DataFrame:
    symbol = (
        pl.col("symbol").sort_by("step").last()
        if "symbol" in rows.columns
        else pl.col("instrument_id").first().str.split(":").list.last()
    )
    return rows.group_by("column").agg(pl.col("instrument_id").first(), symbol.alias("symbol")).sort("column")


def _matrix(shape: tuple[int, int], at: tuple[np.ndarray, np.ndarray], values: np.ndarray) -> np.ndarray:
    matrix = np.full(shape, np.nan)
    matrix[at] = values
    return matrix


def _last_close_of_session(close: np.ndarray, session: np.ndarray) -> np.ndarray:
    # A minute without a trade has no bar; its decision price is the last trade. Never across sessions: a split may lie between.
    if np.unique(session).size == session.size:
        return close
    filled = close.copy()
    for t in range(1, session.size):
        if session[t] == session[t - 1]:
            np.copyto(filled[t], filled[t - 1], where=np.isnan(filled[t]))
    return filled


def offsets_of(steps: np.ndarray, count: int) -> np.ndarray:
    """Where the rows of each step begin, and the last ones end, in rows ordered by step: int64[count + 1]."""
    return np.searchsorted(steps, np.arange(count + 1)).astype(np.int64)
