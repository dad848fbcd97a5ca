"""What a report shows beside a run's tables, by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.run_views import benchmark_levels, gross_to_net, monthly_returns, price_factors, rolling_figures
from pipelines.backtest.statistics import sharpe

DAYS = [date(2024, 1, 30) + timedelta(days=k) for k in range(4)]


def bars(closes: dict[str, list[float | None]]) -> pl.DataFrame:
    rows = [
        {
            "instrument_id": name,
            "session_date": day,
            "ts_close": datetime(day.year, day.month, day.day, 21, tzinfo=UTC),
            "close": close,
        }
        for name, row in closes.items()
        for day, close in zip(DAYS, row, strict=True)
        if close is not None
    ]
    return pl.DataFrame(rows)


def test_months_and_years_compound() -> None:
    found = monthly_returns(pl.Series(DAYS), np.array([0.1, 0.1, -0.5, 0.2]))
    ((year, months, whole),) = found
    assert (year, months[0], months[1]) == (2024, pytest.approx(0.21), pytest.approx(-0.4))
    assert months[2:] == [None] * 10
    assert whole == pytest.approx(1.21 * 0.6 - 1)


def test_the_benchmark_is_the_mean_return_of_who_traded_with_splits_undone() -> None:
    # A rises by a tenth each session and splits 2:1 on the third; B is not there on the third and comes back unchanged.
    closes = bars({"B": [10.0, 11.0, None, 11.0], "A": [100.0, 110.0, 60.5, 66.55]})
    split = pl.DataFrame({"instrument_id": ["A"], "ex_date": [DAYS[2]], "action": ["split"], "ratio": [2.0]})
    levels = benchmark_levels(closes.sample(fraction=1.0, shuffle=True, seed=3), split, pl.Series(DAYS), 1000.0)
    assert levels == pytest.approx([1000.0, 1100.0, 1210.0, 1210.0 * 1.05])
    unknown = split.with_columns(ratio=pl.lit(None, pl.Float64))
    assert benchmark_levels(closes, unknown, pl.Series(DAYS), 1000.0)[2] == pytest.approx(1100.0)


def test_minutes_of_a_session_count_by_its_last_close() -> None:
    closes = bars({"A": [100.0, 110.0, 121.0, 133.1]})
    earlier = closes.with_columns(pl.col("ts_close") - timedelta(hours=3), close=pl.lit(1.0))
    assert benchmark_levels(pl.concat([closes, earlier]), None, pl.Series(DAYS), 1.0)[-1] == pytest.approx(1.331)


def test_gross_to_net_adds_up() -> None:
    trades = pl.DataFrame({"pnl": [90.0, -60.0, -5.0], "fees": [10.0, 10.0, 10.0]})
    found = gross_to_net(trades, 30.0)
    assert (found.won, found.lost, found.costs, found.net, found.other) == (105.0, -50.0, 30.0, 25.0, 5.0)
    assert found.won + found.lost - found.costs == found.net


def test_factors_hold_before_their_ex_date_and_multiply() -> None:
    actions = pl.DataFrame(
        {
            "instrument_id": ["A", "A", "A", "B"],
            "ex_date": [DAYS[1], DAYS[3], DAYS[2], DAYS[1]],
            "action": ["split", "split", "dividend", "split"],
            "ratio": [2.0, 5.0, None, 9.0],
            "amount": [None, None, 1.0, None],
        }
    )
    assert price_factors(actions, "A", DAYS[0], DAYS[3]) == [(DAYS[1], pytest.approx(0.1)), (DAYS[3], pytest.approx(0.2))]
    # What went ex with the first bar is in every price; what comes after the last is not known yet.
    assert price_factors(actions, "A", DAYS[1], DAYS[2]) == []


def test_rolling_figures_are_those_of_each_window() -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, 30)
    days = pl.Series([date(2024, 1, 1) + timedelta(days=k) for k in range(30)])
    found = rolling_figures(days, returns, window=20, step=5)
    assert found["session_date"].to_list() == [days[19], days[24], days[29]]
    assert found["sharpe"].to_list() == [sharpe(returns[k : k + 20]) for k in (0, 5, 10)]
    assert rolling_figures(days, returns, window=31, step=5).is_empty()
