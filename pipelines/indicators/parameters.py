"""The numbers behind the column names: windows, multipliers and factors, each said once.

Both the compiled kernels and the registry read them from here. A kernel freezes them at compile time; the compile cache is
keyed by the source of this package (`jit.cache_dir`), so a changed number can never meet an old binary.

Not here: formulas (`kernels`) and what the outputs mean (`builtin`).
"""

SMA_WINDOWS = (20, 50, 200)
EMA_WINDOWS = (12, 20, 26, 50)
WMA_WINDOW = 20

MACD_FAST = 12
MACD_SLOW = 26
MACD_SIGNAL = 9
TRIX_WINDOW = 15

RSI_WINDOW = 14
STOCH_RSI_WINDOW = 14
STOCH_RSI_SMOOTH = 3
STOCH_RSI_LAGS = STOCH_RSI_WINDOW + STOCH_RSI_SMOOTH - 2
"""RSI values that the next bar's Stochastic RSI still needs; they depend on all history, so they are carried as state."""

STOCH_WINDOW = 14
STOCH_SMOOTH_K = 3
STOCH_SMOOTH_D = 3
WILLR_WINDOW = 14
CCI_WINDOW = 20
CCI_FACTOR = 0.015
ROC_WINDOW = 10
MFI_WINDOW = 14

ATR_WINDOW = 14
ADX_WINDOW = 14
AROON_WINDOW = 25

BOLLINGER_WINDOW = 20
BOLLINGER_DEVIATIONS = 2.0
KELTNER_EMA_WINDOW = 20
KELTNER_ATR_WINDOW = 10
KELTNER_MULTIPLIER = 2.0
DONCHIAN_WINDOW = 20

SUPERTREND_WINDOW = 10
SUPERTREND_MULTIPLIER = 3.0
PSAR_STEP = 0.02
PSAR_LIMIT = 0.2
ICHIMOKU_TENKAN = 9
ICHIMOKU_KIJUN = 26
ICHIMOKU_SPAN_B = 52
ICHIMOKU_SHIFT = 26

BARS_SEEN_LIMIT = 1000
"""`bars_seen` stops counting here: beyond it every recursion has forgotten its seed, and the column stays small."""

ZERO = 1e-14
"""Below this a denominator counts as zero, as in TA-Lib, so that both print 0 on the same bars."""
