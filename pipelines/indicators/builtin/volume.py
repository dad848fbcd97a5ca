"""Declarations of the indicators that use volume: OBV, VWAP, MFI.

Not here: the arithmetic (`pipelines.indicators.kernels.volume`).
"""

from pipelines.indicators import parameters as p
from pipelines.indicators.model import Indicator, Output, StateField

KERNELS = "pipelines.indicators.kernels.volume"

INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        name="mfi",
        kernel=f"{KERNELS}:mfi",
        inputs=("high", "low", "close", "volume"),
        parameters={"window": p.MFI_WINDOW},
        outputs=(Output("mfi_14", "percent", "Money flow of rising bars as part of all; 0 below a flow of 1.", 0, 100),),
        lookback=p.MFI_WINDOW,
        warm_up=p.MFI_WINDOW + 1,
        formula="100 × Σ tp·volume where tp rose / Σ tp·volume where tp moved, over 14 bars, tp = (high + low + close) / 3",
        source="G. Quong and A. Soudack; conventions of TA-Lib MFI",
    ),
    Indicator(
        name="obv",
        kernel=f"{KERNELS}:obv",
        inputs=("close", "volume"),
        parameters={},
        outputs=(Output("obv", "volume", "Volume of rising closes less that of falling ones; one-minute: this session's."),),
        lookback=1,
        warm_up=1,
        formula="OBV ± volume by the sign of the close's change, begun with the first bar's volume",
        source="J. Granville; conventions of TA-Lib OBV",
        state_fields=(StateField("obv", "volume"),),
    ),
    Indicator(
        name="vwap",
        kernel=f"{KERNELS}:vwap",
        inputs=("high", "low", "close", "volume", "turnover"),
        parameters={},
        outputs=(Output("vwap", "price", "Volume-weighted mean price of the session, up to this bar; NaN if none traded."),),
        lookback=1,
        warm_up=1,
        formula="daily: turnover / volume where the vendor gives turnover; one-minute: Σ tp·volume / Σ volume since the open",
        source="exchange practice",
        state_fields=(StateField("vwap_money", "price_volume"), StateField("vwap_volume", "volume")),
    ),
)
