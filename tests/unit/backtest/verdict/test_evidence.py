"""The figures of a verdict, on runs whose verdict is known: by lot, tuned on noise, peeking, short, and good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.grid import Grid, Orders, build_grid, offsets_of, place_signals
from pipelines.backtest.portfolio import BacktestResult
from pipelines.backtest.run_setup import RunSetup
from pipelines.backtest.strategies.order_plan import OrderPlan
from pipelines.backtest.sweep import Case, run_cases
from pipelines.backtest.trials import Ledger, Trial
from pipelines.backtest.verdict.capacity import find_capacity
from pipelines.backtest.verdict.evidence import find_evidence
from pipelines.backtest.verdict.figures import Evidence
from pipelines.backtest.verdict.look_ahead import count_early, find_peeks
from pipelines.backtest.verdict.scanners import ScannersTried
from pipelines.backtest.verdict.sentence import conclude
from pipelines.backtest.verdict.shuffled import Shuffler
from tests.support.verdict_market import FIRST, random_signals, setup_of, signals_at, walks

NOTHING_RESTATED = {"bars_daily": 0}


def evidence_of(setup: RunSetup, result: BacktestResult | None = None) -> Evidence:
    result = result or setup.run()
    return find_evidence(setup, result.run, result.trades, result.equity, NOTHING_RESTATED)


def good_signals(bars: pl.DataFrame, instruments: int) -> pl.DataFrame:
    """Every tenth session of each instrument: what `walks` may be given a drift after."""
    sessions = bars.get_column("session_date").n_unique()
    return signals_at(bars, [(k, i) for i in range(instruments) for k in range(5 + i, sessions - 6, 10)])


def rewarding_market(sessions: int) -> pl.DataFrame:
    """Each instrument rises for three sessions after every one of its signals, and falls as much at other times."""
    drifts = np.full((sessions, 6), -0.002)
    for i in range(6):
        for k in range(5 + i, sessions - 6, 10):
            drifts[k + 1 : k + 6, i] = 0.006
    return walks(sessions, seed=4, drifts=drifts)


def test_random_signals_have_no_edge_after_costs() -> None:
    bars = walks(1500, seed=2)
    evidence = evidence_of(setup_of(bars, random_signals(bars, 900, seed=3)))
    assert conclude(evidence).kind == "no_edge"
    assert evidence.value("look_ahead") == 0


def test_signals_that_know_something_rank_above_all_shuffled_ones() -> None:
    bars = rewarding_market(1500)
    evidence = evidence_of(setup_of(bars, good_signals(bars, 6)))
    assert evidence.value("shuffled_percentile") == 1.0
    assert conclude(evidence).kind == "holds_so_far"
    # Nobody left this market, so that what survivorship is worth cannot be said.
    assert "nobody who left" in evidence.figures["survivorship"].missing


@pytest.mark.slow
@pytest.mark.measured
def test_the_best_of_many_sets_on_noise_is_called_overfitted() -> None:
    bars = walks(800, instruments=3, seed=5)
    setups = [setup_of(bars, random_signals(bars, 90, seed=k), bps=0.0) for k in range(1000)]
    tried = run_cases(bars, [Case({"lot": k}, setup.signals, setup.rules) for k, setup in enumerate(setups)])
    trials = [Trial("XNYS", "lots", "by_lot", {"lot": k}, case.returns) for k, case in enumerate(tried)]
    ledger = Ledger(pl.DataFrame([trial.as_row() for trial in trials]), pl.concat([trial.months() for trial in trials]))
    best = max(range(len(tried)), key=lambda k: tried[k].figures["sharpe_ratio"])
    result = setups[best].run()
    evidence = evidence_of(setups[best], result.judged(ledger.judge(result.returns())))
    assert evidence.value("trials") == 1000
    assert (evidence.by_luck_alone or 0.0) > 0.95
    assert conclude(evidence).kind == "overfitted"


def test_a_short_record_is_too_short() -> None:
    bars = rewarding_market(120)
    assert conclude(evidence_of(setup_of(bars, good_signals(bars, 6)))).kind == "too_short"


def test_filling_at_the_decision_s_own_close_is_peeking() -> None:
    bars = rewarding_market(600)
    verdict = conclude(evidence_of(setup_of(bars, good_signals(bars, 6), fill_at="close")))
    assert verdict.kind == "peeks"
    assert "fills.price: close" in verdict.sentence


def test_sizing_by_the_price_of_the_fill_is_peeking() -> None:
    bars = rewarding_market(600)
    setup = replace(setup_of(bars, good_signals(bars, 6)), plan=OrderPlan(size_at_fill=True))
    assert "sizing.price: fill" in conclude(evidence_of(setup)).sentence


def test_signals_known_before_their_bar_has_closed_are_peeking() -> None:
    bars = walks(400)
    honest = signals_at(bars, [(k, 0) for k in range(10, 390, 10)])
    early = honest.with_columns(known_at=pl.col("known_at") - timedelta(hours=7))
    assert count_early(bars, honest) == 0
    assert count_early(bars, early) == honest.height
    assert conclude(evidence_of(setup_of(bars, early))).kind == "peeks"


def test_a_scanner_that_sees_ahead_is_named_and_what_was_tried_is_said() -> None:
    bars = walks(400)
    setup = setup_of(bars, random_signals(bars, 200, seed=1))
    result = setup.run()
    given = (setup, result.run, result.trades, result.equity, NOTHING_RESTATED)
    seen = find_evidence(*given, ScannersTried(4, ("3 signals of lots are others where what came after is cut off",), ()))
    assert (conclude(seen).kind, seen.value("look_ahead")) == ("peeks", 1)
    assert "3 signals of lots" in conclude(seen).sentence
    clean = find_evidence(*given, ScannersTried(4, (), ("gone",)))
    assert clean.value("look_ahead") == 0
    assert (
        "4 scans repeated without their future; not tried, since the home has it no more: gone"
        in clean.figures["look_ahead"].made_of
    )
    assert "by their asset checks look_ahead, not here" in find_evidence(*given).figures["look_ahead"].made_of


@dataclass(frozen=True)
class KnowsTheEnd:
    """Orders only what will have risen by the end of the run."""

    def placing(self, grid: Grid, actions: pl.DataFrame | None) -> Callable[[Orders], tuple[Grid, Orders]]:
        return lambda orders: self.place(grid, orders, actions)

    def place(self, grid: Grid, orders: Orders, actions: pl.DataFrame | None) -> tuple[Grid, Orders]:
        rows = orders.orders
        steps = np.repeat(np.arange(grid.steps), np.diff(orders.offsets))
        rises = grid.bars.close[-1, rows["instrument"]] > grid.bars.close[steps, rows["instrument"]]
        return grid, replace(orders, orders=rows[rises], offsets=offsets_of(steps[rises], grid.steps))

    def as_parameters(self) -> dict[str, Any]:
        return {}


def test_a_run_that_uses_later_prices_is_found_by_cutting_them_off() -> None:
    bars = walks(400, seed=9)
    setup = setup_of(bars, random_signals(bars, 300, seed=1))
    honest, peeking = setup, replace(setup, plan=KnowsTheEnd())
    for given, found in ((honest, False), (peeking, True)):
        equity = given.run().equity.get_column("equity").to_numpy()
        assert bool(find_peeks(given, equity).peeks) == found
    assert conclude(evidence_of(peeking)).kind == "peeks"


def test_the_same_run_has_the_same_evidence() -> None:
    bars = walks(300, seed=6)
    setup = setup_of(bars, random_signals(bars, 200, seed=1))
    assert evidence_of(setup) == evidence_of(setup)


def test_shuffled_signals_keep_their_instruments_sides_and_distances() -> None:
    bars = walks(200, seed=7)
    signals = random_signals(bars, 120, seed=2).join(
        bars.select("instrument_id", "session_date", "close"), on=["instrument_id", "session_date"]
    )
    signals = signals.with_columns(stop_loss=pl.col("close") * 0.9).drop("close")
    grid = build_grid(bars)
    orders = place_signals(grid, signals, 1)
    moved = Shuffler(grid, orders).draw(np.random.default_rng(1))
    assert sorted(moved.orders["instrument"]) == sorted(orders.orders["instrument"])
    steps = np.repeat(np.arange(grid.steps), np.diff(moved.offsets))
    ratio = moved.orders["stop"] / grid.bars.sizing[steps, moved.orders["instrument"]]
    assert ratio == pytest.approx(np.full(ratio.size, 0.9))
    assert not np.array_equal(orders.offsets, moved.offsets)


@pytest.mark.parametrize("count", [10, 90, 200])
def test_shuffled_signals_of_an_instrument_come_at_different_sessions(count: int) -> None:
    """Few ones by drawing again, many by a permutation: all of them where there are as many as bars."""
    bars = walks(200, instruments=1)
    grid = build_grid(bars)
    orders = place_signals(grid, signals_at(bars, [(k, 0) for k in range(count)]), 1)
    moved = Shuffler(grid, orders).draw(np.random.default_rng(2))
    steps = np.repeat(np.arange(grid.steps), np.diff(moved.offsets))
    assert np.unique(steps).size == count
    assert (steps.min() >= 0, steps.max() <= orders.orders.size) == (True, True)


def test_survivorship_is_what_the_survivors_would_have_made_beyond_the_run() -> None:
    bars = walks(600, seed=8)
    # The last two lose half a percent a session and are gone after 400 of 600.
    day = FIRST.date() + timedelta(days=400)
    loses = pl.col("instrument_id").is_in(["XNYS:I4", "XNYS:I5"])
    fall = 0.995 ** (pl.col("session_date") - FIRST.date()).dt.total_days()
    prices = [
        pl.when(loses).then(pl.col(name) * fall).otherwise(pl.col(name)).alias(name) for name in ("open", "high", "low", "close")
    ]
    bars = bars.with_columns(prices).filter(~loses | (pl.col("session_date") < day))
    setup = setup_of(bars, random_signals(bars, 500, seed=3), bps=0.0)
    figure = evidence_of(setup).figures["survivorship"]
    assert figure.value is not None
    assert figure.value > 0.02
    assert "4 of 6 instruments" in figure.made_of


def test_capacity_is_the_money_at_which_entries_reach_a_twentieth_of_the_volume() -> None:
    bars = walks(40, instruments=1)
    result = setup_of(bars, signals_at(bars, [(5, 0), (15, 0), (25, 0)]), bps=0.0).run()
    entry = result.trades.row(0, named=True)
    found = find_capacity(result.trades.head(1), bars, None, 1e6)
    # 5 % of 1,000,000 shares, over the shares of the entry.
    assert found.money == pytest.approx(1e6 * 50_000 / entry["quantity"])
    split = pl.DataFrame({"instrument_id": ["XNYS:I0"], "ex_date": [entry["exit_ts"].date()], "action": ["split"], "ratio": [2.0]})
    # The quantity of a trade is that of its exit: twice the shares that were bought.
    assert find_capacity(result.trades.head(1), bars, split, 1e6).money == pytest.approx(1e6 * 100_000 / entry["quantity"])
    assert find_capacity(result.trades, bars.drop("volume"), None, 1e6).money is None


def test_a_figure_that_cannot_be_had_says_why() -> None:
    bars = walks(60)
    evidence = evidence_of(setup_of(bars, signals_at(bars, [])))
    assert conclude(evidence).kind == "nothing_traded"
    for name in ("cost_share", "capacity", "shuffled_percentile", "deflated_sharpe", "overfitting_probability"):
        assert evidence.figures[name].missing, name
