"""Risk measures of a portfolio's returns.

Lives here: value at risk, expected shortfall and the tests of their coverage.
Does not live here: positions and fills (`backtest/`), or what is done about a breach (`live/`, `orchestration/`).
"""
