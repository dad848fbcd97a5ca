"""Backtests: signals and bars in, trades, equity and statistics out.

Lives here: the step kernel that a backtest and the paper broker share, the portfolio run around it, costs, and statistics of a run.
Does not live here: reading the lake, making signals (`scanners/`), risk measures (`risk/`) or drawing (`reports/`). Nothing in this
package reads a clock, a file of the lake or a source of randomness: the same arguments give the same result, bit for bit.
"""
