"""Crossings worked out apart from the SQL: over the bundled daily bars, session by session, and over series that tie and part."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.market.calendar import calendar
from pipelines.market.session import Session
from pipelines.scanners.engine.runner import ScanEngine, ScanInputs
from pipelines.scanners.registry import CompiledScanners
from pipelines.storage.delta import empty_frame
from tests.support.indicator_tables import INDICATORS_DAILY

Bundled = Any  # the fixture's record, in conftest.py
Found = set[tuple[str, date, str]]


@pytest.fixture(scope="module")
def found(compiled: CompiledScanners, bundled: Bundled) -> pl.DataFrame:
    """Signals of the family at every close of four years."""
    family = [name for name, scanner in compiled.scanners.items() if scanner.family == "technical"]
    with ScanEngine(compiled, bundled.inputs) as engine:
        return engine.run_at([(moment, family) for moment in bundled.bars["closes_at"].unique().sort()]).signals


@pytest.mark.slow
@pytest.mark.measured
def test_golden_and_death_crosses_are_those_of_whole_sums_of_closes(bundled: Bundled, found: pl.DataFrame) -> None:
    # Closes before the split count as they are, those after it sevenfold: whole numbers, and the sign is that of either basis.
    after = (pl.col("instrument_id") == bundled.split[0]) & (pl.col("session_date") >= bundled.split[1])
    closes = pl.col("units") * pl.when(after).then(int(bundled.split[2])).otherwise(1)
    sums = {n: closes.rolling_sum(n).over("instrument_id").cast(pl.Int64) for n in (50, 200)}

    expected = _crossed(bundled.bars, (4 * sums[50] - sums[200]).sign())
    assert _of(found, "technical_golden_cross") == expected
    assert len(expected) > 10


def test_macd_crosses_where_the_histogram_changes_its_sign(bundled: Bundled, found: pl.DataFrame) -> None:
    expected = _crossed(bundled.indicators, _sign(pl.col("macd") - pl.col("macd_signal")))

    assert _of(found, "technical_macd") == expected
    assert len(expected) > 300


def test_rsi_leaves_its_zones_upwards_from_below_30_and_downwards_from_above_70(bundled: Bundled, found: pl.DataFrame) -> None:
    out_of_30 = {hit for hit in _crossed(bundled.indicators, _sign(pl.col("rsi_14") - 30)) if hit[2] == "BUY"}
    out_of_70 = {hit for hit in _crossed(bundled.indicators, _sign(pl.col("rsi_14") - 70)) if hit[2] == "SELL"}

    assert _of(found, "technical_rsi") == out_of_30 | out_of_70
    assert min(len(out_of_30), len(out_of_70)) > 10


def test_the_supertrend_signals_where_its_direction_turns(bundled: Bundled, found: pl.DataFrame) -> None:
    expected = _crossed(bundled.indicators, pl.col("supertrend_direction_10"))

    assert _of(found, "technical_supertrend") == expected
    assert len(expected) > 100


def test_a_trend_begins_where_a_strong_adx_has_risen_over_three_sessions(bundled: Bundled, found: pl.DataFrame) -> None:
    by_instrument = {"partition_by": "instrument_id"}
    risen = pl.col("adx_14") - pl.col("adx_14").shift(3).over(**by_instrument)
    side = _sign(pl.col("plus_di_14") - pl.col("minus_di_14"))
    trend = pl.when((_sign(pl.col("adx_14") - 25) == 1) & (_sign(risen) == 1)).then(side).otherwise(0)
    judged = pl.col("adx_14").shift(4).over(**by_instrument).is_not_null()
    states = bundled.indicators.with_columns(trend=trend, judged=judged).with_columns(
        before=pl.col("trend").shift().over(**by_instrument)
    )

    begun = states.filter(pl.col("judged"), pl.col("trend") != 0, pl.col("trend") != pl.col("before"))
    assert _of(found, "technical_adx") == _named(begun, pl.col("trend"))
    assert begun.height > 50


def test_a_squeeze_breaks_where_a_close_leaves_the_bands_soon_after_their_narrowest(bundled: Bundled, found: pl.DataFrame) -> None:
    expected: Found = set()
    for instrument in bundled.indicators.partition_by("instrument_id"):
        widths: list[float] = []  # of regular sessions before, oldest first
        before = 0
        for row in instrument.filter(pl.col("bb_middle_20").is_not_null()).iter_rows(named=True):
            close, upper, lower = row["close"], row["bb_upper_20"], row["bb_lower_20"]
            beyond = 1 if close > upper else -1 if close < lower else 0
            year = widths[-120:]
            if len(year) >= 100 and beyond not in (0, before) and min(year[-5:]) == min(year):
                expected.add((row["instrument_id"], row["session_date"], "BUY" if beyond == 1 else "SELL"))
            before = beyond
            if row["kind"] == "regular":
                widths.append(round((upper - lower) / row["bb_middle_20"], 7))

    assert _of(found, "technical_bollinger") == expected
    assert len(expected) > 20


def test_the_split_itself_crosses_nothing(bundled: Bundled, found: pl.DataFrame) -> None:
    on_ex_date = found.filter(pl.col("instrument_id") == bundled.split[0], pl.col("session_date") == bundled.split[1])

    assert on_ex_date.is_empty()


@pytest.mark.slow
@pytest.mark.measured
@given(
    steps=st.lists(st.lists(st.sampled_from([-1, 0, 0, 1]), min_size=8, max_size=8), min_size=4, max_size=12),
    price=st.integers(1, 40_000_000),
    seed=st.integers(0, 9),
)
@example(steps=[[1, 0, 1, 0, 0, 1, 0, -1], [-1, 0, -1, -1, 0, 0, -1, 0]], price=9_99_95, seed=0)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_means_that_tie_and_part_cross_only_when_they_part_on_the_other_side(
    compiled: CompiledScanners, steps: Sequence[Sequence[int]], price: int, seed: int
) -> None:
    # A step is four times the sum of 50 closes less the sum of 200, in ten-thousandths: the smallest difference that there is.
    random = np.random.default_rng(seed)
    sessions = [s for s in calendar("XNYS").sessions if s.session_date >= date(2014, 3, 3)][: len(steps[0])]
    rows = [
        (f"XNYS:T{i}", session, *_means(price, step, random))
        for i, series in enumerate(steps)
        for session, step in zip(sessions, series, strict=True)
    ]
    with ScanEngine(compiled, _tied(rows)) as engine:
        signals = engine.run_at([(session.closes_at, ["technical_golden_cross"]) for session in sessions]).signals

    expected: Found = set()
    for i, series in enumerate(steps):
        stood = 0
        for session, step in zip(sessions, series, strict=True):
            if step * stood == -1:
                expected.add((f"XNYS:T{i}", session.session_date, "BUY" if step == 1 else "SELL"))
            stood = step or stood
    assert _of(signals, "technical_golden_cross") == expected


def _means(price: int, step: int, random: np.random.Generator) -> tuple[float, float]:
    """Means of 50 and of 200 closes around `price` ten-thousandths, summed as floats in their own order."""
    fast = price + random.integers(0, 100, 50)
    slow = price + random.integers(0, 100, 200)
    slow[-1] += 4 * fast.sum() - slow.sum() - step
    return float(np.cumsum(fast / 10_000)[-1] / 50), float(np.cumsum(slow / 10_000)[-1] / 200)


def _tied(rows: Sequence[tuple[str, Session, float, float]]) -> ScanInputs:
    frame = pl.DataFrame(
        [(name, s.session_date, s.closes_at, fast, slow) for name, s, fast, slow in rows],
        schema=["instrument_id", "session_date", "known_at", "sma_50", "sma_200"],
        orient="row",
    ).with_columns(
        *(pl.lit(100.0).alias(name) for name in ("open", "high", "low", "close")),
        exchange=pl.lit("XNYS"),
        symbol=pl.col("instrument_id").str.slice(5),
        volume=pl.lit(100, dtype=pl.Int64),
        bars_seen=pl.lit(300, dtype=pl.Int64),
        atr_14=pl.lit(1.0),
    )
    listed = frame.group_by("exchange", "instrument_id", "symbol").agg(
        valid_from=pl.col("session_date").min() - timedelta(days=1), is_active=pl.lit(True)
    )
    return ScanInputs(calendar("XNYS").frame(), listed, frame, indicators_daily=_as_stored(frame))


def _as_stored(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of `indicators_daily`; those that the frame lacks are NULL."""
    types = {name: kind for name, kind in empty_frame(INDICATORS_DAILY).schema.items() if name != "session_year"}
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in types.items() if name not in frame.columns]
    return frame.with_columns(missing).select(list(types))


def _sign(difference: pl.Expr) -> pl.Expr:
    """-1, 0 or 1; what only the rounding of floats tells apart is 0."""
    return pl.when(difference.abs() < 5e-8).then(0.0).otherwise(difference.sign())


def _crossed(frame: pl.DataFrame, sign: pl.Expr) -> Found:
    """Where a sign is the opposite of the last one that was not 0."""
    stood = pl.when(pl.col("sign") != 0).then("sign").forward_fill().shift().over("instrument_id")
    signs = frame.with_columns(sign=sign.cast(pl.Int64)).with_columns(stood=stood)
    return _named(signs.filter(pl.col("sign") * pl.col("stood") == -1), pl.col("sign"))


def _named(rows: pl.DataFrame, side: pl.Expr) -> Found:
    sides = rows.select("instrument_id", "session_date", pl.when(side == 1).then(pl.lit("BUY")).otherwise(pl.lit("SELL")))
    return set(sides.rows())


def _of(signals: pl.DataFrame, scanner: str) -> Found:
    return set(signals.filter(pl.col("scanner_name") == scanner).select("instrument_id", "session_date", "signal_type").rows())
