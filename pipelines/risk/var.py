"""Value at risk and expected shortfall of session returns, and the table `risk_var`.

Lives here: three estimators and their rolling, out-of-sample record. Does not live here: the tests on that record (`coverage`).

A loss is a positive fraction of equity: VaR 0.02 at 0.99 says that one session in a hundred is expected to lose more than 2 %. The
row of a session is the forecast for that session, estimated from the returns of the sessions before it; a breach is a session whose
loss exceeds its own row's VaR. Everything in a row is known before its session opens, its count of breaches too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from statistics import NormalDist

import numpy as np
import polars as pl

from pipelines.market.tables.research import RISK_VAR
from pipelines.risk.coverage import conditional_coverage, kupiec

METHODS = ("historical", "normal", "cornish_fisher")
CONFIDENCES = (0.95, 0.99)

# A year of sessions to estimate from, and a year of forecasts to judge: the year of the Basel Committee's traffic-light test.
WINDOW = 250
EVALUATED = 250


def value_at_risk(returns: np.ndarray, confidence: float, method: str = "historical") -> tuple[float, float]:
    """(VaR, expected shortfall) of the next return after `returns` (float64[T], simple, T ≥ 2).

    Raises ValueError for an unknown method, a confidence outside 0 to 1, or fewer than two returns.
    """
    if returns.size < 2:
        raise ValueError(f"value_at_risk: {returns.size} returns; at least two are needed.")
    var, shortfall = _estimate(np.asarray(returns, dtype=np.float64)[np.newaxis, :], confidence, method)
    return float(var[0]), float(shortfall[0])


def var_table(
    returns: pl.DataFrame,
    portfolio: str,
    *,
    upcoming: date | None = None,
    since: date | None = None,
    methods: Sequence[str] = METHODS,
    confidences: Sequence[float] = CONFIDENCES,
    window: int = WINDOW,
    evaluated: int = EVALUATED,
) -> pl.DataFrame:
    """Rows of `risk_var` for every session after the `window`-th, or from `since` on where that is later.

    returns: session_date and ret (simple, a fraction), one row per session, in any order. upcoming: the session after the last
    return; given, it has a row too, which stays the same once its return is known. `breaches`, and the p-values on them, count over
    the `evaluated` forecasts before the row's session (fewer at first; null before the first). A row depends on the window +
    evaluated returns before its session only, so that computing with `since` gives the rows of a full computation, bit for bit, at
    the cost of the new sessions. Raises ValueError for a repeated session, a missing return, or an upcoming session that is not
    after the last return.
    """
    series = returns.select(pl.col("session_date").cast(pl.Date), pl.col("ret").cast(pl.Float64)).sort("session_date")
    if series["session_date"].n_unique() != series.height:
        raise ValueError(f"var_table: portfolio {portfolio}: a session repeats; give one return per session.")
    if series["ret"].is_null().any() or series["ret"].is_nan().any():
        raise ValueError(f"var_table: portfolio {portfolio}: a return is missing; leave out sessions without one.")
    forecast = series["session_date"]
    if upcoming is not None:
        if series.height and upcoming <= forecast[-1]:
            raise ValueError(f"var_table: portfolio {portfolio}: upcoming session {upcoming} is not after {forecast[-1]}.")
        forecast = forecast.append(pl.Series([upcoming], dtype=pl.Date))
    first = window if since is None else max(window, int(forecast.search_sorted(since)))
    if first >= forecast.len():
        return pl.DataFrame(schema=_SCHEMA)
    start = max(first - window - evaluated, 0)
    values, dates = series["ret"].to_numpy()[start : forecast.len() - 1], forecast[first:]
    tables = [
        _record(values, method, confidence, window, evaluated)
        .tail(dates.len())
        .with_columns(portfolio=pl.lit(portfolio), session_date=dates, method=pl.lit(method), confidence=pl.lit(confidence))
        for method in methods
        for confidence in confidences
    ]
    return pl.concat(tables).select(_SCHEMA.names()).cast(_SCHEMA).sort(list(RISK_VAR.sort_by))


_SCHEMA = pl.Schema(
    {
        "portfolio": pl.String,
        "session_date": pl.Date,
        "method": pl.String,
        "confidence": pl.Float64,
        "var": pl.Float64,
        "cvar": pl.Float64,
        "breaches": pl.Int64,
        "kupiec_p": pl.Float64,
        "christoffersen_p": pl.Float64,
    }
)


def _record(values: np.ndarray, method: str, confidence: float, window: int, evaluated: int) -> pl.DataFrame:
    """Forecasts for the sessions that follow each window of `values`, the last one for the session after all of them."""
    # A contiguous copy: over a strided view numpy may sum in another order for another number of rows.
    windows = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(values, window))
    var, shortfall = _estimate(windows, confidence, method)
    breached = values[window:] < -var[:-1]
    rows: list[tuple[int | None, float | None, float | None]] = []
    for row in range(var.size):
        recent = breached[max(row - evaluated, 0) : row]
        if recent.size == 0:
            rows.append((None, None, None))
            continue
        count = int(recent.sum())
        rows.append((count, kupiec(recent.size, count, confidence).p_value, conditional_coverage(recent, confidence).p_value))
    judged = pl.DataFrame(rows, schema={"breaches": pl.Int64, "kupiec_p": pl.Float64, "christoffersen_p": pl.Float64}, orient="row")
    return judged.with_columns(var=var, cvar=shortfall)


def _estimate(windows: np.ndarray, confidence: float, method: str) -> tuple[np.ndarray, np.ndarray]:
    """(VaR, expected shortfall), float64[M] each, of float64[M, W] returns."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, as in 0.99.")
    tail = 1.0 - confidence
    if method == "historical":
        # Linear interpolation between the two nearest returns; the shortfall is the mean of the returns at or below.
        quantile = np.quantile(windows, tail, axis=1)
        beyond = windows <= quantile[:, np.newaxis]
        return -quantile, -np.where(beyond, windows, 0.0).sum(axis=1) / beyond.sum(axis=1)
    mean, deviation = windows.mean(axis=1), windows.std(axis=1, ddof=1)
    z = NormalDist().inv_cdf(tail)
    hazard = NormalDist().pdf(z) / tail
    if method == "normal":
        return -(mean + deviation * z), -(mean - deviation * hazard)
    if method == "cornish_fisher":
        return _cornish_fisher(windows, mean, deviation, z, hazard)
    raise ValueError(f"unknown method {method!r}; known: {', '.join(METHODS)}.")


def _cornish_fisher(
    windows: np.ndarray, mean: np.ndarray, deviation: np.ndarray, z: float, hazard: float
) -> tuple[np.ndarray, np.ndarray]:
    # Favre and Galeano (2002), Mean-Modified Value-at-Risk Optimization with Hedge Funds: the normal quantile corrected for
    # sample skewness and excess kurtosis. The shortfall is the mean of the same quantile over the tail, whose powers of z have
    # closed forms.
    centred = windows - mean[:, np.newaxis]
    spread = (centred**2).mean(axis=1)
    # Below this the square of the spread is no number any more; returns that near to each other have no shape.
    flat = spread < 1e-150
    spread = np.where(flat, 1.0, spread)
    skew = np.where(flat, 0.0, (centred**3).mean(axis=1) / spread**1.5)
    excess = np.where(flat, 0.0, (centred**4).mean(axis=1) / spread**2 - 3.0)

    def corrected(first: float, second: float, third: float) -> np.ndarray:
        bend = (second - 1) * skew / 6 + (third - 3 * first) * excess / 24 - (2 * third - 5 * first) * skew**2 / 36
        return mean + deviation * (first + bend)

    var = -corrected(z, z**2, z**3)
    shortfall = -corrected(-hazard, 1 - z * hazard, -hazard * (z**2 + 2))
    # Far from normal the corrected quantile stops being monotone; a shortfall below its VaR would be an artefact of that.
    return var, np.maximum(shortfall, var)
