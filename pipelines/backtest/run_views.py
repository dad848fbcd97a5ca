"""What a report shows of a run beside its tables: months, rolling figures, gross to net, a benchmark, factors of prices.

Lives here: small frames made of a run's own rows and bars.
Does not live here: statistics themselves (`statistics`, `measures/`), the verdict (`verdict/`), how any of it looks (`reports/`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipelines.backtest import statistics
from pipelines.backtest.actions import effects_of
from pipelines.backtest.measures.absolute import windows_of

#: Sessions of a rolling figure, and how far apart its points are.
ROLLING_WINDOW, ROLLING_STEP = 252, 5


@dataclass(frozen=True)
class GrossToNet:
    """What winning and losing trades made before costs, the costs of all, and what is left; other: profit that no trade has."""

    won: float
    lost: float
    costs: float
    net: float
    other: float


def monthly_returns(days: pl.Series, returns: np.ndarray) -> list[tuple[int, list[float | None], float]]:
    """(year, its twelve months, the year itself), compounded; None for a month without a session."""
    grown = pl.DataFrame({"year": days.dt.year(), "month": days.dt.month(), "growth": 1.0 + returns})
    months = {
        (year, month): growth - 1.0
        for year, month, growth in grown.group_by("year", "month").agg(pl.col("growth").product()).iter_rows()
    }
    years = grown.group_by("year").agg(pl.col("growth").product()).sort("year")
    return [(year, [months.get((year, month)) for month in range(1, 13)], growth - 1.0) for year, growth in years.iter_rows()]


def rolling_figures(days: pl.Series, returns: np.ndarray, window: int = ROLLING_WINDOW, step: int = ROLLING_STEP) -> pl.DataFrame:
    """session_date, sharpe (annual) and volatility (annual) of the `window` sessions up to it, every `step` sessions."""
    parts = windows_of(returns, window)[::step]
    ratios = [statistics.sharpe(part) for part in parts]
    deviations = [float(part.std(ddof=1)) * statistics.SESSIONS_PER_YEAR**0.5 for part in parts]
    return pl.DataFrame(
        {"session_date": days[window - 1 :].gather_every(step), "sharpe": ratios, "volatility": deviations},
        schema={"session_date": pl.Date, "sharpe": pl.Float64, "volatility": pl.Float64},
    )


def gross_to_net(trades: pl.DataFrame, profit: float) -> GrossToNet:
    """From what trades made before costs to what they made. profit: of the whole run, equity at its end less the initial cash."""
    gross = (trades.get_column("pnl") + trades.get_column("fees")).to_numpy()
    costs, net = float(trades.get_column("fees").sum()), float(trades.get_column("pnl").sum())
    return GrossToNet(float(gross[gross > 0].sum()), float(gross[gross < 0].sum()), costs, net, profit - net)


def benchmark_levels(bars: pl.DataFrame, actions: pl.DataFrame | None, days: pl.Series, cash: float) -> np.ndarray:
    """The same cash in all instruments of a run, in equal parts, made equal again each session: its level at each of `days`.

    By closes adjusted for splits, bonuses and demergers; without dividends and costs. An instrument without a bar in a session, or
    with an action of unknown ratio there, is left out of that session.
    """
    # Ordered by numbers: texts of a million rows take their time.
    number = pl.col("instrument_id").cast(pl.Categorical).to_physical()
    ordered = bars.select("instrument_id", "session_date", "ts_close", "close", number=number).sort("number", "ts_close")
    ends = (pl.col("number") != pl.col("number").shift(-1)) | (pl.col("session_date") != pl.col("session_date").shift(-1))
    steps = (
        effects_of(actions)
        .group_by("instrument_id", pl.col("ex_date").alias("session_date"))
        .agg(
            factor=pl.col("price_factor").fill_null(1.0).product(),
            is_known=pl.col("price_factor").is_not_null().all(),
        )
    )
    closes = ordered.filter(ends.fill_null(value=True))
    rows = closes.join(steps, on=["instrument_id", "session_date"], how="left", maintain_order="left")
    before = pl.when(pl.col("number") == pl.col("number").shift()).then(pl.col("close").shift() * pl.col("factor").fill_null(1.0))
    rows = rows.with_columns(ret=pl.when(pl.col("is_known").fill_null(value=True)).then(pl.col("close") / before - 1.0))
    means = rows.group_by("session_date").agg(pl.col("ret").mean())
    found = pl.DataFrame({"session_date": days}).join(means, on="session_date", how="left", maintain_order="left")
    return cash * np.cumprod(1.0 + found.get_column("ret").fill_null(0.0).to_numpy())


def price_factors(actions: pl.DataFrame | None, instrument: str, first: date, last: date) -> list[tuple[date, float]]:
    """(ex-date, what a price before it is multiplied by to be comparable with the newest one), by ex-date.

    Of splits, bonuses, demergers and rights of known ratio with an ex-date after `first` and up to `last`.
    """
    own = effects_of(actions).filter(
        (pl.col("instrument_id") == instrument)
        & (pl.col("ex_date") > first)
        & (pl.col("ex_date") <= last)
        & (pl.col("price_factor") != 1.0)
    )
    days = own.group_by("ex_date").agg(pl.col("price_factor").product()).sort("ex_date", descending=True)
    factors, product = [], 1.0
    for day, factor in days.iter_rows():
        product *= factor
        factors.append((day, product))
    return factors[::-1]
