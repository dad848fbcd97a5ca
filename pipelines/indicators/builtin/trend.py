"""Declarations of range and direction: ATR, ADX, Aroon, Supertrend, Parabolic SAR, Ichimoku.

Not here: the arithmetic (`pipelines.indicators.kernels.trend`).
"""

from pipelines.indicators import parameters as p
from pipelines.indicators.model import Indicator, Output, StateField

KERNELS = "pipelines.indicators.kernels.trend"

INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        name="atr",
        kernel=f"{KERNELS}:atr",
        inputs=("high", "low", "close"),
        parameters={"window": p.ATR_WINDOW},
        outputs=(
            Output("atr_14", "price", "Wilder's mean of the true range.", 0),
            Output("natr_14", "percent", "atr_14 as part of the close; 0 where the close is 0."),
        ),
        lookback=1,
        warm_up=p.ATR_WINDOW + 1,
        formula="TR = max(high, close before) − min(low, close before); ATR = (13 × ATR + TR) / 14, begun as a mean of 14",
        source="J. W. Wilder; conventions of TA-Lib ATR and NATR",
        state_fields=(StateField("atr", "price"),),
    ),
    Indicator(
        name="adx",
        kernel=f"{KERNELS}:adx",
        inputs=("high", "low", "close"),
        parameters={"window": p.ADX_WINDOW},
        outputs=(
            Output("adx_14", "percent", "Wilder's mean of the distance of the two directional lines.", 0, 100),
            Output("plus_di_14", "percent", "Upward directional movement in the true range.", 0, 100),
            Output("minus_di_14", "percent", "Downward directional movement in the true range.", 0, 100),
        ),
        lookback=1,
        warm_up=p.ADX_WINDOW + 1,
        formula="DI = 100 × Wilder sum of ±DM / Wilder sum of TR; ADX = Wilder mean of 100 |+DI − −DI| / (+DI + −DI)",
        source="J. W. Wilder; conventions of TA-Lib ADX, PLUS_DI, MINUS_DI",
        state_fields=(
            StateField("adx_true_range", "price"),
            StateField("adx_plus_dm", "price"),
            StateField("adx_minus_dm", "price"),
            StateField("adx", "ratio"),
        ),
    ),
    Indicator(
        name="aroon",
        kernel=f"{KERNELS}:aroon",
        inputs=("high", "low"),
        parameters={"window": p.AROON_WINDOW},
        outputs=(
            Output("aroon_up_25", "percent", "100 when this bar made the highest high of 26, 4 less per bar since.", 0, 100),
            Output("aroon_down_25", "percent", "100 when this bar made the lowest low of 26, 4 less per bar since.", 0, 100),
        ),
        lookback=p.AROON_WINDOW,
        warm_up=p.AROON_WINDOW + 1,
        formula="100 (25 − bars since the extreme of 26 bars) / 25, the latest of equal extremes",
        source="T. Chande; conventions of TA-Lib AROON",
    ),
    Indicator(
        name="supertrend",
        kernel=f"{KERNELS}:supertrend",
        inputs=("high", "low", "close"),
        parameters={"window": p.SUPERTREND_WINDOW, "multiplier": p.SUPERTREND_MULTIPLIER},
        outputs=(
            Output("supertrend_10", "price", "The trailing line: below the price in an up-trend, above it in a down-trend."),
            Output("supertrend_direction_10", "ratio", "+1 while the line supports the price, −1 while it caps it.", -1, 1),
        ),
        lookback=1,
        warm_up=p.SUPERTREND_WINDOW + 1,
        formula="(high + low) / 2 ± 3 × Wilder ATR 10, each band only tightening until the close before has broken it",
        source="O. Seban",
        state_fields=(
            StateField("supertrend_atr", "price"),
            StateField("supertrend_upper", "price"),
            StateField("supertrend_lower", "price"),
            StateField("supertrend_direction", "ratio"),
        ),
    ),
    Indicator(
        name="psar",
        kernel=f"{KERNELS}:psar",
        inputs=("high", "low"),
        parameters={"step": p.PSAR_STEP, "limit": p.PSAR_LIMIT},
        outputs=(Output("psar", "price", "Parabolic stop-and-reverse in force at the bar."),),
        lookback=1,
        warm_up=2,
        formula="SAR + AF (EP − SAR), kept outside the last two bars' range; AF 0.02, + 0.02 per new extreme, at most 0.2",
        source="J. W. Wilder; conventions of TA-Lib SAR",
        state_fields=(
            StateField("psar_side", "ratio"),
            StateField("psar_sar", "price"),
            StateField("psar_extreme", "price"),
            StateField("psar_speed", "ratio"),
        ),
    ),
    Indicator(
        name="ichimoku",
        kernel=f"{KERNELS}:ichimoku",
        inputs=("high", "low"),
        parameters={
            "tenkan": p.ICHIMOKU_TENKAN,
            "kijun": p.ICHIMOKU_KIJUN,
            "span_b": p.ICHIMOKU_SPAN_B,
            "shift": p.ICHIMOKU_SHIFT,
        },
        outputs=(
            Output("ichimoku_tenkan", "price", "Middle of the range of 9 bars."),
            Output("ichimoku_kijun", "price", "Middle of the range of 26 bars."),
            Output("ichimoku_span_a", "price", "Middle of tenkan and kijun of 26 bars before, as drawn at this bar."),
            Output("ichimoku_span_b", "price", "Middle of the range of 52 bars as it was 26 bars before, as drawn here."),
        ),
        lookback=p.ICHIMOKU_SPAN_B - 1 + p.ICHIMOKU_SHIFT,
        warm_up=p.ICHIMOKU_TENKAN,
        formula="(highest high + lowest low) / 2 over 9, 26 and 52 bars; the leading spans are shown 26 bars later",
        source="G. Hosoda",
    ),
)
