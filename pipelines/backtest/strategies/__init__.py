"""Strategies as files: what a person writes down, and its run on a lake.

Lives here: the file (`file`), reading it (`reading`), how its orders are placed (`order_plan`), its run (`run`).
Does not live here: what happens at a bar (`backtest/engine/`), the run of arrays (`portfolio`).
"""
