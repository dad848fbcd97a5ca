"""Measures of returns beside those of a benchmark.

Lives here: what needs two series. Does not live here: measures of one (`absolute`), whose conventions hold here too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pipelines.backtest.measures.absolute import (
    PERIODS,
    annual_excess,
    annual_return,
    downside_deviation,
    finite,
    mean_of,
    over,
    windows_of,
)

_Measure = Callable[[np.ndarray, np.ndarray], float | None]


def beta(returns: np.ndarray, benchmark: np.ndarray, risk_free: float = 0.0) -> float | None:
    """Slope of the returns above the risk-free one on those of the benchmark; None for fewer than two pairs."""
    from empyrical import beta_aligned

    return finite(beta_aligned(*_pairs(returns, benchmark), risk_free))


def alpha(returns: np.ndarray, benchmark: np.ndarray, risk_free: float = 0.0, periods: int = PERIODS) -> float | None:
    """What beta leaves of the mean return, compounded to a year."""
    from empyrical import alpha_aligned

    return finite(alpha_aligned(*_pairs(returns, benchmark), risk_free, annualization=periods))


def down_alpha_beta(returns: np.ndarray, benchmark: np.ndarray, periods: int = PERIODS) -> tuple[float | None, float | None]:
    """Alpha and beta over the periods in which the benchmark fell."""
    ours, theirs = _pairs(returns, benchmark)
    fell = theirs < 0
    return alpha(ours[fell], theirs[fell], periods=periods), beta(ours[fell], theirs[fell])


def up_alpha_beta(returns: np.ndarray, benchmark: np.ndarray, periods: int = PERIODS) -> tuple[float | None, float | None]:
    """Alpha and beta over the periods in which the benchmark rose."""
    ours, theirs = _pairs(returns, benchmark)
    rose = theirs > 0
    return alpha(ours[rose], theirs[rose], periods=periods), beta(ours[rose], theirs[rose])


def up_capture(returns: np.ndarray, benchmark: np.ndarray, periods: int = PERIODS) -> float | None:
    """Annual return over the benchmark's, both over the periods in which the benchmark rose."""
    ours, theirs = _pairs(returns, benchmark)
    return _capture(ours[theirs > 0], theirs[theirs > 0], periods)


def down_capture(returns: np.ndarray, benchmark: np.ndarray, periods: int = PERIODS) -> float | None:
    """Annual return over the benchmark's, both over the periods in which the benchmark fell."""
    ours, theirs = _pairs(returns, benchmark)
    return _capture(ours[theirs < 0], theirs[theirs < 0], periods)


def up_down_capture(returns: np.ndarray, benchmark: np.ndarray, periods: int = PERIODS) -> float | None:
    """Up capture over down capture."""
    up, down = up_capture(returns, benchmark, periods), down_capture(returns, benchmark, periods)
    return None if up is None or not down else up / down


def rolling_beta(returns: np.ndarray, benchmark: np.ndarray, window: int) -> np.ndarray:
    """Beta of each window, NaN where it is not defined."""
    return _rolling(beta, returns, benchmark, window)


def rolling_up_capture(returns: np.ndarray, benchmark: np.ndarray, window: int, periods: int = PERIODS) -> np.ndarray:
    """Up capture of each window, NaN where it is not defined."""
    return _rolling(lambda a, b: up_capture(a, b, periods), returns, benchmark, window)


def rolling_down_capture(returns: np.ndarray, benchmark: np.ndarray, window: int, periods: int = PERIODS) -> np.ndarray:
    """Down capture of each window, NaN where it is not defined."""
    return _rolling(lambda a, b: down_capture(a, b, periods), returns, benchmark, window)


def rolling_up_down_capture(returns: np.ndarray, benchmark: np.ndarray, window: int, periods: int = PERIODS) -> np.ndarray:
    """Up capture over down capture of each window, NaN where it is not defined."""
    return _rolling(lambda a, b: up_down_capture(a, b, periods), returns, benchmark, window)


def jensen_alpha(returns: np.ndarray, benchmark: np.ndarray, risk_free: float = 0.0, periods: int = PERIODS) -> float | None:
    """Annual return above the risk-free one, less beta times the benchmark's (Jensen 1968)."""
    slope = beta(returns, benchmark, risk_free)
    ours, theirs = (annual_excess(side, risk_free, periods) for side in _pairs(returns, benchmark))
    return None if slope is None or ours is None or theirs is None else ours - slope * theirs


def fama_beta(returns: np.ndarray, benchmark: np.ndarray) -> float | None:
    """Deviation of the returns over that of the benchmark: the beta that total risk would need (Fama 1972)."""
    ours, theirs = _pairs(returns, benchmark)
    return over(float(ours.std()), float(theirs.std())) if ours.size else None


def net_selectivity(returns: np.ndarray, benchmark: np.ndarray, risk_free: float = 0.0, periods: int = PERIODS) -> float | None:
    """Jensen's alpha less what diversifiable risk should have earned: (Fama's beta − beta) times the benchmark's excess."""
    selectivity, total, slope = (
        jensen_alpha(returns, benchmark, risk_free, periods),
        fama_beta(returns, benchmark),
        beta(returns, benchmark, risk_free),
    )
    theirs = annual_excess(_pairs(returns, benchmark)[1], risk_free, periods)
    if selectivity is None or total is None or slope is None or theirs is None:
        return None
    return selectivity - (total - slope) * theirs


def systematic_risk(returns: np.ndarray, benchmark: np.ndarray, periods: int = PERIODS) -> float | None:
    """Beta times the benchmark's deviation a year."""
    slope = beta(returns, benchmark)
    return None if slope is None else slope * float(_pairs(returns, benchmark)[1].std()) * math.sqrt(periods)


def modified_treynor(returns: np.ndarray, benchmark: np.ndarray, risk_free: float = 0.0, periods: int = PERIODS) -> float | None:
    """Annual return above the risk-free one over systematic risk."""
    return over(annual_excess(_pairs(returns, benchmark)[0], risk_free, periods), systematic_risk(returns, benchmark, periods))


def m_squared(returns: np.ndarray, benchmark: np.ndarray, risk_free: float = 0.0, periods: int = PERIODS) -> float | None:
    """Annual return that the portfolio would have had at the benchmark's risk (Modigliani and Modigliani 1997)."""
    ours, theirs = _pairs(returns, benchmark)
    excess = annual_excess(ours, risk_free, periods)
    per_risk = None if excess is None else over(excess, float(ours.std()))
    return None if per_risk is None else per_risk * float(theirs.std()) + (1.0 + risk_free) ** periods - 1.0


def m_squared_excess(returns: np.ndarray, benchmark: np.ndarray, risk_free: float = 0.0, periods: int = PERIODS) -> float | None:
    """M² over the benchmark's annual return, geometrically: (1 + M²) / (1 + benchmark) − 1."""
    ours, theirs = m_squared(returns, benchmark, risk_free, periods), annual_return(_pairs(returns, benchmark)[1], periods)
    return None if ours is None or theirs is None else (1.0 + ours) / (1.0 + theirs) - 1.0


def m2_sortino(returns: np.ndarray, benchmark: np.ndarray, target: float = 0.0, periods: int = PERIODS) -> float | None:
    """Annual return plus Sortino ratio (a period) times the benchmark's annual downside deviation less one's own."""
    ours, theirs = _pairs(returns, benchmark)
    grown, own, other = annual_return(ours, periods), downside_deviation(ours, target), downside_deviation(theirs, target)
    mean = mean_of(ours)
    if grown is None or mean is None or own is None or other is None or own == 0.0:
        return None
    return grown + (mean - target) / own * (other - own) * math.sqrt(periods)


def _pairs(returns: np.ndarray, benchmark: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of which both are known. Raises ValueError for series of different length."""
    ours, theirs = (np.asarray(side, dtype=np.float64) for side in (returns, benchmark))
    if ours.size != theirs.size:
        raise ValueError(f"{ours.size} returns beside {theirs.size} of the benchmark; give aligned series.")
    known = ~(np.isnan(ours) | np.isnan(theirs))
    return ours[known], theirs[known]


def _capture(ours: np.ndarray, theirs: np.ndarray, periods: int) -> float | None:
    up, base = annual_return(ours, periods), annual_return(theirs, periods)
    return None if up is None or not base else finite(up / base)


def _rolling(measure: _Measure, returns: np.ndarray, benchmark: np.ndarray, window: int) -> np.ndarray:
    parts = zip(windows_of(returns, window), windows_of(benchmark, window), strict=True)
    return np.array([math.nan if (value := measure(*part)) is None else value for part in parts], dtype=np.float64)
