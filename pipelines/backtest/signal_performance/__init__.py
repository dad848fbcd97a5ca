"""The track record: what became of the signals that scanners issued, and how that compares with chance.

Lives here: outcomes of signals by horizon, the base rate beside them, and the figures of each scanner.
Does not live here: portfolios (`backtest/portfolio.py`), making signals (`scanners/`). Only `update.py` reads the lake; nothing
here reads a clock, and the bootstrap's seed follows from what is counted.
"""
