"""How fast are the kernels alone, beside TA-Lib, polars_talib, polars' own expressions and pandas-ta-classic, on the same bars?

Not here: reading and writing (`parquet`), the build (`build`).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from benchmarks.tables import Table, interleaved, random_bars, ratio
from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.builtin import INDICATORS
from pipelines.indicators.engine import compute
from pipelines.indicators.registry import Registry

INSTRUMENTS, BARS, ROUNDS = 100, 5_000, 7
FEW = 4
"""Instruments given to pandas-ta-classic, which takes seconds for what the others do in milliseconds."""

TARGETS = {"TA-Lib": "≥ 1.0", "polars_talib": "≥ 3", "polars expressions": "–", "pandas-ta-classic": "≥ 50"}
OURS_ALONE = {"keltner", "donchian", "supertrend", "ichimoku", "vwap"}
"""What the peers lack or define otherwise; left out of the comparison."""

SHARED = Registry([indicator for indicator in INDICATORS if indicator.name not in OURS_ALONE])
OUR_COLUMNS = len(SHARED.columns())


def run() -> Table:
    """Ratios of time per bar and column."""
    bars = random_bars(INSTRUMENTS, BARS)
    few = random_bars(FEW, BARS)
    buffer = np.empty((OUR_COLUMNS, INSTRUMENTS * BARS))
    tasks: dict[str, Callable[[], object]] = {
        "marketlake": lambda: compute(bars, registry=SHARED, buffer=buffer, keep_state="last")
    }
    columns, sizes = {"marketlake": OUR_COLUMNS}, {"marketlake": INSTRUMENTS * BARS}
    missing = []
    for name, make, given in (
        ("TA-Lib", _talib, bars),
        ("polars_talib", _polars_talib, bars),
        ("polars expressions", _polars, bars),
        ("pandas-ta-classic", _pandas_ta, few),
    ):
        try:
            tasks[name], columns[name] = make(given)
        except ImportError as error:
            missing.append([name, "–", "–", f"not installed ({error.name})", TARGETS[name]])
            continue
        sizes[name] = given.session.size
    seconds = interleaved(tasks, ROUNDS)
    rows = []
    for name, times in seconds.items():
        cost = 1e9 * statistics.median(times) / sizes[name]
        scale = sizes["marketlake"] * OUR_COLUMNS / (sizes[name] * columns[name])
        beside = "1" if name == "marketlake" else ratio(times, seconds["marketlake"], scale)
        rows.append([name, str(columns[name]), f"{cost:,.0f}", beside, TARGETS.get(name, "")])
    return Table(
        "Kernels alone",
        ("library", "columns", "ns a bar", "× ours, by bar and column", "to beat"),
        [*rows, *missing],
        f"{INSTRUMENTS} instruments × {BARS:,} bars in memory ({FEW} instruments for pandas-ta-classic), float64, one thread "
        "(polars: as it likes). Ours are the indicators the peers have too, carried state included.",
    )


def _rows(bars: BarArrays) -> list[tuple[np.ndarray, ...]]:
    edges = zip(bars.offsets[:-1], bars.offsets[1:], strict=True)
    return [tuple(getattr(bars, name)[a:b] for name in ("high", "low", "close", "volume")) for a, b in edges]


def _talib(bars: BarArrays) -> tuple[Callable[[], object], int]:
    import talib as t

    parts = _rows(bars)

    def all_of(h: Any, l: Any, c: Any, v: Any) -> list[Any]:  # noqa: E741
        made = [*(t.SMA(c, n) for n in (20, 50, 200)), *(t.EMA(c, n) for n in (12, 20, 26, 50)), t.WMA(c, 20)]
        made += [*t.MACD(c), t.TRIX(c, 15), t.RSI(c), t.CMO(c), *t.STOCH(h, l, c, 14, 3, 0, 3, 0), t.WILLR(h, l, c)]
        made += [t.CCI(h, l, c, 20), t.ROC(c, 10), t.MFI(h, l, c, v), t.ATR(h, l, c), t.NATR(h, l, c), t.ADX(h, l, c)]
        made += [t.PLUS_DI(h, l, c), t.MINUS_DI(h, l, c), *t.AROON(h, l, 25), *t.BBANDS(c, 20), t.SAR(h, l), t.OBV(c, v)]
        return made

    return lambda: [all_of(*part) for part in parts], len(all_of(*parts[0]))


def _polars_talib(bars: BarArrays) -> tuple[Callable[[], object], int]:
    import polars_talib as t

    frame = _frame(bars)
    c, h, low, v = (pl.col(name) for name in ("close", "high", "low", "volume"))
    made = {
        **{f"sma{n}": t.sma(c, timeperiod=n) for n in (20, 50, 200)},
        **{f"ema{n}": t.ema(c, timeperiod=n) for n in (12, 20, 26, 50)},
        "wma": t.wma(c, timeperiod=20),
        "macd": t.macd(c, fastperiod=12, slowperiod=26, signalperiod=9),
        "trix": t.trix(c, timeperiod=15),
        "rsi": t.rsi(c, timeperiod=14),
        "cmo": t.cmo(c, timeperiod=14),
        "willr": t.willr(h, low, c, timeperiod=14),
        "cci": t.cci(h, low, c, timeperiod=20),
        "roc": t.roc(c, timeperiod=10),
        "mfi": t.mfi(h, low, c, v, timeperiod=14),
        "atr": t.atr(h, low, c, timeperiod=14),
        "natr": t.natr(h, low, c, timeperiod=14),
        "adx": t.adx(h, low, c, timeperiod=14),
        "plus": t.plus_di(h, low, c, timeperiod=14),
        "minus": t.minus_di(h, low, c, timeperiod=14),
        "aroon": t.aroon(h, low, timeperiod=25),
        "bands": t.bbands(c, timeperiod=20),
        "sar": t.sar(h, low),
        "obv": t.obv(c, v),
    }
    expressions = [expression.over("instrument").alias(name) for name, expression in made.items()]
    return lambda: frame.with_columns(expressions), len(made) + 2 + 1 + 2  # macd, aroon and bands give more than one


def _polars(bars: BarArrays) -> tuple[Callable[[], object], int]:
    frame = _frame(bars)
    c, h, low = pl.col("close"), pl.col("high"), pl.col("low")
    change = c.diff()
    gain, loss = (part.ewm_mean(alpha=1 / 14, adjust=False) for part in (change.clip(lower_bound=0), (-change).clip(lower_bound=0)))
    true_range = pl.max_horizontal(h, c.shift(1)) - pl.min_horizontal(low, c.shift(1))
    highest, lowest = h.rolling_max(14), low.rolling_min(14)
    made = {
        **{f"sma{n}": c.rolling_mean(n) for n in (20, 50, 200)},
        **{f"ema{n}": c.ewm_mean(span=n, adjust=False) for n in (12, 20, 26, 50)},
        "macd": c.ewm_mean(span=12, adjust=False) - c.ewm_mean(span=26, adjust=False),
        "rsi": 100 * gain / (gain + loss),
        "atr": true_range.ewm_mean(alpha=1 / 14, adjust=False),
        "upper": c.rolling_mean(20) + 2 * c.rolling_std(20, ddof=0),
        "lower": c.rolling_mean(20) - 2 * c.rolling_std(20, ddof=0),
        "willr": 100 * (c - highest) / (highest - lowest),
        "roc": 100 * (c / c.shift(10) - 1),
    }
    expressions = [expression.over("instrument").alias(name) for name, expression in made.items()]
    return lambda: frame.with_columns(expressions), len(made)


def _pandas_ta(bars: BarArrays) -> tuple[Callable[[], object], int]:
    import pandas as pd
    import pandas_ta_classic as t

    parts = [tuple(pd.Series(values) for values in part) for part in _rows(bars)]

    def all_of(h: Any, l: Any, c: Any, v: Any) -> list[Any]:  # noqa: E741
        plain = {"talib": False}
        made = [*(t.sma(c, n, **plain) for n in (20, 50, 200)), *(t.ema(c, n, **plain) for n in (12, 20, 26, 50))]
        made += [t.wma(c, 20, **plain), t.macd(c, **plain), t.trix(c, 15), t.rsi(c, **plain), t.cmo(c, **plain)]
        made += [t.stoch(h, l, c, **plain), t.willr(h, l, c, **plain), t.cci(h, l, c, 20, **plain), t.roc(c, 10, **plain)]
        made += [t.mfi(h, l, c, v, **plain), t.atr(h, l, c, **plain), t.natr(h, l, c, **plain), t.adx(h, l, c)]
        made += [t.aroon(h, l, 25, **plain), t.bbands(c, 20, **plain), t.psar(h, l), t.obv(c, v, **plain)]
        return made

    made = all_of(*parts[0])
    width = sum(1 if values.ndim == 1 else values.shape[1] for values in made)
    return lambda: [all_of(*part) for part in parts], width


def _frame(bars: BarArrays) -> pl.DataFrame:
    names = ("open", "high", "low", "close", "volume")
    owner = np.repeat(np.arange(bars.instruments), np.diff(bars.offsets))
    return pl.DataFrame({"instrument": owner, **{name: getattr(bars, name) for name in names}})
