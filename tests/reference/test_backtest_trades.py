"""Trades and equity of another engine (backtesting.py 0.6.6), reproduced by the kernel from the bars and the rule alone.

That engine sizes at the fill's price; the kernel sizes at `Bar.sizing`, the decision's close. Handing it the next open there
makes both engines' sizes comparable, and everything else (fills, fees, reversals, marks) must then agree.
"""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.backtest import statistics
from pipelines.backtest.engine.step import run
from pipelines.backtest.layout import BUY, EVENT, MARKET, ORDER, SELL
from pipelines.backtest.rules import Rules
from pipelines.backtest.state import Bar, History, Limits, new_log, new_state
from tests.support.csv_table import read_table


def crossings(close: np.ndarray, fast: int, slow: int) -> np.ndarray:
    """+1 where the fast average crosses above the slow one, -1 where below, else 0."""
    average = [np.concatenate([np.full(n - 1, np.nan), np.convolve(close, np.ones(n) / n, "valid")]) for n in (fast, slow)]
    above = average[0] - average[1]
    cross = np.zeros(close.size, dtype=int)
    cross[1:][(above[:-1] < 0) & (above[1:] > 0)] = 1
    cross[1:][(above[:-1] > 0) & (above[1:] < 0)] = -1
    cross[: slow + 1] = 0
    return cross


def play(bars: list[dict[str, str]], fast: int, slow: int, rate: float, short: bool):
    o, h, low, c = (np.array([[float(row[name])] for row in bars]) for name in ("Open", "High", "Low", "Close"))
    cross = crossings(c[:, 0], fast, slow)
    # The other engine closes the last trade at the last open.
    last_side = cross[:-1][np.nonzero(cross[:-1])[0][-1]]
    cross[-2] = -last_side
    steps = np.nonzero(cross)[0]
    orders = np.array([(0, BUY if cross[t] > 0 else SELL, np.nan, np.nan, t, MARKET, np.nan, np.nan) for t in steps], dtype=ORDER)
    offsets = np.searchsorted(steps, np.arange(c.size + 1))
    next_open = np.vstack([o[1:], c[-1:]])
    costs = np.tile(np.array([rate, rate, 0, 0, 0, np.inf, 0, 0]), (c.size, 1, 2, 1))
    rules = Rules(initial_cash=10_000, fraction=1.0, max_positions=1, allow_short=short)
    free = Limits(np.zeros(c.shape, np.uint8), np.zeros(c.shape, np.bool_), np.full(c.shape, np.inf))
    none = np.zeros(c.size + 1, dtype=np.int64)
    history = History(np.arange(c.size), Bar(o, h, low, c, next_open), free, costs, np.zeros(0, EVENT), none)
    state, log, curve = new_state(10_000, 1), new_log(2 * steps.size, steps.size), np.zeros((c.size, 3))
    run(state, history, orders, offsets, rules.compiled(), log, curve)
    return state.account[0], log.trades[: state.account[0]["trades"]], curve


@pytest.mark.parametrize(
    ("data", "case", "fast", "slow", "rate", "short"),
    [
        ("backtesting_py/GOOG.csv", "goog_sma20_50_longonly_c0", 20, 50, 0.0, False),
        ("bokeh_sampledata/IBM.csv", "ibm_sma10_30_longshort_c0.001", 10, 30, 0.001, True),
    ],
)
def test_every_trade_and_every_days_equity(shared, data, case, fast, slow, rate, short):
    _, trades, curve = play(read_table(shared / "data" / data), fast, slow, rate, short)
    expected = read_table(shared / "reference" / "backtest" / f"{case}_trades.csv")
    if short:
        # With a short position allowed, the closing order of the last bar would also open a new one: only its closing counts.
        trades = trades[trades["entry_step"] < len(curve) - 1]
    assert [int(t["quantity"]) for t in trades] == [int(row["Size"]) for row in expected]
    for column, name in (("entry_step", "EntryBar"), ("exit_step", "ExitBar")):
        assert trades[column].tolist() == [int(row[name]) for row in expected]
    for column, name in (("entry_price", "EntryPrice"), ("exit_price", "ExitPrice"), ("fees", "Commission"), ("pnl", "PnL")):
        assert trades[column] == pytest.approx([float(row[name]) for row in expected], rel=1e-9, abs=1e-6)
    equity = [float(row["Equity"]) for row in read_table(shared / "reference" / "backtest" / f"{case}_equity.csv")]
    assert curve[:-1, 0] == pytest.approx(equity[:-1], rel=1e-6)
    assert 10_000 + trades["pnl"].sum() == pytest.approx(equity[-1])


def test_drawdown_and_profit_of_the_other_engines_statistics(shared):
    _, trades, curve = play(read_table(shared / "data/backtesting_py/GOOG.csv"), 20, 50, 0.0, short=False)
    rows = read_table(shared / "reference/backtest/goog_sma20_50_longonly_c0_stats.csv")
    stats = {row["statistic"]: row["value"] for row in rows}
    returns = statistics.session_returns(curve[:, 0], 10_000)
    assert 100 * statistics.max_drawdown(returns) == pytest.approx(float(stats["Max. Drawdown [%]"]))
    assert 100 * statistics.total_return(returns) == pytest.approx(float(stats["Return [%]"]))
    assert 100 * statistics.win_rate(trades["pnl"]) == pytest.approx(float(stats["Win Rate [%]"]))
    # Both use 252 sessions; that engine leaves the first day out of its mean.
    assert 100 * statistics.cagr(returns[1:]) == pytest.approx(float(stats["Return (Ann.) [%]"]), rel=1e-3)


@pytest.mark.parametrize("symbol", ["IBM", "GOOG"])
def test_statistics_equal_the_libraries(shared, symbol):
    prices = np.array([float(row["Adj Close"]) for row in read_table(shared / f"data/bokeh_sampledata/{symbol}.csv")])
    returns = prices[1:] / prices[:-1] - 1
    rows = read_table(shared / "reference/performance/library_performance_stats.csv")
    stats = {row["statistic"]: float(row["value"]) for row in rows if row["series"] == f"bokeh_{symbol}_adj_close_simple_returns"}
    assert statistics.total_return(returns) == pytest.approx(stats["empyrical.cum_returns_final"])
    assert statistics.cagr(returns) == pytest.approx(stats["quantstats.cagr"])
    assert statistics.max_drawdown(returns) == pytest.approx(stats["quantstats.max_drawdown"])
    assert statistics.sharpe(returns) == pytest.approx(stats["quantstats.sharpe"])
    assert statistics.sortino(returns) == pytest.approx(stats["quantstats.sortino"])
    assert statistics.profit_factor(returns) == pytest.approx(stats["quantstats.profit_factor"])
