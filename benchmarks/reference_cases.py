"""Which columns are compared with whose numbers, and how closely they must agree.

Lives here: the list of comparisons. Does not live here: reading the tables and measuring the difference (`references.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EXACT = 1e-9
"""Relative difference where a reference prints all its digits."""


@dataclass(frozen=True)
class Case:
    """One column against one column of somebody else.

    `choice`: family and parameters, None for a contract column. `start`: first bar compared (from 0), when a different seed
    has died away. A difference is allowed up to atol + rtol × |reference|. `factor` brings the reference into our
    units; `constant`: a constant difference, that of the first bar compared, is taken out. `ties`: bars are left out whose
    26-bar extreme of that price is reached twice. `nulls`: both must be undefined on the same bars. `note`: the difference of
    definition, in words.
    """

    column: str
    reference: str
    table: str
    theirs: str
    choice: tuple[str, Mapping[str, float]] | None = None
    start: int = 0
    rtol: float = 0.0
    atol: float = 0.0
    factor: float = 1.0
    constant: bool = False
    ties: str = ""
    nulls: bool = False
    intraday: bool = False
    note: str = ""

    @property
    def id(self) -> str:
        """Name of the case for tests and pages."""
        return f"{self.column}-{self.reference}-{self.theirs}".replace(" ", "_")


def _talib(column: str, theirs: str) -> Case:
    # Ten significant digits are printed; what stands near zero is printed to about 1e-10.
    return Case(column, "TA-Lib", "AAPL", theirs, rtol=EXACT, atol=EXACT, nulls=True)


def _sharp(column: str, table: str, theirs: str, *, start: int = 0, note: str = "") -> Case:
    loose = bool(note)
    return Case(
        column,
        "Stock.Indicators",
        table,
        theirs.lower(),
        start=start,
        rtol=1e-6 if loose else EXACT,
        atol=1e-6 if loose else EXACT,
        nulls=not loose,
        note=note,
    )


_OBV = "theirs begins with 0, ours (as TA-Lib) with the first bar's volume: a constant, which is taken out"
_SEED = "another seed, compared once it has died away"


def _tulip_case(column: str, table: str, theirs: str, family: str, given: Mapping[str, float], **more: Any) -> Case:
    # Three decimals are printed.
    return Case(column, "Tulip", table, theirs, (family, given), **{"atol": 6e-4, **more})


_FIVE = {"window": 5}
_FIRST_RANGE = "theirs begins with the first bar's high − low, ours (as TA-Lib) with the second bar's true range"
_EMA_SEED = "theirs begins with the first value, ours (as TA-Lib) with a simple mean of the window"

CASES: tuple[Case, ...] = (
    *(
        _talib(ours, theirs)
        for ours, theirs in (
            ("sma_20", "sma_20"),
            ("ema_20", "ema_20"),
            ("wma_20", "wma_20"),
            ("rsi_14", "rsi_14"),
            ("macd", "macd_12_26"),
            ("macd_signal", "macd_signal_9"),
            ("macd_hist", "macd_hist"),
            ("bb_upper_20", "bb_upper_20_2"),
            ("bb_middle_20", "bb_mid"),
            ("bb_lower_20", "bb_lower_20_2"),
            ("atr_14", "atr_14"),
            ("natr_14", "natr_14"),
            ("adx_14", "adx_14"),
            ("plus_di_14", "plus_di_14"),
            ("minus_di_14", "minus_di_14"),
            ("stoch_k", "slowk_14_3"),
            ("stoch_d", "slowd_3"),
            ("cci_20", "cci_20"),
            ("mfi_14", "mfi_14"),
            ("obv", "obv"),
            ("willr_14", "willr_14"),
            ("roc_10", "roc_10"),
            ("psar", "sar_0.02_0.2"),
            ("aroon_up_25 − aroon_down_25", "aroonosc_25"),
        )
    ),
    *(
        _sharp(ours, table, theirs)
        for ours, table, theirs in (
            ("sma_20", "sma", "sma"),
            ("ema_20", "ema", "ema"),
            ("rsi_14", "rsi", "rsi"),
            ("atr_14", "atr", "atr"),
            ("natr_14", "atr", "atrp"),
            ("cci_20", "cci", "cci"),
            ("mfi_14", "mfi", "mfi"),
            ("keltner_upper_20", "keltner", "upperBand"),
            ("keltner_lower_20", "keltner", "lowerBand"),
            ("donchian_upper_20", "donchian", "upperBand"),
            ("donchian_lower_20", "donchian", "lowerBand"),
            ("supertrend_10", "supertrend", "superTrend"),
            ("ichimoku_tenkan", "ichimoku", "tenkanSen"),
            ("ichimoku_kijun", "ichimoku", "kijunSen"),
            ("ichimoku_span_a", "ichimoku", "senkouSpanA"),
            ("ichimoku_span_b", "ichimoku", "senkouSpanB"),
        )
    ),
    Case("vwap", "Stock.Indicators", "vwap", "vwap", rtol=EXACT, nulls=True, intraday=True, note="over one session of 502 bars"),
    Case("wma_14", "Stock.Indicators", "wma", "wma", ("wma", {"window": 14}), rtol=EXACT, nulls=True),
    _sharp("macd", "macd", "macd", start=200, note=_SEED),
    _sharp("macd_signal", "macd", "signal", start=220, note=_SEED),
    _sharp("macd_hist", "macd", "histogram", start=220, note=_SEED),
    _sharp("adx_14", "adx", "adx", start=350, note=_SEED),
    _sharp("plus_di_14", "adx", "pdi", start=350, note=_SEED),
    _sharp("minus_di_14", "adx", "mdi", start=350, note=_SEED),
    _sharp("stoch_k", "stoch", "k", start=17, note="%K of ours begins with %D, as TA-Lib's"),
    _sharp("stoch_d", "stoch", "d", start=17, note="digits as printed"),
    Case(
        "obv",
        "Stock.Indicators",
        "obv",
        "obv",
        constant=True,
        note=_OBV,
    ),
    Case(
        "aroon_up_25",
        "Stock.Indicators",
        "aroon",
        "aroonup",
        atol=EXACT,
        ties="high",
        note="of equal highs theirs takes the first, ours (as TA-Lib) the latest: bars with ties are left out",
    ),
    Case("aroon_down_25", "Stock.Indicators", "aroon", "aroondown", atol=EXACT, ties="low", note="as aroon_up_25, of equal lows"),
    *(
        _tulip_case(ours, table, theirs, family, _FIVE)
        for ours, table, theirs, family in (
            ("sma_5", "sma", "sma", "sma"),
            ("wma_5", "wma", "wma", "wma"),
            ("rsi_5", "rsi", "rsi", "rsi"),
            ("mfi_5", "mfi", "mfi", "mfi"),
            ("willr_5", "willr", "willr", "willr"),
            ("cci_5", "cci", "cci", "cci"),
            ("aroon_up_5", "aroon", "aroon_up", "aroon"),
            ("aroon_down_5", "aroon", "aroon_down", "aroon"),
            ("aroon_up_5 − aroon_down_5", "aroonosc", "aroonosc", "aroon"),
            ("bb_upper_5", "bbands", "upper", "bollinger"),
            ("bb_middle_5", "bbands", "middle", "bollinger"),
            ("bb_lower_5", "bbands", "lower", "bollinger"),
            ("stoch_k_5", "stoch", "stoch_k", "stochastics"),
            ("stoch_d_5", "stoch", "stoch_d", "stochastics"),
            ("plus_di_5", "di", "plus_di", "adx"),
            ("minus_di_5", "di", "minus_di", "adx"),
        )
    ),
    _tulip_case("roc_5", "roc", "roc", "roc", _FIVE, factor=100.0, atol=6e-2, note="theirs is a fraction, printed to 0.001"),
    _tulip_case(
        "stoch_rsi_5_1",
        "stochrsi",
        "stochrsi",
        "stoch_rsi",
        {"window": 5, "smooth": 1},
        factor=100.0,
        atol=6e-2,
        note="theirs is a fraction, printed to 0.001",
    ),
    _tulip_case("psar_0p2_2", "psar", "psar", "psar", {"step": 0.2, "limit": 2}),
    _tulip_case("atr_5", "atr", "atr", "atr", _FIVE, atol=0.052, note=_FIRST_RANGE),
    _tulip_case("natr_5", "natr", "natr", "natr", _FIVE, atol=0.062, note=_FIRST_RANGE),
    _tulip_case("adx_5", "adx", "adx", "adx", _FIVE, atol=1.8, note="as atr_5; a test of 15 bars, so the seed has not died away"),
    _tulip_case("ema_5", "ema", "ema", "ema", _FIVE, atol=0.29, note=_EMA_SEED),
    _tulip_case("trix_5", "trix", "trix", "trix", _FIVE, atol=0.12, note=_EMA_SEED),
    *(
        _tulip_case(f"{ours}_2_5_9", "macd", theirs, "macd", {"fast": 2, "slow": 5, "signal": 9}, atol=0.024, note=_EMA_SEED)
        for ours, theirs in (("macd", "macd"), ("macd_signal", "signal"), ("macd_hist", "histogram"))
    ),
    Case("obv", "Tulip", "obv", "obv", constant=True, atol=EXACT, note=_OBV),
    Case("obv", "Lean", "spy_with_obv.txt", "obv", constant=True, atol=2e3, note=f"{_OBV}; volumes are printed to seven digits"),
    Case("rsi_14", "Lean", "spy_with_indicators.txt", "rsi 14 wilder", atol=1e-4),
    Case("sma_14", "Lean", "spy_with_indicators.txt", "sma14", ("sma", {"window": 14}), atol=6e-3),
    Case("ema_14", "Lean", "spy_with_indicators.txt", "ema14", ("ema", {"window": 14}), start=100, atol=6e-3, note=_SEED),
    Case("ema_14", "Lean", "spy_ema.csv", "ema14", ("ema", {"window": 14}), rtol=1e-9, atol=1e-9),
    Case("macd", "Lean", "spy_with_indicators.txt", "macd 12 26", start=150, atol=1e-2, note=_SEED),
    Case("macd", "Lean", "spy_with_macd.txt", "macd", start=150, atol=6e-3, note=_SEED),
    Case("macd_signal", "Lean", "spy_with_macd.txt", "signal", start=170, atol=6e-3, note=_SEED),
    Case("macd_hist", "Lean", "spy_with_macd.txt", "histogram", start=170, atol=6e-3, note=_SEED),
    Case(
        "sma_5",
        "Lean",
        "spy_with_rma.csv",
        "sma15",
        ("sma", {"window": 5}),
        atol=6e-8,
        note="the table's headings SMA5 and SMA15 are swapped",
    ),
    Case("sma_10", "Lean", "spy_with_rma.csv", "sma10", ("sma", {"window": 10}), atol=6e-8),
    Case("sma_15", "Lean", "spy_with_rma.csv", "sma5", ("sma", {"window": 15}), atol=6e-8, note="as sma_5"),
    Case("cci_14", "Lean", "spy_with_cci.txt", "commodity channel index (cci) 14", ("cci", {"window": 14}), atol=3e-3),
    Case("mfi_20", "Lean", "spy_mfi.txt", "money flow index 20", ("mfi", {"window": 20}), atol=1e-3),
    Case(
        "aroon_up_14 − aroon_down_14",
        "Lean",
        "spy_aroon_oscillator.txt",
        "aroon oscillator 14",
        ("aroon", {"window": 14}),
        atol=1e-4,
    ),
    Case(
        "stoch_k_12_3_5",
        "Lean",
        "spy_with_stoch12k3.txt",
        "stochastics 12 %k 3",
        ("stochastics", {"window": 12, "smooth_k": 3, "smooth_d": 5}),
        atol=5e-4,
    ),
    Case(
        "stoch_d_12_3_5",
        "Lean",
        "spy_with_stoch12k3.txt",
        "%d 5",
        ("stochastics", {"window": 12, "smooth_k": 3, "smooth_d": 5}),
        atol=5e-4,
    ),
    Case("atr_14", "Lean", "spy_atr_wilder.txt", "average true range 14", start=120, rtol=1e-3, note=_SEED),
    Case("adx_14", "Lean", "spy_with_adx.txt", "adx 14", start=150, rtol=1e-3, note=_SEED),
    Case("plus_di_14", "Lean", "spy_with_adx.txt", "+di14", start=150, rtol=1e-3, note=_SEED),
    Case("minus_di_14", "Lean", "spy_with_adx.txt", "-di14", start=150, rtol=1e-3, note=_SEED),
    Case("ichimoku_tenkan", "Lean", "spy_with_ichimoku.csv", "tenkan", atol=1e-6),
    Case("ichimoku_kijun", "Lean", "spy_with_ichimoku.csv", "kijun", atol=1e-6),
    Case("cci_20", "StockCharts", "cs-cci.csv", "cci", atol=2e-2, note="computed from means rounded to four digits"),
    Case("mfi_14", "StockCharts", "cs-mfi.csv", "mfi", atol=1e-4),
    Case("roc_12", "StockCharts", "cs-roc.csv", "roc", ("roc", {"window": 12}), atol=1e-8),
    Case("willr_14", "StockCharts", "cs-percentr.csv", "williams_%r", start=13, atol=1e-5),
    Case("stoch_k", "StockCharts", "cs-soo.csv", "so_sig", start=15, atol=1e-4),
    Case("donchian_upper_20", "StockCharts", "cs-dc2.csv", "upper_band", atol=EXACT),
    Case("donchian_lower_20", "StockCharts", "cs-dc2.csv", "lower_band", atol=EXACT),
    Case("adx_14", "StockCharts", "cs-adx.csv", "adx", start=200, rtol=1e-4, note=_SEED),
    Case("plus_di_14", "StockCharts", "cs-adx.csv", "+di14", start=200, rtol=1e-5, note=_SEED),
    Case("minus_di_14", "StockCharts", "cs-adx.csv", "-di14", start=200, rtol=1e-5, note=_SEED),
    Case("psar", "StockCharts", "cs-psar.csv", "psar_up", atol=1e-6),
    Case(
        "psar",
        "StockCharts",
        "cs-psar.csv",
        "psar_down",
        start=8,
        atol=1e-6,
        note="theirs begins with the first bar's high as the stop",
    ),
)
