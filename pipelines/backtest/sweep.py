"""Many parameter sets on the same bars: which would have done best, and whether the best is more than luck.

Lives here: the pass over the cases, and its table. Does not live here: making the signals of each set (`scanners/`), a full run
(`portfolio`), the ledger that a sweep's cases are put on (`trials`).

The bars are laid out once; a case then costs one pass of the kernel. A sweep chooses, and a choice among many looks better than it
is: every row carries the Sharpe ratio deflated by the number of cases and by how much their Sharpe ratios differ, or by what the
ledger holds of the whole family.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from pipelines.backtest import statistics
from pipelines.backtest.costs import Costs, FlatCosts
from pipelines.backtest.frames import session_equity
from pipelines.backtest.grid import build_grid, place_signals
from pipelines.backtest.limits import PlacedMarket, place_market
from pipelines.backtest.portfolio import Placing
from pipelines.backtest.rules import Rules
from pipelines.backtest.simulation import cost_sheet_of, simulate
from pipelines.backtest.state import Attributes
from pipelines.backtest.trials import Ledger

SWEEP_SCHEMA = pl.Schema(
    {
        "case": pl.Int64,
        "parameters": pl.String,
        "trades": pl.Int64,
        "total_return": pl.Float64,
        "cagr": pl.Float64,
        "max_drawdown": pl.Float64,
        "sharpe_ratio": pl.Float64,
        "sortino_ratio": pl.Float64,
        "deflated_sharpe": pl.Float64,
        "trials": pl.Int64,
        "min_track_record": pl.Float64,
        "overfitting_probability": pl.Float64,
        "turnover": pl.Float64,
        "costs": pl.Float64,
    }
)


@dataclass(frozen=True)
class Case:
    """One parameter set: what it is called (JSON values), its signals, the rules they are traded by, and how they become orders."""

    parameters: Mapping[str, Any]
    signals: pl.DataFrame
    rules: Rules = field(default_factory=Rules)
    plan: Placing | None = None


@dataclass(frozen=True)
class CaseResult:
    """What a case came to: its figures, and its session returns (session_date, ret)."""

    figures: dict[str, Any]
    returns: pl.DataFrame


def run_cases(
    bars: pl.DataFrame,
    cases: Sequence[Case],
    costs: Costs | None = None,
    actions: pl.DataFrame | None = None,
    sessions: Sequence[date] = (),
    *,
    attributes: Mapping[str, Attributes] | None = None,
) -> list[CaseResult]:
    """The cases in the order given, figures as in `backtest_runs`, `case` counting from 1.

    bars, costs, actions, sessions, attributes: as for `portfolio.run_backtest`, which raises the same.
    """
    grid = build_grid(bars, sessions)
    placed: dict[tuple[float, float], PlacedMarket] = {}
    schedule = costs or FlatCosts()
    results: list[CaseResult] = []
    for number, case in enumerate(cases, start=1):
        orders = place_signals(grid, case.signals, case.rules.signal_sessions)
        market = (case.rules.locked_move, case.rules.delisting_haircut)
        if market not in placed:
            placed[market] = place_market(grid, bars, actions, case.rules)
        seen, orders = (grid, orders) if case.plan is None else case.plan.place(grid, orders, actions)
        sheet = cost_sheet_of(seen, orders, schedule)
        account, trades, curve = simulate(seen, orders, case.rules, sheet, placed[market], attributes)
        equity = session_equity(grid, curve)
        series = statistics.session_returns(equity, case.rules.initial_cash)
        figures = {
            "case": number,
            "parameters": json.dumps(case.parameters, sort_keys=True, separators=(",", ":")),
            "trades": trades.size,
            "total_return": statistics.total_return(series),
            "cagr": statistics.cagr(series),
            "max_drawdown": statistics.max_drawdown(series),
            "sharpe_ratio": statistics.sharpe(series),
            "sortino_ratio": statistics.sortino(series),
            "turnover": statistics.turnover(float(account["traded"]), equity),
            "costs": float(account["fees"]),
        }
        results.append(CaseResult(figures, pl.DataFrame({"session_date": grid.session_dates, "ret": series})))
    return results


def run_sweep(
    bars: pl.DataFrame,
    cases: Sequence[Case],
    costs: Costs | None = None,
    actions: pl.DataFrame | None = None,
    sessions: Sequence[date] = (),
    *,
    tried_before: int = 0,
    attributes: Mapping[str, Attributes] | None = None,
) -> pl.DataFrame:
    """One row per case, in the order given: `SWEEP_SCHEMA`. For callers without a ledger; see `run_cases`.

    The variance between trials is that of the cases' Sharpe ratios, so a row says how likely its strategy is to be better than the
    best of that many worthless ones. tried_before: parameter sets tried on these bars before the sweep; `trials` counts them and
    the cases. A single case with none before it is no choice among several, and N is not known: its Sharpe ratio is not deflated.
    """
    results = run_cases(bars, cases, costs, actions, sessions, attributes=attributes)
    trials = len(results) + tried_before if len(results) + tried_before > 1 else None
    variance = _variance_between([result.figures["sharpe_ratio"] for result in results])
    rows = []
    for result in results:
        values = result.returns.get_column("ret").to_numpy()
        among = None if trials is None else (trials, variance)
        rows.append(
            {
                **result.figures,
                "trials": trials,
                "deflated_sharpe": None if among is None else statistics.deflated_sharpe(values, *among),
                "min_track_record": None if among is None else statistics.min_track_record(values, *among),
                "overfitting_probability": None,
            }
        )
    return pl.DataFrame(rows, schema=SWEEP_SCHEMA)


def judge_cases(results: Sequence[CaseResult], ledger: Ledger) -> pl.DataFrame:
    """`SWEEP_SCHEMA` of cases that are on a ledger: each judged among the whole family."""
    if not results:
        return pl.DataFrame(schema=SWEEP_SCHEMA)
    # All cases have the same sessions.
    overfitting = ledger.overfitting(results[0].returns)
    rows = [{**result.figures, **asdict(ledger.judge(result.returns, overfitting))} for result in results]
    return pl.DataFrame(rows, schema=SWEEP_SCHEMA)


def _variance_between(ratios: Sequence[float | None]) -> float | None:
    """Variance of Sharpe ratios per session, from annual ones; None for fewer than two."""
    known = np.array([ratio for ratio in ratios if ratio is not None]) / np.sqrt(statistics.SESSIONS_PER_YEAR)
    return float(known.var(ddof=1)) if known.size > 1 else None
