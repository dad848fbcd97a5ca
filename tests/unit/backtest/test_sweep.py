"""A sweep gives each case what a run of its own would give, and deflates by the number of cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.costs import FlatCosts
from pipelines.backtest.portfolio import Strategy, run_backtest
from pipelines.backtest.rules import Rules
from pipelines.backtest.sweep import SWEEP_SCHEMA, Case, run_sweep

SESSIONS = 200
OPENS = [datetime(2023, 1, 2, 14, 30, tzinfo=UTC) + timedelta(days=k) for k in range(SESSIONS)]
CLOSE = 100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0.001, 0.02, SESSIONS)))
BARS = pl.DataFrame(
    {
        "instrument_id": ["XNYS:A"] * SESSIONS,
        "session_date": [moment.date() for moment in OPENS],
        "ts_open": OPENS,
        "ts_close": [moment + timedelta(hours=6) for moment in OPENS],
        "open": CLOSE,
        "high": CLOSE * 1.01,
        "low": CLOSE * 0.99,
        "close": CLOSE,
    }
)


def every(sessions: int) -> pl.DataFrame:
    rows = BARS.with_row_index("row").filter(pl.col("row") % sessions == 0)
    return rows.select(
        signal_id=pl.col("row").cast(pl.String),
        instrument_id="instrument_id",
        session_date="session_date",
        known_at="ts_close",
        signal_type=pl.when(pl.col("row") % (2 * sessions) == 0).then(pl.lit("BUY")).otherwise(pl.lit("SELL")),
        target_price=pl.lit(None, pl.Float64),
        stop_loss=pl.lit(None, pl.Float64),
    )


def cases(*steps: int) -> list[Case]:
    return [Case({"every": step}, every(step), Rules(fraction=1.0, max_positions=1)) for step in steps]


def test_each_case_equals_a_run_of_its_own():
    costs = FlatCosts(5, 5)
    table = run_sweep(BARS, cases(3, 10), costs)
    assert table.schema == SWEEP_SCHEMA
    for row, case in zip(table.to_dicts(), cases(3, 10), strict=True):
        run = run_backtest(BARS, case.signals, Strategy("s", "s", "f", "c", {}), case.rules, costs).run
        for name in ("trades", "total_return", "cagr", "max_drawdown", "sharpe_ratio", "sortino_ratio", "turnover", "costs"):
            assert row[name] == run[name], name


def test_a_case_meets_the_limits_and_actions_that_its_own_run_meets():
    """Thin volume, a capital reduction, a day without a file, a delisting with two haircuts."""
    bars = BARS.with_columns(volume=pl.lit(40_000)).filter(pl.int_range(pl.len()) != 51).head(150)
    other = BARS.with_columns(instrument_id=pl.lit("XNYS:B"))
    dates = [moment.date() for moment in OPENS]
    actions = pl.DataFrame(
        {
            "instrument_id": ["XNYS:A"] * 2,
            "ex_date": [dates[80], dates[150]],
            "action": ["capital_reduction", "delisting"],
            "ratio": [0.5, None],
        }
    )
    market = pl.concat([bars.select([*other.columns, "volume"]), other.with_columns(volume=pl.lit(40_000))])
    given = [Case({"haircut": cut}, every(3), Rules(delisting_haircut=cut)) for cut in (0.0, 0.6)]
    table = run_sweep(market, given, None, actions, dates)
    for row, case in zip(table.to_dicts(), given, strict=True):
        strategy = Strategy("s", "s", "f", "c", {})
        run = run_backtest(market, case.signals, strategy, case.rules, actions=actions, sessions=dates).run
        for name in ("trades", "total_return", "max_drawdown", "turnover"):
            assert row[name] == run[name], name


def test_more_cases_deflate_the_same_strategy_more():
    few, many = run_sweep(BARS, cases(3, 10)), run_sweep(BARS, cases(3, 10, *range(11, 30)))
    assert many["sharpe_ratio"][0] == few["sharpe_ratio"][0]
    assert many["deflated_sharpe"][0] < few["deflated_sharpe"][0]


def test_one_case_of_which_no_others_are_known_is_not_deflated():
    alone = run_sweep(BARS, cases(10))
    assert (alone["trials"][0], alone["deflated_sharpe"][0]) == (None, None)
    among = run_sweep(BARS, cases(10), tried_before=18)
    strategy = Strategy("s", "s", "f", "c", {}, trials=19)
    expected = run_backtest(BARS, every(10), strategy, cases(10)[0].rules).run["deflated_sharpe"]
    assert (among["trials"][0], among["deflated_sharpe"][0]) == (19, pytest.approx(expected))


def test_no_case_gives_an_empty_table():
    assert run_sweep(BARS, []).schema == SWEEP_SCHEMA
