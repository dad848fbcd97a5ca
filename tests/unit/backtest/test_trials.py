"""The ledger counts parameter sets by itself, and judges a run among them."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import polars as pl
import pytest

from pipelines.backtest import statistics
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.strategies.tried import trial_of
from pipelines.backtest.trials import LEDGER, Ledger, Trial, family_of, record_trials
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

MIC = "XNYS"
SESSIONS = pl.date_range(date(2018, 1, 1), date(2022, 12, 31), "1d", eager=True)
SESSIONS = SESSIONS.filter(SESSIONS.dt.weekday() < 6)


def returns_of(values: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"session_date": SESSIONS[: values.size], "ret": values})


def noise(seed: int, mean: float = 0.0, sessions: int = len(SESSIONS)) -> pl.DataFrame:
    return returns_of(np.random.default_rng(seed).normal(mean, 0.01, sessions))


def trial(returns: pl.DataFrame, stop: float, family: str = "s", name: str = "n") -> Trial:
    return Trial(MIC, family, name, {"stop": stop}, returns)


def ledger_of(trials: list[Trial]) -> Ledger:
    """As `record_trials` and `Ledger.read` have it, without a lake."""
    return Ledger(pl.DataFrame([one.as_row() for one in trials]), pl.concat([one.months() for one in trials]))


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_a_set_counts_once_however_often_it_is_run_and_whatever_it_is_called(lake: Lake):
    record_trials(lake, MIC, [trial(noise(1), 0.05), trial(noise(2), 0.1)])
    record_trials(lake, MIC, [trial(noise(3, sessions=500), 0.05, name="renamed")])
    ledger = Ledger.read(lake, MIC, "s")
    assert ledger.trials == 2
    newest = ledger.rows.filter(pl.col("strategy") == "renamed").row(0, named=True)
    assert (newest["sessions"], newest["end_date"], newest["parameters"]) == (500, SESSIONS[499], '{"stop":0.05}')
    assert newest["sharpe_per_session"] == statistics.sharpe_per_session(noise(3, sessions=500)["ret"].to_numpy())
    months = ledger.months.filter(pl.col("trial_id") == newest["trial_id"])
    assert months.get_column("sessions").sum() == 500
    assert LakeTable(lake.table_uri(MIC, LEDGER[1]), TABLES[LEDGER[1]]).read().get_column("trial_id").n_unique() == 2


def test_families_are_counted_apart_and_pinned_versions_as_they_were(lake: Lake):
    assert Ledger.read(lake, MIC, "s").trials == 0
    record_trials(lake, MIC, [trial(noise(1), 0.05)])
    record_trials(lake, MIC, [trial(noise(1), 0.05, family="other")])
    before = {name: LakeTable(lake.table_uri(MIC, name), TABLES[name]).version() or 0 for name in LEDGER}
    record_trials(lake, MIC, [trial(noise(2), 0.1), trial(noise(2), 0.1)])
    assert [Ledger.read(lake, MIC, family).trials for family in ("s", "other", "none")] == [2, 1, 0]
    assert Ledger.read(lake, MIC, "s", before).trials == 1
    assert Ledger.read(lake, MIC, "s", {}).trials == 0


def test_what_trades_the_same_scanners_is_one_family_and_name_and_dates_are_no_parameter():
    def of(**keys) -> Trial:
        return trial_of(MIC, StrategyFile.model_validate({"strategy": "abc", "scanners": ["b", "a"], **keys}), noise(1))

    same = [of(), of(strategy="renamed"), of(dates={"from": "2019-01-01"}), of(scanners=["a", "b"]), of(exchange=MIC), of(cash=1e6)]
    assert len({one.trial_id for one in same}) == 1
    assert same[0].family == family_of(["a", "b", "a"]) == "a,b"
    others = [of(limits={"positions": 3}), of(universe=["AAPL"]), of(costs={"schedule": "none"}), of(scanners=["a"])]
    assert len({one.trial_id for one in [*same, *others]}) == 5


def test_months_hold_what_the_sharpe_ratio_needs():
    one = noise(4, 0.0005)
    months = trial(one, 0.1).months()
    count, total, squares = (months.get_column(name).sum() for name in ("sessions", "return_sum", "return_squares"))
    deviation = math.sqrt((squares - total**2 / count) / (count - 1))
    assert total / count / deviation == pytest.approx(statistics.sharpe_per_session(one["ret"].to_numpy()))
    assert months.get_column("month").to_list()[:2] == [date(2018, 1, 1), date(2018, 2, 1)]


def test_n_and_the_variance_of_the_papers_example_come_from_the_ledger():
    """Bailey and López de Prado (2014): 100 trials, variance 1/2 of annual ratios of 250 sessions; skew −3, kurtosis 10."""
    # Of two values, the lower 105 times of 1,250, the skew is −3 and the kurtosis 10, nearly.
    low = np.arange(1250) % 12 == 11
    low[:11] |= np.arange(11) == 5
    values = np.where(low, -0.01 * (1250 - low.sum()) / low.sum(), 0.01)
    values += 2.5 / math.sqrt(250) * values.std(ddof=1) - values.mean()
    ratios = np.linspace(-1, 1, 100)
    ratios *= math.sqrt(0.5 / 250 / ratios.var(ddof=1))
    rows = pl.DataFrame({"trial_id": [str(k) for k in range(100)], "sharpe_per_session": ratios})
    ledger = Ledger(rows, trial(returns_of(values), 0).months())
    assert ledger.trials == 100
    assert statistics.expected_best_sharpe(ledger.trials, ledger.variance(1250) or 0) == pytest.approx(0.1132, abs=5e-5)
    judged = ledger.judge(returns_of(values))
    assert (judged.trials, judged.deflated_sharpe) == (100, pytest.approx(0.9004, abs=2e-4))
    # The record of 5 years is too short for 95 %; one of this length is just enough.
    assert judged.min_track_record is not None
    assert judged.min_track_record > 1250


def test_the_best_of_a_thousand_sets_of_noise_is_called_overfitted():
    trials = [trial(noise(k), float(k)) for k in range(1000)]
    ledger = ledger_of(trials)
    best = max(trials, key=lambda one: one.as_row()["sharpe_per_session"])
    assert statistics.deflated_sharpe(best.returns["ret"].to_numpy(), 1) > 0.99  # alone it would look like a find
    judged = ledger.judge(best.returns)
    assert judged.trials == 1000
    assert judged.deflated_sharpe < 0.9
    assert judged.overfitting_probability > 0.3


def test_a_set_with_an_edge_among_others_is_not():
    trials = [trial(noise(k), float(k)) for k in range(20)] + [trial(noise(99, 0.002), 99.0)]
    judged = ledger_of(trials).judge(trials[-1].returns)
    assert judged.deflated_sharpe > 0.95
    assert judged.overfitting_probability < 0.01
    assert judged.min_track_record < len(SESSIONS)


def test_a_single_set_is_compared_with_no_edge_at_all():
    one = trial(noise(7, 0.0005), 0.1)
    judged = ledger_of([one]).judge(one.returns)
    assert (judged.trials, judged.overfitting_probability) == (1, None)
    assert judged.deflated_sharpe == statistics.deflated_sharpe(one.returns["ret"].to_numpy(), 1)


def test_overfitting_is_asked_of_sets_that_were_run_over_all_months_of_the_run():
    whole, short = [trial(noise(k), float(k)) for k in range(3)], trial(noise(9, sessions=300), 9.0)
    alone, among = ledger_of(whole), ledger_of([*whole, short])
    assert among.overfitting(whole[0].returns) == alone.overfitting(whole[0].returns) is not None
    # 300 sessions are 14 months.
    assert among.overfitting(short.returns) is None


def test_trials_beside_the_ledger_count_and_differ_by_chance_at_least():
    alike = [trial(noise(1), 0.1), trial(noise(1).with_columns(pl.col("ret") * 1.0001), 0.2)]
    ledger = ledger_of(alike)
    beside = ledger.with_besides(19, "none of them")
    assert (beside.trials, beside.variance(251)) == (21, pytest.approx(1 / 250))
    assert ledger.variance(251) < 1e-12
    # The set that is on the ledger and beside it is one.
    assert ledger.with_besides(19, alike[0].trial_id).trials == 20
    assert ledger_of(alike[:1]).with_besides(19, "none of them").variance(251) is None
