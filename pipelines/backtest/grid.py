"""From frames to the kernel's arrays: bars on one clock, signals and corporate actions at their steps.

Lives here: which step a signal may act at, and every check of the inputs. Does not live here: what then happens (`kernel`).

A step is one distinct `ts_close` of the bars. A signal fills at the first step that opens at or after its `known_at`, and is
therefore decided, and sized, at the step before: nothing acts on what was not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipelines.backtest.layout import BUY, EVENT, ORDER, SELL, Bar

BAR_COLUMNS = ("instrument_id", "session_date", "ts_open", "ts_close", "open", "high", "low", "close")
SIGNAL_COLUMNS = ("signal_id", "instrument_id", "session_date", "known_at", "signal_type", "target_price", "stop_loss")
ACTION_COLUMNS = ("instrument_id", "ex_date", "action", "ratio", "amount")

_SPLITS = ("split", "bonus")
_PRICE_ONLY = ("demerger", "rights")
_ENDINGS = ("delisting", "merger")
_UTC = pl.Datetime("us", "UTC")


class InputError(ValueError):
    """Bars, signals or actions that a backtest cannot use; the message says which, where, and what is expected."""


@dataclass(frozen=True)
class Grid:
    """Bars of N instruments on T steps.

    bars: `Bar` of float64[T, N], NaN where an instrument has no bar. ts_open, ts_close: datetime64[us], UTC. session: int64[T],
    the position of the step's session in `session_dates`.
    """

    instruments: tuple[str, ...]
    symbols: tuple[str, ...]
    session_dates: tuple[date, ...]
    session: np.ndarray
    ts_open: np.ndarray
    ts_close: np.ndarray
    bars: Bar

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


def build_grid(bars: pl.DataFrame) -> Grid:
    """Put bars on one clock.

    bars: `BAR_COLUMNS` (prices as traded; times UTC) and optionally `symbol`; any order of rows. A bar with a missing price counts
    as no bar. Raises InputError for missing columns, no rows, two bars of an instrument at one ts_close, a high below the low, or
    steps whose opens are not in order.
    """
    _require_columns(bars, BAR_COLUMNS, "bars")
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
    return Grid(
        instruments=tuple(names["instrument_id"]),
        symbols=tuple(names["symbol"]),
        session_dates=tuple(dates),
        session=session,
        ts_open=clock["ts_open"].to_numpy(),
        ts_close=clock["ts_close"].to_numpy(),
        bars=Bar(first, high, low, close, sizing=_last_close_of_session(close, session)),
    )


def place_signals(grid: Grid, signals: pl.DataFrame, signal_sessions: int) -> Orders:
    """Give every BUY and SELL its decision step.

    signals: `SIGNAL_COLUMNS` and optionally `confidence_score`; HOLD rows and instruments without bars are left out. Within a step
    the higher score comes first, then instrument_id and signal_id. Raises InputError for missing columns, a repeated signal_id
    or an unknown signal_type.
    """
    _require_columns(signals, SIGNAL_COLUMNS, "signals")
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
    fill_session = np.append(grid.session, len(grid.session_dates))[fill]
    own = np.searchsorted(
        np.array(grid.session_dates, dtype="datetime64[D]"), rows["session_date"].to_numpy().astype("datetime64[D]")
    )
    timely = (fill > 0) & (fill_session - own <= signal_sessions)
    kept = rows.with_columns(pl.Series("step", fill - 1)).filter(pl.Series(timely))
    kept = kept.sort(["step", "score", "instrument_id", "signal_id"], descending=[False, True, False, False])
    orders = np.zeros(kept.height, dtype=ORDER)
    orders["instrument"] = kept["column"].to_numpy()
    orders["side"] = np.where(kept["signal_type"].to_numpy() == "BUY", BUY, SELL)
    orders["stop"] = kept["stop_loss"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    orders["target"] = kept["target_price"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    orders["signal"] = np.arange(kept.height)
    return Orders(orders, _offsets(kept["step"].to_numpy(), grid.steps), kept, late=rows.height - kept.height)


def place_actions(grid: Grid, actions: pl.DataFrame | None) -> tuple[np.ndarray, np.ndarray]:
    """Corporate actions at the first step of their ex-date or of the next session: (events, offsets) as the kernel takes them.

    actions: `ACTION_COLUMNS` as in the table corporate_actions; None or no rows for none. `ratio` of a split or bonus is new units
    per old; of a demerger or rights issue what remains of the price. `amount` is cash per unit, for a delisting or merger the
    price paid out (without one, the last close is). Other actions do not touch a holding. Raises InputError for missing columns
    or a ratio that is not above 0.
    """
    if actions is None or actions.is_empty():
        return np.zeros(0, dtype=EVENT), np.zeros(grid.steps + 1, dtype=np.int64)
    _require_columns(actions, ACTION_COLUMNS, "actions")
    column = {name: i for i, name in enumerate(grid.instruments)}
    dates = np.array(grid.session_dates, dtype="datetime64[D]")
    first_step = np.searchsorted(grid.session, np.arange(len(grid.session_dates)))
    found: list[tuple[int, int, tuple[float, float, float, float]]] = []
    for row in actions.select(ACTION_COLUMNS).sort(["ex_date", "instrument_id", "action"]).iter_rows(named=True):
        session = int(np.searchsorted(dates, np.datetime64(row["ex_date"])))
        i = column.get(row["instrument_id"])
        if i is None or session >= len(grid.session_dates):
            continue
        step = int(first_step[session])
        effect = _effect(row, grid, i, step)
        # What went ex before the first bar is already in every price that is seen.
        if effect is not None and step > 0:
            found.append((step, i, effect))
    found.sort(key=lambda entry: entry[0])
    events = np.array([(i, *effect) for _, i, effect in found], dtype=EVENT)
    return events, _offsets(np.array([step for step, _, _ in found], dtype=np.int64), grid.steps)


def _effect(row: dict[str, object], grid: Grid, i: int, step: int) -> tuple[float, float, float, float] | None:
    action = row["action"]
    ratio = None if row["ratio"] is None else float(str(row["ratio"]))
    amount = None if row["amount"] is None else float(str(row["amount"]))
    if ratio is not None and not ratio > 0:
        raise InputError(f"actions: {row['instrument_id']} {row['ex_date']} {action}: ratio is {ratio}; it must be above 0.")
    if action in _SPLITS and ratio is not None:
        return ratio, 0.0, 1.0, np.nan
    if action in _PRICE_ONLY and ratio is not None:
        return 1.0, 0.0, ratio, np.nan
    if action == "dividend" and amount is not None:
        return 1.0, amount, 1.0, np.nan
    if action in _ENDINGS:
        closes = grid.bars.close[:step, i]
        seen = closes[~np.isnan(closes)]
        price = amount if amount is not None else (float(seen[-1]) if seen.size else np.nan)
        return 1.0, 0.0, 1.0, price
    return None


def _require_columns(frame: pl.DataFrame, columns: Sequence[str], what: str) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InputError(f"{what}: column {', '.join(missing)} missing; needed are {', '.join(columns)}.")


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


def _offsets(steps: np.ndarray, count: int) -> np.ndarray:
    return np.searchsorted(steps, np.arange(count + 1)).astype(np.int64)
