"""Measures of performance as pure functions of returns.

Lives here: what people ask of a series of returns, by `empyrical` where it is right, else by the formula of its author or Bacon's,
Practical Portfolio Performance Measurement and Attribution (2008), chapters 3 and 4: of one series (`absolute`), or beside a
benchmark (`relative`). Does not live here: the figures that a run publishes, and their conventions (`backtest/statistics.py`).

Arguments: returns and benchmark are simple returns, one a period, float64[T] in order and aligned; NaN is a missing return, left
out with its counterpart. target: the return a period that counts as acceptable. risk_free: a period. periods: how many make a year.
Deviations are of the population (divisor T) unless a function says otherwise. A measure that is not defined, such as a ratio
without a loss, is None, never infinite. Rolling measures are float64[T − window + 1], the first over the first `window` returns.
"""
