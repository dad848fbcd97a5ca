"""Statistics of a run, from its session returns and its trades.

Lives here: the figures of `backtest_runs`. Does not live here: value at risk (`risk/`), or how equity came about (`kernel`).

Conventions: returns are simple, one per session, the first one against the initial cash; a year has 252 sessions; the risk-free
rate is 0. A figure that is not defined (no variation, too few sessions) is None, never infinite. Figures that
`empyrical` has too are computed by its formulas, in its order; it is not imported, since that takes longer than a night's backtest.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

SESSIONS_PER_YEAR = 252
BOOTSTRAP_SAMPLES = 2000

_EULER_MASCHERONI = 0.5772156649015329
# Below this many sessions a resampled Sharpe ratio says nothing about the strategy.
LEAST_SESSIONS = 20


def session_returns(equity: np.ndarray, initial_cash: float) -> np.ndarray:
    """Simple returns of each session: float64[T] for float64[T] of closing equity."""
    levels = np.concatenate(([initial_cash], equity))
    return levels[1:] / levels[:-1] - 1.0


def total_return(returns: np.ndarray) -> float | None:
    """Compounded return of the whole run, as a fraction."""
    return _finite(np.nanprod(returns + 1) - 1) if returns.size else None


def cagr(returns: np.ndarray) -> float | None:
    """Compound annual growth: (1 + total return) ** (252 / sessions) − 1."""
    return _finite(np.nanprod(returns + 1) ** (1 / (returns.size / SESSIONS_PER_YEAR)) - 1) if returns.size else None


def max_drawdown(returns: np.ndarray) -> float | None:
    """Deepest fall from a peak of equity, the initial cash included; 0 or negative."""
    if not returns.size:
        return None
    # From 100, as empyrical has it: another start would round otherwise.
    levels = 100 * np.concatenate(([1.0], np.cumprod(np.where(np.isnan(returns), 0.0, returns) + 1)))
    peaks = np.fmax.accumulate(levels)
    return _finite(np.nanmin(((levels - peaks) / peaks)[1:]))


def sharpe(returns: np.ndarray) -> float | None:
    """Mean over sample standard deviation of session returns, times √252."""
    return _finite(_mean(returns) / _deviation(returns) * np.sqrt(SESSIONS_PER_YEAR)) if _varies(returns) else None


def sharpe_per_session(returns: np.ndarray) -> float | None:
    """Mean over sample standard deviation of session returns."""
    return float(returns.mean() / returns.std(ddof=1)) if _varies(returns) else None


def sortino(returns: np.ndarray) -> float | None:
    """Annualised mean over annualised downside deviation (root mean square of returns below 0, over all sessions)."""
    if not _varies(returns) or not bool((returns < 0).any()):
        return None
    downside = np.sqrt(_mean(np.square(np.minimum(returns, 0.0)))) * np.sqrt(SESSIONS_PER_YEAR)
    with np.errstate(divide="ignore"):  # squares of the least losses are 0
        return _finite(_mean(returns) * SESSIONS_PER_YEAR / downside)


def turnover(traded: float, equity: np.ndarray) -> float | None:
    """Value of all fills, both sides, over mean equity, per year of 252 sessions."""
    if not equity.size or not equity.mean() > 0:
        return None
    return _finite(traded / float(equity.mean()) * SESSIONS_PER_YEAR / equity.size)


def win_rate(pnl: np.ndarray) -> float | None:
    """Share of trades with a profit after costs; None without trades."""
    return float((pnl > 0).mean()) if pnl.size else None


def profit_factor(pnl: np.ndarray) -> float | None:
    """Sum of profits over sum of losses; None without a loss."""
    losses = -float(pnl[pnl < 0].sum())
    return float(pnl[pnl > 0].sum()) / losses if losses > 0 else None


def seed_of(run_id: str) -> int:
    """Seed of a run's resampling: the same run gives the same interval."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8], "big")


def sharpe_interval(
    returns: np.ndarray, seed: int, level: float = 0.95, samples: int = BOOTSTRAP_SAMPLES
) -> tuple[float, float] | tuple[None, None]:
    """Percentile interval of the annualised Sharpe ratio by the stationary bootstrap.

    Politis and Romano (1994), JASA 89: blocks of geometric length, wrapped around the end; mean length T^(1/3), the rate that is
    optimal for the variance of a mean. (None, None) for fewer than 20 sessions or returns without variation.
    """
    size = returns.size
    if size < LEAST_SESSIONS or not _varies(returns):
        return None, None
    generator = np.random.Generator(np.random.PCG64(seed))
    ratios = np.empty(samples)
    for k in range(samples):
        sample = returns[_stationary_indices(size, size ** (1 / 3), generator)]
        deviation = sample.std(ddof=1)
        ratios[k] = sample.mean() / deviation if deviation > 0 else 0.0
    tail = (1 - level) / 2
    low, high = np.quantile(ratios * math.sqrt(SESSIONS_PER_YEAR), [tail, 1 - tail])
    return float(low), float(high)


def deflated_sharpe(returns: np.ndarray, trials: int, trial_variance: float | None = None) -> float | None:
    """Probability that the true Sharpe ratio is above what the best of `trials` worthless strategies reaches by luck.

    Bailey and López de Prado (2014), The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), equations 1 and 2.
    trials: number of independent parameter sets ever tried, this one included. trial_variance: variance of their Sharpe ratios per
    session; without it, that of one estimate under the hypothesis, which assumes that the trials differ by luck only.
    Raises ValueError if trials is below 1. None for fewer than 20 sessions or returns without variation.
    """
    if trials < 1:
        raise ValueError(f"deflated_sharpe: trials is {trials}; it counts this run too, so it is at least 1.")
    moments = _moments(returns)
    if moments is None:
        return None
    ratio, skew, kurtosis = moments
    return deflated_sharpe_from_moments(ratio, returns.size, skew, kurtosis, trials, _variance(returns, trial_variance))


def deflated_sharpe_from_moments(
    ratio: float, sessions: int, skew: float, kurtosis: float, trials: int, trial_variance: float
) -> float | None:
    """The deflated Sharpe ratio of a Sharpe ratio per session; `kurtosis` is 3 for normal returns. See `deflated_sharpe`."""
    luck = expected_best_sharpe(trials, trial_variance)
    uncertainty = 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    if not uncertainty > 0:
        return None
    return NormalDist().cdf((ratio - luck) * math.sqrt(sessions - 1) / math.sqrt(uncertainty))


def expected_best_sharpe(trials: int, trial_variance: float) -> float:
    """Expected highest Sharpe ratio per session of that many independent trials whose true ratio is 0; 0 for one trial."""
    if trials == 1:
        return 0.0
    inverse = NormalDist().inv_cdf
    best = (1 - _EULER_MASCHERONI) * inverse(1 - 1 / trials) + _EULER_MASCHERONI * inverse(1 - 1 / (trials * math.e))
    return math.sqrt(trial_variance) * best


def min_track_record(returns: np.ndarray, trials: int, trial_variance: float | None = None, level: float = 0.95) -> float | None:
    """Sessions after which a Sharpe ratio such as this is, with that confidence, above what the best of `trials` reaches by luck.

    Bailey and López de Prado (2012), The Sharpe Ratio Efficient Frontier, Journal of Risk 15(2), with the expected best ratio as
    the one to beat. trials, trial_variance: as for `deflated_sharpe`. None for a ratio that is not above that at all, for fewer
    than 20 sessions and for returns without variation.
    """
    moments = _moments(returns)
    if moments is None:
        return None
    return min_track_record_from_moments(*moments, expected_best_sharpe(trials, _variance(returns, trial_variance)), level)


def min_track_record_from_moments(ratio: float, skew: float, kurtosis: float, to_beat: float, level: float = 0.95) -> float | None:
    """The minimum track record length in sessions of Sharpe ratios per session; `kurtosis` is 3 for normal returns."""
    uncertainty = 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    if not (ratio > to_beat and uncertainty > 0):
        return None
    return 1.0 + uncertainty * (NormalDist().inv_cdf(level) / (ratio - to_beat)) ** 2


def _moments(returns: np.ndarray) -> tuple[float, float, float] | None:
    """Sharpe ratio per session, skew and kurtosis; None for too few sessions or returns without variation."""
    if returns.size < LEAST_SESSIONS or not _varies(returns):
        return None
    ratio = sharpe_per_session(returns)
    centred = returns - returns.mean()
    spread = float((centred**2).mean())
    return float(ratio or 0.0), float((centred**3).mean()) / spread**1.5, float((centred**4).mean()) / spread**2


def _variance(returns: np.ndarray, trial_variance: float | None) -> float:
    """Variance between trials; without one, that of one estimate under the hypothesis."""
    return 1.0 / (returns.size - 1) if trial_variance is None else trial_variance


def longest_losing_streak(pnl: Sequence[float] | np.ndarray) -> int:
    """Greatest number of losing trades in a row."""
    losses = np.concatenate(([0], np.asarray(pnl, dtype=np.float64) < 0, [0]))
    turns = np.flatnonzero(np.diff(losses))
    return int((turns[1::2] - turns[::2]).max(initial=0))


def _stationary_indices(size: int, mean_length: float, generator: np.random.Generator) -> np.ndarray:
    starts = generator.integers(0, size, size)
    fresh = generator.random(size) < 1.0 / mean_length
    fresh[0] = True
    position = np.arange(size)
    block = np.maximum.accumulate(np.where(fresh, position, 0))
    return (starts[block] + position - block) % size


def _mean(values: np.ndarray) -> np.float64:
    """The mean, added up from the first value to the last, as published figures always were; NumPy's own adds in pairs."""
    return np.float64(np.cumsum(values)[-1] / values.size)


def _deviation(values: np.ndarray) -> np.float64:
    """Sample standard deviation, added up in the same order."""
    return np.float64(np.sqrt(np.cumsum(np.square(values - _mean(values)))[-1] / (values.size - 1)))


def _varies(returns: np.ndarray) -> bool:
    return returns.size > 1 and float(returns.std()) > 1e-12


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
