"""Indicators with parameters of one's own choice: `rsi_7`, `sma_100`, Bollinger bands of 50 bars, without writing code.

Here: what may be chosen (`families`) and reading the file that chooses (`file`). Loads without numba.

Not here: the arithmetic (`pipelines.indicators.kernels.custom_*`), the contract's own columns (`pipelines.indicators.builtin`).
"""
