"""All figures of a run's verdict.

Lives here: `find_evidence`, from a run and what it was made of to `Evidence`.
Does not live here: the runs that are made for it (`shuffled`, `look_ahead`), the sentence that follows (`sentence`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from pipelines.backtest import statistics
from pipelines.backtest.overfitting import BLOCKS
from pipelines.backtest.run_setup import RunSetup
from pipelines.backtest.sweep import Case, run_cases
from pipelines.backtest.verdict.capacity import SHARE, find_capacity
from pipelines.backtest.verdict.figures import FIGURES, Evidence, Figure
from pipelines.backtest.verdict.look_ahead import LookAhead, find_peeks
from pipelines.backtest.verdict.scanners import ScannersTried
from pipelines.backtest.verdict.shuffled import ShuffledRuns, shuffled_runs

_CONFIGURED = ("scanner", "parameters", "rules", "costs", "orders")


def find_evidence(
    setup: RunSetup,
    run: Mapping[str, Any],
    trades: pl.DataFrame,
    equity: pl.DataFrame,
    restated: Mapping[str, int],
    scanners: ScannersTried | None = None,
) -> Evidence:
    """The evidence for and against a run.

    run, trades, equity: rows of `backtest_runs`, `backtest_trades` and `backtest_equity`; setup: what they were made of. restated:
    of `restated.count_restated`. scanners: of `scanners.try_scanners`, where they were tried. The same run gives the same evidence:
    what is drawn by lot has its seed from the configuration.
    """
    levels = equity.sort("session_date").get_column("equity").to_numpy()
    returns = statistics.session_returns(levels, setup.rules.initial_cash)
    ahead = _with_scanners(find_peeks(setup, levels), scanners)
    shuffled = shuffled_runs(setup, statistics.seed_of(_seeded_by(run)))
    figures = {
        "trials": _trials(run),
        "deflated_sharpe": _deflated(run, returns),
        "overfitting_probability": _overfitting(run),
        "track_record": _track_record(run, returns),
        "survivorship": _survivorship(setup, run),
        "cost_share": _cost_share(trades, setup.rules.initial_cash),
        "capacity": _capacity(setup, trades),
        "restated_rows": _restated(setup, restated),
        "look_ahead": _look_ahead(ahead),
        "shuffled_percentile": _rank(shuffled, returns),
    }
    return Evidence(
        sessions=returns.size,
        trades=trades.height,
        net_return=statistics.total_return(returns),
        by_luck_alone=statistics.deflated_sharpe(returns, 1),
        cash=setup.rules.initial_cash,
        peeks=ahead.peeks,
        base_win_rate=_base_win_rate(shuffled),
        base_return=None if shuffled is None else float(np.median(shuffled.returns)),
        figures={name: figures[name] for name in FIGURES},
    )


def _trials(run: Mapping[str, Any]) -> Figure:
    if run["trials"] is None:
        return Figure.unknown("nobody counted how many parameter sets were tried")
    made_of = f"sets of backtest_trials that trade {run['scanner_used']}, this one too; nightly also the home's other scanners"
    return Figure(run["trials"], made_of)


def _deflated(run: Mapping[str, Any], returns: np.ndarray) -> Figure:
    ratio = statistics.sharpe_per_session(returns)
    if run["deflated_sharpe"] is None:
        return Figure.unknown(_no_sharpe(returns) if run["trials"] is not None else "how many were tried is not known")
    return Figure(
        run["deflated_sharpe"],
        f"Sharpe ratio {ratio or 0.0:.4f} a session over {returns.size:,} sessions, against the best of {run['trials']:,} by luck",
    )


def _overfitting(run: Mapping[str, Any]) -> Figure:
    if run["overfitting_probability"] is None:
        months = (run["end_date"].year - run["start_date"].year) * 12 + run["end_date"].month - run["start_date"].month + 1
        why = f"{months} months, and it takes {BLOCKS}" if months < BLOCKS else "fewer than two parameter sets have all its months"
        return Figure.unknown(why)
    return Figure(run["overfitting_probability"], f"the family's sets that have all months of this run, cut into {BLOCKS} blocks")


def _track_record(run: Mapping[str, Any], returns: np.ndarray) -> Figure:
    there = f"there are {returns.size:,} sessions"
    if run["min_track_record"] is None:
        if run["trials"] is None:
            return Figure.unknown("how many were tried is not known", there)
        undefined = returns.size < statistics.LEAST_SESSIONS or statistics.sharpe_per_session(returns) is None
        return Figure.unknown(_no_sharpe(returns) if undefined else "no length is enough for such a Sharpe ratio", there)
    return Figure(run["min_track_record"], f"{there}; needed for 95 % confidence to be above the best by luck")


def _no_sharpe(returns: np.ndarray) -> str:
    if returns.size < statistics.LEAST_SESSIONS:
        return f"{returns.size} sessions, and it takes {statistics.LEAST_SESSIONS}"
    return "its returns do not vary"


def _survivorship(setup: RunSetup, run: Mapping[str, Any]) -> Figure:
    survivors = setup.survivors
    if survivors.missing or survivors.bars is None or survivors.signals is None:
        return Figure.unknown(survivors.missing)
    if survivors.bars.is_empty():
        return Figure.unknown("no instrument of this run is a member at its end")
    (case,) = run_cases(
        survivors.bars,
        [Case({}, survivors.signals, setup.rules, setup.plan)],
        setup.costs,
        setup.actions,
        setup.sessions,
        attributes=setup.attributes,
    )
    theirs, own = case.figures["cagr"], run["cagr"]
    if theirs is None or own is None:
        return Figure.unknown("a growth a year is not defined")
    count, of = (frame.get_column("instrument_id").n_unique() for frame in (survivors.bars, setup.bars))
    return Figure(
        theirs - own,
        f"{theirs:.2%} a year on the {count:,} of {of:,} instruments that are members at the end, {own:.2%} on those of each date",
    )


def _cost_share(trades: pl.DataFrame, cash: float) -> Figure:
    if trades.is_empty():
        return Figure.unknown("no trade")
    fees = float(trades.get_column("fees").sum())
    gross = float(trades.get_column("pnl").sum()) + fees
    made_of = f"costs {fees:,.0f} of a gross profit of {gross:,.0f} ({gross / cash:.1%} of the initial cash)"
    return Figure(fees / gross, made_of) if gross > 0 else Figure.unknown("there is no gross profit that costs could eat", made_of)


def _capacity(setup: RunSetup, trades: pl.DataFrame) -> Figure:
    if trades.is_empty():
        return Figure.unknown("no trade")
    found = find_capacity(trades, setup.bars, setup.actions, setup.rules.initial_cash)
    if found.money is None or found.typical is None:
        return Figure.unknown("no bar of an entry tells its volume")
    apart = f"; {found.unknown:,} without a volume left out" if found.unknown else ""
    return Figure(
        found.money,
        f"initial cash at which 19 of 20 of {found.entries:,} entries stay within {SHARE:.0%} of their bar's volume; half of "
        f"them do at {found.typical:,.0f}{apart}",
    )


def _restated(setup: RunSetup, restated: Mapping[str, int]) -> Figure:
    parts = ", ".join(f"{name} {count:,}" for name, count in restated.items())
    made_of = f"rows between first and last session that replaced others: {parts}; of {setup.bars.height:,} bars"
    return Figure(sum(restated.values()), made_of)


def _look_ahead(found: LookAhead) -> Figure:
    return Figure(len(found.peeks), f"tried: {'; '.join(found.tried)}")


def _with_scanners(found: LookAhead, scanners: ScannersTried | None) -> LookAhead:
    """What was found of a run and of its scanners. A nightly run's scanners are tried the same night, by their asset checks."""
    if scanners is None:
        return LookAhead(found.peeks, (*found.tried, "the scanners' own SQL by their asset checks look_ahead, not here"))
    return LookAhead((*found.peeks, *scanners.peeks), (*found.tried, scanners.describe()))


def _rank(runs: ShuffledRuns | None, returns: np.ndarray) -> Figure:
    own = statistics.sharpe_per_session(returns)
    if runs is None:
        return Figure.unknown("no signal led to an order")
    if own is None:
        return Figure.unknown("its returns do not vary")
    below = float((runs.ratios < own).sum()) + 0.5 * float((runs.ratios == own).sum())
    return Figure(
        below / runs.ratios.size,
        f"by Sharpe ratio after costs among {runs.ratios.size} runs of the same rules, each instrument's signals at random times; "
        f"their median return is {float(np.median(runs.returns)):.1%}, from {float(np.median(runs.trades)):,.0f} trades",
    )


def _base_win_rate(runs: ShuffledRuns | None) -> float | None:
    """Mean part of profitable trades of the shuffled runs that traded."""
    if runs is None or np.isnan(runs.win_rates).all():
        return None
    return float(np.nanmean(runs.win_rates))


def _seeded_by(run: Mapping[str, Any]) -> str:
    """The configuration of a run without what a new session or another version of the code changes: they draw the same lots."""
    config = json.loads(run["config_snapshot"])
    return json.dumps({name: value for name, value in config.items() if name in _CONFIGURED}, sort_keys=True)
