"""Declarations of the moving averages and their derivatives: SMA, EMA, WMA, MACD, TRIX.

Not here: the arithmetic (`pipelines.indicators.kernels.averages`).
"""

from pipelines.indicators import parameters as p
from pipelines.indicators.model import Indicator, Output, StateField

KERNELS = "pipelines.indicators.kernels.averages"

INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        name="sma",
        kernel=f"{KERNELS}:sma",
        inputs=("close",),
        parameters={f"window_{n}": n for n in p.SMA_WINDOWS},
        outputs=tuple(Output(f"sma_{n}", "price", f"Simple mean of the last {n} closes.") for n in p.SMA_WINDOWS),
        lookback=max(p.SMA_WINDOWS) - 1,
        warm_up=min(p.SMA_WINDOWS),
        formula="sum of the last n closes / n",
        source="TA-Lib SMA",
    ),
    Indicator(
        name="ema",
        kernel=f"{KERNELS}:ema",
        inputs=("close",),
        parameters={f"window_{n}": n for n in p.EMA_WINDOWS},
        outputs=tuple(Output(f"ema_{n}", "price", f"Exponential mean of the close, weight 2/{n + 1}.") for n in p.EMA_WINDOWS),
        lookback=0,
        warm_up=min(p.EMA_WINDOWS),
        formula="y + (close − y) × 2 / (n + 1), begun as the simple mean of the first n closes",
        source="TA-Lib EMA",
        state_fields=tuple(StateField(f"ema_{n}", "price") for n in p.EMA_WINDOWS),
    ),
    Indicator(
        name="wma",
        kernel=f"{KERNELS}:wma",
        inputs=("close",),
        parameters={"window": p.WMA_WINDOW},
        outputs=(Output("wma_20", "price", "Mean of the last 20 closes with weights 1 … 20, the newest weighing 20."),),
        lookback=p.WMA_WINDOW - 1,
        warm_up=p.WMA_WINDOW,
        formula="Σ k × close / Σ k, k = 1 (oldest) … n (newest)",
        source="TA-Lib WMA",
    ),
    Indicator(
        name="macd",
        kernel=f"{KERNELS}:macd",
        inputs=("close",),
        parameters={"fast": p.MACD_FAST, "slow": p.MACD_SLOW, "signal": p.MACD_SIGNAL},
        outputs=(
            Output("macd", "price", "EMA 12 of the close less EMA 26, both first valued on bar 26."),
            Output("macd_signal", "price", "EMA 9 of macd."),
            Output("macd_hist", "price", "macd less macd_signal."),
        ),
        lookback=0,
        warm_up=p.MACD_SLOW + p.MACD_SIGNAL - 1,
        formula="EMA 12 − EMA 26 and its EMA 9; the fast EMA is seeded on bars 15 … 26, all columns begin on bar 34",
        source="G. Appel; conventions of TA-Lib MACD",
        state_fields=tuple(StateField(name, "price") for name in ("macd_fast", "macd_slow", "macd_signal")),
    ),
    Indicator(
        name="trix",
        kernel=f"{KERNELS}:trix",
        inputs=("close",),
        parameters={"window": p.TRIX_WINDOW},
        outputs=(Output("trix_15", "percent", "One-bar change of the triple EMA 15 of the close."),),
        lookback=0,
        warm_up=3 * (p.TRIX_WINDOW - 1) + 2,
        formula="100 × (e3 / previous e3 − 1), e3 the EMA of the EMA of the EMA; 0 where the previous is 0",
        source="J. Hutson; conventions of TA-Lib TRIX",
        state_fields=tuple(StateField(f"trix_ema_{n}", "price") for n in (1, 2, 3)),
    ),
)
