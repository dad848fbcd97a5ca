"""Markets and signals whose verdict is known: what the figures of a report are tried on.

Lives here: random walks of several instruments, signals on them, and the setup of a run. Does not live here: any test.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from pipelines.backtest.costs import FlatCosts
from pipelines.backtest.portfolio import Strategy
from pipelines.backtest.rules import Rules
from pipelines.backtest.run_setup import RunSetup, still_trading

FIRST = datetime(2015, 1, 1, 14, 30, tzinfo=UTC)
LENGTH = timedelta(hours=6)


def walks(sessions: int, instruments: int = 6, seed: int = 1, drifts: np.ndarray | None = None) -> pl.DataFrame:
    """Bars of random walks, a session a day. drifts: float64[sessions, instruments] added to the log returns."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(0, 0.015, (sessions, instruments)) + (0.0 if drifts is None else drifts)
    close = 100 * np.exp(np.cumsum(steps, axis=0))
    start = np.vstack([np.full(instruments, 100.0), close[:-1]])
    frames = []
    for i in range(instruments):
        opens = [FIRST + timedelta(days=k) for k in range(sessions)]
        frames.append(
            pl.DataFrame(
                {
                    "instrument_id": f"XNYS:I{i}",
                    "symbol": f"I{i}",
                    "session_date": [moment.date() for moment in opens],
                    "ts_open": opens,
                    "ts_close": [moment + LENGTH for moment in opens],
                    "open": start[:, i],
                    "high": np.maximum(start[:, i], close[:, i]) * 1.002,
                    "low": np.minimum(start[:, i], close[:, i]) * 0.998,
                    "close": close[:, i],
                    "volume": 1_000_000,
                }
            )
        )
    return pl.concat(frames)


def signals_at(bars: pl.DataFrame, chosen: Sequence[tuple[int, int]], side: str = "BUY") -> pl.DataFrame:
    """A signal for every (number of the session, number of the instrument), known at that session's close."""
    wanted = pl.DataFrame(
        {"number": [k for k, _ in chosen], "instrument_id": [f"XNYS:I{i}" for _, i in chosen]},
        schema={"number": pl.Int64, "instrument_id": pl.String},
    )
    numbered = bars.with_columns(number=(pl.col("session_date").rank("dense") - 1).cast(pl.Int64))
    return numbered.join(wanted.unique(), on=["number", "instrument_id"], how="inner", maintain_order="left").select(
        signal_id=pl.format("{}-{}", "instrument_id", "number"),
        instrument_id="instrument_id",
        session_date="session_date",
        known_at="ts_close",
        signal_type=pl.lit(side),
        target_price=pl.lit(None, pl.Float64),
        stop_loss=pl.lit(None, pl.Float64),
    )


def random_signals(bars: pl.DataFrame, count: int, seed: int) -> pl.DataFrame:
    """Purchases at sessions and of instruments drawn by lot."""
    generator = np.random.default_rng(seed)
    sessions, instruments = (bars.get_column(name).n_unique() for name in ("session_date", "instrument_id"))
    every = generator.choice(sessions * instruments, size=count, replace=False)
    return signals_at(bars, [(int(cell) // instruments, int(cell) % instruments) for cell in every])


def setup_of(bars: pl.DataFrame, signals: pl.DataFrame, bps: float = 10.0, **rules: object) -> RunSetup:
    """A run of five sessions a trade, at costs of some basis points a side."""
    given = {"fraction": 0.2, "max_positions": 5, "max_sessions": 5, "volume_share": None, **rules}
    strategy = Strategy("by_lot", "lots", "inputs", "code", {}, trials=1)
    sessions = bars.get_column("session_date").unique().sort().to_list()
    return RunSetup(
        bars,
        signals,
        strategy,
        Rules(**given),  # type: ignore[arg-type]
        FlatCosts(bps, bps),
        None,
        sessions,
        survivors=still_trading(bars, signals),
    )
