"""The built-in indicators: what each computes, from which source, in which units and with how much memory.

`INDICATORS` lists them; `COLUMNS` is the order in which their columns are published. Loads without numba.

Not here: the arithmetic (`pipelines.indicators.kernels`).
"""

from pipelines.indicators.builtin import averages, bands, momentum, trend, volume
from pipelines.indicators.model import Indicator

INDICATORS: tuple[Indicator, ...] = (
    *averages.INDICATORS,
    *momentum.INDICATORS,
    *trend.INDICATORS,
    *bands.INDICATORS,
    *volume.INDICATORS,
)

_ORDER = """
sma_20 sma_50 sma_200 ema_12 ema_20 ema_26 ema_50 wma_20 macd macd_signal macd_hist rsi_14 stoch_k stoch_d stoch_rsi_14
cci_20 willr_14 roc_10 mfi_14 atr_14 natr_14 adx_14 plus_di_14 minus_di_14 aroon_up_25 aroon_down_25 bb_upper_20
bb_middle_20 bb_lower_20 keltner_upper_20 keltner_lower_20 donchian_upper_20 donchian_lower_20 supertrend_10
supertrend_direction_10 psar ichimoku_tenkan ichimoku_kijun ichimoku_span_a ichimoku_span_b obv vwap trix_15 cmo_14
"""

COLUMNS: tuple[str, ...] = tuple(_ORDER.split())
"""Published order: part of the contract with everyone who reads the tables; plug-ins come after it."""
