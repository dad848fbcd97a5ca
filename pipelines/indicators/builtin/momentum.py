"""Declarations of the oscillators: RSI with CMO and Stochastic RSI, Stochastics, Williams %R, CCI, ROC.

Not here: the arithmetic (`pipelines.indicators.kernels.momentum`).
"""

from pipelines.indicators import parameters as p
from pipelines.indicators.model import Indicator, Output, StateField

KERNELS = "pipelines.indicators.kernels.momentum"

INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        name="rsi",
        kernel=f"{KERNELS}:rsi",
        inputs=("close",),
        parameters={"window": p.RSI_WINDOW, "stoch_window": p.STOCH_RSI_WINDOW, "stoch_smooth": p.STOCH_RSI_SMOOTH},
        outputs=(
            Output("rsi_14", "percent", "Relative strength: gains' share of gains and losses; 0 where neither.", 0, 100),
            Output("stoch_rsi_14", "percent", "%K (SMA 3) of rsi_14 within its last 14 values.", 0, 100),
            Output("cmo_14", "percent", "Chande momentum of the same Wilder means; 0 where neither.", -100, 100),
        ),
        lookback=1,
        warm_up=p.RSI_WINDOW + 1,
        formula=(
            "g, l = Wilder means of gains and losses; RSI = 100 g / (g + l); CMO = 100 (g − l) / (g + l); "
            "Stochastic RSI = SMA 3 of 100 (RSI − lowest) / (highest − lowest) over 14 RSI values"
        ),
        source="J. W. Wilder (RSI), T. Chande (CMO, Stochastic RSI); conventions of TA-Lib RSI and CMO",
        state_fields=(
            StateField("rsi_gain", "price"),
            StateField("rsi_loss", "price"),
            *(StateField(f"rsi_lag_{k}", "ratio") for k in range(p.STOCH_RSI_LAGS, 0, -1)),
        ),
    ),
    Indicator(
        name="stochastics",
        kernel=f"{KERNELS}:stochastics",
        inputs=("high", "low", "close"),
        parameters={"window": p.STOCH_WINDOW, "smooth_k": p.STOCH_SMOOTH_K, "smooth_d": p.STOCH_SMOOTH_D},
        outputs=(
            Output("stoch_k", "percent", "Slow %K: SMA 3 of the close's place in the range of 14 bars.", 0, 100),
            Output("stoch_d", "percent", "Slow %D: SMA 3 of stoch_k.", 0, 100),
        ),
        lookback=p.STOCH_WINDOW - 1 + p.STOCH_SMOOTH_K - 1 + p.STOCH_SMOOTH_D - 1,
        warm_up=p.STOCH_WINDOW + p.STOCH_SMOOTH_K - 1 + p.STOCH_SMOOTH_D - 1,
        formula="SMA 3 of 100 (close − lowest low) / (highest high − lowest low), and SMA 3 of that; 0 where no range",
        source="G. Lane; conventions of TA-Lib STOCH with simple means",
    ),
    Indicator(
        name="willr",
        kernel=f"{KERNELS}:willr",
        inputs=("high", "low", "close"),
        parameters={"window": p.WILLR_WINDOW},
        outputs=(Output("willr_14", "percent", "Williams %R: the close below the highest high, in the range.", -100, 0),),
        lookback=p.WILLR_WINDOW - 1,
        warm_up=p.WILLR_WINDOW,
        formula="−100 (highest high − close) / (highest high − lowest low); 0 where there is no range",
        source="L. Williams; conventions of TA-Lib WILLR",
    ),
    Indicator(
        name="cci",
        kernel=f"{KERNELS}:cci",
        inputs=("high", "low", "close"),
        parameters={"window": p.CCI_WINDOW, "factor": p.CCI_FACTOR},
        outputs=(Output("cci_20", "ratio", "Distance of the typical price from its mean, in mean deviations / 0.015."),),
        lookback=p.CCI_WINDOW - 1,
        warm_up=p.CCI_WINDOW,
        formula="(tp − mean tp) / (0.015 × mean |tp − mean tp|), tp = (high + low + close) / 3; 0 where tp is constant",
        source="D. Lambert; conventions of TA-Lib CCI",
    ),
    Indicator(
        name="roc",
        kernel=f"{KERNELS}:roc",
        inputs=("close",),
        parameters={"window": p.ROC_WINDOW},
        outputs=(Output("roc_10", "percent", "Change of the close over ten bars."),),
        lookback=p.ROC_WINDOW,
        warm_up=p.ROC_WINDOW + 1,
        formula="100 (close / close ten bars before − 1); 0 where that was 0",
        source="TA-Lib ROC",
    ),
)
