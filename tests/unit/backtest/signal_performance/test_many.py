"""Many signals at once, against a plain loop over bars, and against a future that must not matter."""

import math
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.market.calendar import calendar

DAYS = [s.session_date for s in calendar("XNYS").between(date(2023, 10, 2), date(2024, 3, 28))]
REGULAR = {s.session_date for s in calendar("XNYS").sessions if s.kind == "regular"}
HORIZONS = {"1": 1, "5": 5, "20": 20}


def market(seed: int, names: str = "ABC") -> dict[str, dict[date, tuple[float, float, float, float]]]:
    """Random walks in cents, a tenth of the bars missing."""
    draw = np.random.Generator(np.random.PCG64(seed))
    bars: dict[str, dict[date, tuple[float, float, float, float]]] = {name: {} for name in names}
    for name in names:
        cents = 10_000
        for day in DAYS:
            opened = max(cents + int(draw.integers(-200, 201)), 100)
            cents = max(opened + int(draw.integers(-300, 301)), 100)
            high, low = max(opened, cents) + int(draw.integers(0, 150)), min(opened, cents) - int(draw.integers(0, 90))
            if draw.random() > 0.1:
                bars[name][day] = (opened / 100, high / 100, low / 100, cents / 100)
    return bars


def by_hand(bars, day: date, side: int, stop: float, target: float) -> dict[str, tuple[str, float | None]]:
    """(status, gross return) by horizon of one signal, by walking its bars."""
    entered = DAYS[DAYS.index(day) + 1]
    if entered not in bars:
        return dict.fromkeys(("end_of_day", *HORIZONS), ("not_entered", None))
    opened = bars[entered][0]
    ends = [d for d in DAYS[DAYS.index(entered) :] if d in REGULAR]
    result = {"end_of_day": ("finished", side * (bars[entered][3] / opened - 1))}
    for name, count in HORIZONS.items():
        if len(ends) < count:
            result[name] = ("open", None)
            continue
        # Without a bar at the end of the horizon the exit waits for the next open.
        left = min((d for d in bars if d >= ends[count - 1]), default=None)
        price = None if left is None else bars[left][3 if left == ends[count - 1] else 0]
        result[name] = ("open", None) if price is None else ("finished", side * (price / opened - 1))
    path = [d for d in DAYS if entered <= d <= (ends[19] if len(ends) >= 20 else DAYS[-1]) and d in bars]
    for d in path:
        first, high, low, _ = bars[d]
        if (low <= stop) if side > 0 else (high >= stop):
            price = min(first, stop) if side > 0 else max(first, stop)
            result["stop_target"] = ("finished", side * (price / opened - 1))
            break
        if (high >= target) if side > 0 else (low <= target):
            price = max(first, target) if side > 0 else min(first, target)
            result["stop_target"] = ("finished", side * (price / opened - 1))
            break
    else:
        result["stop_target"] = result["20"]
    return result


def test_every_outcome_is_what_a_walk_over_the_bars_gives(world, signal) -> None:
    bars = market(3)
    told, expected = [], {}
    for name, days in bars.items():
        for number, day in enumerate(list(days)[20:-1]):
            close, side = days[day][3], 1 if number % 2 else -1
            levels = (round(close * (1 - 0.05 * side), 2), round(close * (1 + 0.07 * side), 2))
            told.append(signal(name, day, "BUY" if side > 0 else "SELL", price=close, stop=levels[0], target=levels[1]))
            for horizon, outcome in by_hand(days, day, side, *levels).items():
                expected[told[-1]["signal_id"], horizon] = outcome
    found = world(bars=bars).outcomes(*told)
    compared = 0
    for key, horizon, status, gross in found.select("signal_id", "horizon", "status", "gross_return").iter_rows():
        if (key, horizon) in expected:
            compared += 1
            assert status == expected[key, horizon][0], (key, horizon)
            assert gross is expected[key, horizon][1] or math.isclose(gross, expected[key, horizon][1], abs_tol=1e-12), (
                key,
                horizon,
            )
    assert compared > 1000


@pytest.mark.slow
@pytest.mark.measured
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), cut=st.integers(30, 100), split=st.integers(1, 120))
def test_later_bars_and_actions_change_no_outcome_that_has_ended(world, signal, seed: int, cut: int, split: int) -> None:
    bars = market(seed)
    actions = [("A", DAYS[split], "split", 2.0), ("B", DAYS[min(split + 9, 122)], "demerger", None)]
    told = [
        signal(name, day, "BUY" if n % 2 else "SELL", price=bar[3], stop=bar[3] * (0.96 if n % 2 else 1.04), target=bar[3] * 1.01)
        for name, days in bars.items()
        for n, (day, bar) in enumerate(days.items())
        if day <= DAYS[cut]
    ]
    then = world(
        bars={name: {d: b for d, b in days.items() if d <= DAYS[cut]} for name, days in bars.items()},
        actions=[a for a in actions if a[1] <= DAYS[cut]],
        bps=5,
    ).outcomes(*told)
    now = world(bars=bars, actions=actions, bps=5).outcomes(*told)
    ended = then.filter(pl.col("status").is_in(["finished", "unadjusted", "late", "no_levels"]))
    own = [c for c in then.columns if not c.startswith("base_") and c != "is_over"]
    again = now.join(ended.select("signal_id", "horizon"), on=["signal_id", "horizon"], how="semi")
    assert again.select(own).equals(ended.select(own))
    over = ended.filter("is_over").join(now, on=["signal_id", "horizon"], how="inner")
    assert over["base_rate"].equals(over["base_rate_right"], null_equal=True)
