"""Declarations of the bands: Bollinger, Keltner, Donchian.

Not here: the arithmetic (`pipelines.indicators.kernels.bands`).
"""

from pipelines.indicators import parameters as p
from pipelines.indicators.model import Indicator, Output, StateField

KERNELS = "pipelines.indicators.kernels.bands"

INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        name="bollinger",
        kernel=f"{KERNELS}:bollinger",
        inputs=("close",),
        parameters={"window": p.BOLLINGER_WINDOW, "deviations": p.BOLLINGER_DEVIATIONS},
        outputs=(
            Output("bb_upper_20", "price", "Mean of 20 closes plus 2 population standard deviations."),
            Output("bb_middle_20", "price", "Mean of 20 closes, the same number as sma_20."),
            Output("bb_lower_20", "price", "Mean of 20 closes less 2 population standard deviations."),
        ),
        lookback=p.BOLLINGER_WINDOW - 1,
        warm_up=p.BOLLINGER_WINDOW,
        formula="SMA 20 ± 2 √(mean of (close − SMA 20)²)",
        source="J. Bollinger; conventions of TA-Lib BBANDS",
    ),
    Indicator(
        name="keltner",
        kernel=f"{KERNELS}:keltner",
        inputs=("high", "low", "close"),
        parameters={
            "ema_window": p.KELTNER_EMA_WINDOW,
            "atr_window": p.KELTNER_ATR_WINDOW,
            "multiplier": p.KELTNER_MULTIPLIER,
        },
        outputs=(
            Output("keltner_upper_20", "price", "EMA 20 of the close plus 2 × Wilder's ATR 10."),
            Output("keltner_lower_20", "price", "EMA 20 of the close less 2 × Wilder's ATR 10."),
        ),
        lookback=1,
        warm_up=p.KELTNER_EMA_WINDOW,
        formula="EMA 20 ± 2 × ATR 10",
        source="C. Keltner, in L. Raschke's form",
        state_fields=(StateField("keltner_ema", "price"), StateField("keltner_atr", "price")),
    ),
    Indicator(
        name="donchian",
        kernel=f"{KERNELS}:donchian",
        inputs=("high", "low"),
        parameters={"window": p.DONCHIAN_WINDOW},
        outputs=(
            Output("donchian_upper_20", "price", "Highest high of the 20 bars before this one."),
            Output("donchian_lower_20", "price", "Lowest low of the 20 bars before this one."),
        ),
        lookback=p.DONCHIAN_WINDOW,
        warm_up=p.DONCHIAN_WINDOW + 1,
        formula="extremes of bars t − 20 … t − 1, so that a close beyond them is a breakout at t",
        source="R. Donchian",
    ),
)
