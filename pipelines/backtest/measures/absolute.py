"""Measures of one series of returns. See the package for what the arguments mean.

Lives here: what needs no benchmark. Does not live here: measures that do (`relative`).
"""

from __future__ import annotations

import math

import numpy as np

PERIODS = 252


def simple_returns(prices: np.ndarray) -> np.ndarray:
    """Returns from one price to the next: float64[T − 1]."""
    return prices[1:] / prices[:-1] - 1.0


def cumulative_returns(returns: np.ndarray) -> np.ndarray:
    """Compounded return from the start to each period, a missing one counting as none: float64[T]."""
    return np.cumprod(1.0 + np.nan_to_num(returns)) - 1.0


def sharpe(returns: np.ndarray, risk_free: float | np.ndarray = 0.0, periods: int = PERIODS) -> float | None:
    """Mean excess return over its sample deviation, times √periods; risk_free a period, one number or one for each."""
    from empyrical import sharpe_ratio

    return finite(sharpe_ratio(np.asarray(returns, dtype=np.float64), risk_free, annualization=periods))


def omega(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Gains above the target over losses below it (Keating and Shadwick 2002); target a period."""
    gains, losses = _above(returns, target).sum(), _below(returns, target).sum()
    return over(gains, losses)


def omega_sharpe(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Mean excess over the target, over mean loss below it: omega − 1."""
    ratio = omega(returns, target)
    return None if ratio is None else ratio - 1.0


def annual_return(returns: np.ndarray, periods: int = PERIODS) -> float | None:
    """Compound growth a year."""
    known = _known(returns)
    return finite(float(np.prod(1.0 + known)) ** (periods / known.size) - 1.0) if known.size else None


def annual_volatility(returns: np.ndarray, periods: int = PERIODS) -> float | None:
    """Sample deviation (divisor T − 1) times √periods."""
    known = _known(returns)
    return finite(known.std(ddof=1) * math.sqrt(periods)) if known.size > 1 else None


def calmar(returns: np.ndarray, periods: int = PERIODS) -> float | None:
    """Annual return over the deepest drawdown."""
    return over(annual_return(returns, periods), -float(drawdowns(returns).min(initial=0.0)))


def stability(returns: np.ndarray) -> float | None:
    """R² of a straight line through the cumulative log returns; 1 is steady growth."""
    from empyrical import stability_of_timeseries

    known = _known(returns)
    return finite(stability_of_timeseries(known)) if known.size > 1 else None


def tail_ratio(returns: np.ndarray) -> float | None:
    """The 95th percentile of returns over the 5th, without sign. A missing return counts as none, not as one of 0."""
    from empyrical import tail_ratio as ratio

    known = _known(returns)
    return finite(ratio(known)) if known.size else None


def tail_risk(returns: np.ndarray, confidence: float = 0.99) -> tuple[float, float] | None:
    """Value at risk and expected shortfall (negative returns) by a generalised Pareto tail; None where no tail can be fitted."""
    from empyrical import gpd_risk_estimates

    estimates = np.asarray(gpd_risk_estimates(_known(returns), 1.0 - confidence), dtype=np.float64)
    return (float(estimates[3]), float(estimates[4])) if estimates[1] != 0.0 else None


def drawdowns(returns: np.ndarray) -> np.ndarray:
    """Fall from the highest level so far, the start included, after each return: float64[T], 0 or negative."""
    levels = np.cumprod(1.0 + _known(returns))
    return levels / np.maximum.accumulate(np.concatenate([[1.0], levels]))[1:] - 1.0


def pain_index(returns: np.ndarray) -> float | None:
    """Mean depth of the drawdown over all periods."""
    depths = drawdowns(returns)
    return float(-depths.mean()) if depths.size else None


def ulcer_index(returns: np.ndarray) -> float | None:
    """Root mean square of the drawdown over all periods (Martin 1987)."""
    depths = drawdowns(returns)
    return math.sqrt(float((depths**2).mean())) if depths.size else None


def martin_ratio(returns: np.ndarray, risk_free: float = 0.0, periods: int = PERIODS) -> float | None:
    """Annual return above the risk-free one over the ulcer index."""
    return over(annual_excess(returns, risk_free, periods), ulcer_index(returns))


def burke_ratio(returns: np.ndarray, risk_free: float = 0.0, periods: int = PERIODS) -> float | None:
    """Annual return above the risk-free one over the root of the summed squares of drawdowns (Burke 1994).

    A drawdown is a run of losses, its returns added up.
    """
    known = _known(returns)
    starts = np.flatnonzero(np.diff((known < 0).astype(np.int64), prepend=0) == 1)
    sums = np.add.reduceat(np.where(known < 0, known, 0.0), starts) if starts.size else np.zeros(0)
    return over(annual_excess(returns, risk_free, periods), math.sqrt(float((sums**2).sum())))


def skewness(returns: np.ndarray) -> float | None:
    """Third standardised moment of the population."""
    return _moment(returns, 3)


def kurtosis(returns: np.ndarray) -> float | None:
    """Fourth standardised moment of the population: 3 for normal returns."""
    return _moment(returns, 4)


def sample_excess_kurtosis(returns: np.ndarray) -> float | None:
    """Unbiased excess kurtosis: 0 for normal returns."""
    from scipy.stats import kurtosis as moment

    known = _known(returns)
    return finite(moment(known, bias=False)) if known.size > 3 and known.std() > 0 else None


def skewness_kurtosis_ratio(returns: np.ndarray) -> float | None:
    """Skewness over kurtosis, as ranking (Watanabe 2006)."""
    return over(skewness(returns), kurtosis(returns))


def adjusted_sharpe(returns: np.ndarray, risk_free: float = 0.0, periods: int = PERIODS) -> float | None:
    """Annual Sharpe ratio from compound return and sample deviation, punished for skew and fat tails (Pezier and White 2006)."""
    ratio = over(annual_excess(returns, risk_free, periods), annual_volatility(returns, periods))
    skew, tails = skewness(returns), kurtosis(returns)
    if ratio is None or skew is None or tails is None:
        return None
    return ratio * (1.0 + skew / 6.0 * ratio - (tails - 3.0) / 24.0 * ratio**2)


def bernardo_ledoit(returns: np.ndarray) -> float | None:
    """Sum of gains over sum of losses: omega at 0 (Bernardo and Ledoit 2000)."""
    return omega(returns)


def d_ratio(returns: np.ndarray) -> float | None:
    """Number times sum of losses over number times sum of gains; 0 is best (Dowd 2000, after Lavinio)."""
    known = _known(returns)
    return over((known < 0).sum() * _below(known, 0.0).sum(), (known > 0).sum() * _above(known, 0.0).sum())


def downside_deviation(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Root mean square of shortfalls below the target, over all periods; a period, not annualised."""
    return _root(_below(returns, target))


def downside_frequency(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Share of returns below the target."""
    return mean_of(_known(returns) < target)


def upside_frequency(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Share of returns above the target."""
    return mean_of(_known(returns) > target)


def upside_risk(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Root mean square of gains above the target, over all periods."""
    return _root(_above(returns, target))


def upside_variance(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Mean square of gains above the target, over all periods."""
    return mean_of(_above(returns, target) ** 2)


def upside_potential(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Mean gain above the target, over all periods."""
    return mean_of(_above(returns, target))


def volatility_skewness(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Upside variance over downside variance (Rom and Ferguson 2001)."""
    return over(upside_variance(returns, target), mean_of(_below(returns, target) ** 2))


def kappa(returns: np.ndarray, target: float = 0.0, order: int = 2) -> float | None:
    """Mean excess over the target, over the root of the lower partial moment of that order (Kaplan and Knowles 2004)."""
    partial = mean_of(_below(returns, target) ** order)
    mean = mean_of(_known(returns))
    return None if partial is None or mean is None else over(mean - target, partial ** (1.0 / order))


def prospect_ratio(returns: np.ndarray, target: float = 0.0) -> float | None:
    """Mean of gains and of losses weighing 2.25 times, less the target, over downside deviation (Watanabe 2006)."""
    felt = mean_of(_above(returns, 0.0) - 2.25 * _below(returns, 0.0))
    return None if felt is None else over(felt - target, downside_deviation(returns, target))


def rolling_sharpe(returns: np.ndarray, window: int, periods: int = PERIODS) -> np.ndarray:
    """Mean over sample deviation of each window's known returns, times √periods; NaN where they do not vary."""
    ratios = [sharpe(part, periods=periods) for part in windows_of(returns, window)]
    return np.array([math.nan if ratio is None else ratio for ratio in ratios], dtype=np.float64)


def rolling_max_drawdown(returns: np.ndarray, window: int) -> np.ndarray:
    """Deepest drawdown within each window."""
    return np.array([drawdowns(part).min(initial=0.0) for part in windows_of(returns, window)], dtype=np.float64)


def windows_of(returns: np.ndarray, window: int) -> np.ndarray:
    """Every run of `window` returns: float64[T − window + 1, window]. Raises ValueError for a window below 1."""
    if window < 1:
        raise ValueError(f"window is {window}; it must be at least 1.")
    if returns.size < window:
        return np.zeros((0, window))
    return np.lib.stride_tricks.sliding_window_view(returns, window)


def _known(returns: np.ndarray) -> np.ndarray:
    values = np.asarray(returns, dtype=np.float64)
    return values[~np.isnan(values)]


def _above(returns: np.ndarray, target: float) -> np.ndarray:
    return np.maximum(_known(returns) - target, 0.0)


def _below(returns: np.ndarray, target: float) -> np.ndarray:
    return np.maximum(target - _known(returns), 0.0)


def _moment(returns: np.ndarray, order: int) -> float | None:
    known = _known(returns)
    if known.size < 2 or not known.std() > 0:
        return None
    return float(((known - known.mean()) ** order).mean() / known.std() ** order)


def annual_excess(returns: np.ndarray, risk_free: float, periods: int) -> float | None:
    """Annual return above the risk-free one."""
    grown = annual_return(returns, periods)
    return None if grown is None else grown - ((1.0 + risk_free) ** periods - 1.0)


def mean_of(values: np.ndarray) -> float | None:
    """The mean; None of nothing."""
    return float(values.mean()) if values.size else None


def _root(values: np.ndarray) -> float | None:
    return math.sqrt(float((values**2).mean())) if values.size else None


def over(value: float | None, divisor: float | None) -> float | None:
    """A ratio; None where a part is not known or the divisor is not above 0."""
    return None if value is None or divisor is None or not divisor > 0 else finite(value / divisor)


def finite(value: float) -> float | None:
    """The number; None where it is none or infinite."""
    return float(value) if math.isfinite(value) else None
