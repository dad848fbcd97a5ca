"""The step kernel: what happens to a portfolio at one bar. Compiled once, used bar by bar (live) and in batch (backtest) alike.

Lives here: `step` (the order of events), fills, levels, corporate events, orders and their sizes, each in its module.
Does not live here: records (`layout`), the state (`state`), frames, statistics, or where costs come from.
"""
