"""A run with its report: two random walks, one of them split while it is held.

Lives here: the run, what was found of it, and its page. Does not live here: any test.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl

from pipelines.backtest.costs import FlatCosts
from pipelines.backtest.portfolio import BacktestResult, Strategy
from pipelines.backtest.rules import Rules
from pipelines.backtest.run_setup import RunSetup, still_trading
from pipelines.backtest.verdict.evidence import find_evidence
from pipelines.reports.run_report import ReportedRun, build_run_report
from pipelines.risk.var import var_table

#: A split in the middle of a position.
SPLIT_DAY = date(2022, 4, 1)


def random_walk(instrument: str, sessions: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, sessions)))
    start = np.concatenate([[100.0], close[:-1]])
    opens = [datetime(2022, 1, 3, 3, 45, tzinfo=UTC) + timedelta(days=k) for k in range(sessions)]
    return pl.DataFrame(
        {
            "instrument_id": [instrument] * sessions,
            "session_date": [moment.date() for moment in opens],
            "ts_open": opens,
            "ts_close": [moment + timedelta(hours=6) for moment in opens],
            "open": start,
            "high": np.maximum(start, close) * 1.01,
            "low": np.minimum(start, close) * 0.99,
            "close": close,
        }
    )


@lru_cache
def a_run(sessions: int = 320) -> tuple[RunSetup, BacktestResult]:
    bars = pl.concat([random_walk("XNSE:ABC", sessions, 1), random_walk("XNSE:A&B", sessions, 2)])
    every = bars.with_columns(row=pl.int_range(pl.len()).over("instrument_id")).filter(pl.col("row") % 15 == 5)
    signals = every.select(
        signal_id=pl.format("{}-{}", "instrument_id", "row"),
        instrument_id="instrument_id",
        session_date="session_date",
        known_at="ts_close",
        signal_type=pl.when(pl.col("row") % 30 == 5).then(pl.lit("BUY")).otherwise(pl.lit("SELL")),
        target_price=pl.lit(None, pl.Float64),
        stop_loss=pl.col("close") * 0.95,
    )
    strategy = Strategy("walk", "walk_scanner", "inputs", "0.1.0+code", {"note": "</script><b>"}, trials=3)
    rules = Rules(fraction=0.5, max_positions=2)
    split = {"instrument_id": ["XNSE:ABC"], "ex_date": [SPLIT_DAY], "action": ["split"], "ratio": [2.0]}
    setup = RunSetup(
        bars, signals, strategy, rules, FlatCosts(10.0, 10.0), pl.DataFrame(split), survivors=still_trading(bars, signals)
    )
    return setup, setup.run()


@lru_cache
def reported(sessions: int = 320) -> ReportedRun:
    setup, result = a_run(sessions)
    evidence = find_evidence(setup, result.run, result.trades, result.equity, {"bars_daily": 7})
    provenance = {"table_versions": {"bars_daily": 3}, "code_version": "0.1.0+code"}
    return ReportedRun(result.run, result.trades, result.equity, setup, evidence, provenance)


def page_of(given: ReportedRun, *, with_risk: bool = True, **options: Any) -> str:
    returns = a_run(given.setup.bars.height // 2)[1].returns()
    var = var_table(returns, "portfolio") if with_risk else None
    return build_run_report(given, var=var, timezone="Asia/Kolkata", currency="INR", **options)
