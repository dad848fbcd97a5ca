"""One backtest run: bars and signals in, `BacktestResult` out.

Lives here: the run around the kernel, its row of `backtest_runs`, and the identity of a run.
Does not live here: the frames of trades and equity (`frames`), the order of events (`engine/step`), reading the lake, or timing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Protocol

import numpy as np
import polars as pl

from pipelines.backtest import statistics
from pipelines.backtest.actions import InputError
from pipelines.backtest.costs import Costs, FlatCosts
from pipelines.backtest.frames import equity_frame, trades_frame
from pipelines.backtest.grid import Grid, Orders, build_grid, place_signals
from pipelines.backtest.limits import place_market
from pipelines.backtest.rules import Rules
from pipelines.backtest.simulation import cost_sheet_of, simulate
from pipelines.backtest.state import Attributes
from pipelines.backtest.trials import Judgement


@dataclass(frozen=True)
class Strategy:
    """What is tested, and what makes its run unique.

    name: of the algorithm. scanner: whose signals it trades. parameters: everything that shaped the signals (JSON values).
    input_fingerprint: identifies the bars, signals and actions handed in. code_version: of the project. trials: how many parameter
    sets were ever tried on these bars, this one included; None where that is not known, and then no Sharpe ratio is deflated unless
    a ledger judges the result.
    """

    name: str
    scanner: str
    input_fingerprint: str
    code_version: str
    parameters: Mapping[str, Any]
    trials: int | None = None


class Placing(Protocol):
    """How orders are made of signals; see `strategies.order_plan`."""

    def place(self, grid: Grid, orders: Orders, actions: pl.DataFrame | None) -> tuple[Grid, Orders]:
        """Grid and orders as the run takes them."""
        ...

    def placing(self, grid: Grid, actions: pl.DataFrame | None) -> Callable[[Orders], tuple[Grid, Orders]]:
        """`place` for several lots of orders on one grid."""
        ...

    def as_parameters(self) -> dict[str, Any]:
        """The plan as plain values, for `config_snapshot` and `run_id`."""
        ...


@dataclass(frozen=True)
class BacktestResult:
    """A run: the row of `backtest_runs` (without release_id), frames of `backtest_trades` and `backtest_equity`, and its counts.

    counts: signals that led to nothing, by cause: `late` (known too late to act on, or no session to act in), `no_slot`, `no_cash`,
    `expired` (no price in their sessions at which their side could trade), `entries_of_session` (the session had its number of
    them); also `cut` (entries limited by volume or cash), `fills`, `killed`. lowest_cash: lowest cash after any bar; below 0 where
    a gap between decision and fill cost more than was left.
    win_rate, profit_factor: over the trades, after costs.
    """

    run: dict[str, Any]
    trades: pl.DataFrame
    equity: pl.DataFrame
    counts: dict[str, int]
    lowest_cash: float
    win_rate: float | None
    profit_factor: float | None

    @property
    def run_id(self) -> str:
        """The run's identity."""
        return str(self.run["run_id"])

    def returns(self) -> pl.DataFrame:
        """Session returns of the run: session_date, ret (simple; the first one against the initial cash)."""
        initial = float(json.loads(self.run["config_snapshot"])["rules"]["initial_cash"])
        values = statistics.session_returns(self.equity["equity"].to_numpy(), initial)
        return pl.DataFrame({"session_date": self.equity["session_date"], "ret": values})

    def judged(self, judgement: Judgement) -> BacktestResult:
        """The same result with what a ledger says of its Sharpe ratio."""
        return replace(self, run={**self.run, **asdict(judgement)})

    def timed(self, seconds: float) -> BacktestResult:
        """The same result with its observed wall time in `execution_time_seconds`."""
        return replace(self, run={**self.run, "execution_time_seconds": float(seconds)})


def run_id_of(name: str, parameters: Mapping[str, Any], input_fingerprint: str, code_version: str) -> str:
    """Identity of a run: 32 hex digits of the SHA-256 over its canonical JSON.

    Raises TypeError for a parameter that JSON cannot hold.
    """
    identity = {"strategy": name, "parameters": parameters, "input": input_fingerprint, "code": code_version}
    return hashlib.sha256(_canonical(identity).encode()).hexdigest()[:32]


def run_backtest(
    bars: pl.DataFrame,
    signals: pl.DataFrame,
    strategy: Strategy,
    rules: Rules | None = None,
    costs: Costs | None = None,
    actions: pl.DataFrame | None = None,
    sessions: Sequence[date] = (),
    plan: Placing | None = None,
    attributes: Mapping[str, Attributes] | None = None,
) -> BacktestResult:
    """Trade `signals` on `bars`.

    bars, signals, actions: see `grid.build_grid`, `grid.place_signals` and `actions.effects_of`; prices as traded, times UTC, one
    exchange, one currency; `volume`, `series` and `prev_close` of bars are used where given. sessions: dates of the exchange's
    sessions, so that an order for a session without any bar expires; without them those of the bars are taken for all. rules:
    `Rules()` unless given. costs: none unless given. plan: how orders are made of signals; as they are unless given. attributes:
    sector, lot and tick by instrument_id, where they matter. Positions open at the end are closed at their last close with reason
    'end'.
    `execution_time_seconds` of the result is 0 until `BacktestResult.timed`.

    Raises InputError for frames that cannot be used, CostsError for a signal before the first date of a dated cost table.
    """
    rules, costs = rules or Rules(), costs or FlatCosts()
    config = _config(strategy, rules, costs)
    if plan is not None:
        config["orders"] = plan.as_parameters()
    run_id = run_id_of(strategy.name, config, strategy.input_fingerprint, strategy.code_version)
    grid = build_grid(bars, sessions)
    orders = place_signals(grid, signals, rules.signal_sessions)
    if plan is not None:
        grid, orders = plan.place(grid, orders, actions)
    sheet = cost_sheet_of(grid, orders, costs)
    placed = place_market(grid, bars, actions, rules)
    account, trades, curve = simulate(grid, orders, rules, sheet, placed, attributes)
    equity = equity_frame(run_id, grid, curve, rules.initial_cash)
    trade_frame = trades_frame(run_id, grid, orders, trades)
    returns = statistics.session_returns(equity["equity"].to_numpy(), rules.initial_cash)
    low, high = statistics.sharpe_interval(returns, statistics.seed_of(run_id))
    pnl = trade_frame["pnl"].to_numpy()
    run = {
        "run_id": run_id,
        "exchange": _exchange(grid),
        "algorithm_name": strategy.name,
        "scanner_used": strategy.scanner,
        "start_date": grid.session_dates[0],
        "end_date": grid.session_dates[-1],
        "symbols_tested": len(grid.instruments),
        "total_signals": signals.height,
        "trades": trade_frame.height,
        "total_return": statistics.total_return(returns),
        "cagr": statistics.cagr(returns),
        "max_drawdown": statistics.max_drawdown(returns),
        "sharpe_ratio": statistics.sharpe(returns),
        "sortino_ratio": statistics.sortino(returns),
        "sharpe_ci_low": low,
        "sharpe_ci_high": high,
        "deflated_sharpe": None if strategy.trials is None else statistics.deflated_sharpe(returns, strategy.trials),
        "trials": strategy.trials,
        "min_track_record": None if strategy.trials is None else statistics.min_track_record(returns, strategy.trials),
        "overfitting_probability": None,
        "turnover": statistics.turnover(float(account["traded"]), equity["equity"].to_numpy()),
        "costs": float(account["fees"]),
        "costs_assumed": _trades_at(trades, sheet.assumed),
        "costs_unsure": _trades_at(trades, sheet.unsure),
        "execution_time_seconds": 0.0,
        "config_snapshot": _canonical(config),
    }
    return BacktestResult(
        run=run,
        trades=trade_frame,
        equity=equity,
        counts={
            "late": orders.late,
            "no_slot": int(account["refused_slots"]),
            "no_cash": int(account["refused_cash"]),
            "expired": int(account["expired"]),
            "cut": int(account["cut"]),
            "entries_of_session": int(account["refused_entries"]),
            "fills": int(account["fills"]),
            "killed": int(account["killed"]),
        },
        lowest_cash=float(account["lowest_cash"]),
        win_rate=statistics.win_rate(pnl),
        profit_factor=statistics.profit_factor(pnl),
    )


def _trades_at(trades: np.ndarray, flagged: np.ndarray) -> int:
    """How many trades have a side at a flagged step."""
    return int((flagged[trades["entry_step"]] | flagged[trades["exit_step"]]).sum())


def _config(strategy: Strategy, rules: Rules, costs: Costs) -> dict[str, Any]:
    return {
        "scanner": strategy.scanner,
        "parameters": dict(strategy.parameters),
        "rules": rules.as_parameters(),
        "costs": costs.as_parameters(),
        "trials": strategy.trials,
        "input_fingerprint": strategy.input_fingerprint,
        "code_version": strategy.code_version,
    }


def _exchange(grid: Grid) -> str:
    exchanges = {instrument.split(":", 1)[0] for instrument in grid.instruments}
    if len(exchanges) != 1:
        raise InputError(f"bars: instruments of several exchanges ({', '.join(sorted(exchanges))}); backtest them one at a time.")
    return exchanges.pop()


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
