"""The schedule of a nightly run: which lines a fill of the kernel pays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from pipelines.backtest.charge_table import CostsError
from pipelines.backtest.exchange_costs import CostSettings, StatutoryCosts, exchange_costs
from pipelines.backtest.portfolio import Strategy, run_backtest
from pipelines.backtest.rules import Rules
from pipelines.backtest.signal_performance.performance import ScannerId
from pipelines.backtest.update import BacktestInputs, count_trials, run_nightly
from pipelines.market.tables import TABLES
from pipelines.storage.delta import empty_frame

MONDAY = date(2025, 1, 13)
LEVIES = (0.0000297 + 0.000001 + 0.000001) * 1.18
FREE = CostSettings(bps=0.0, depository_charge=0.0)


def days(instrument: str, prices: list[float], low: float | None = None, first: date = MONDAY) -> pl.DataFrame:
    """Flat days at these prices; `low` is touched in the second one."""
    opens = [datetime(first.year, first.month, first.day, 3, 45, tzinfo=UTC) + timedelta(days=k) for k in range(len(prices))]
    lows = [low if low is not None and k == 1 else price for k, price in enumerate(prices)]
    return pl.DataFrame(
        {
            "instrument_id": [instrument] * len(prices),
            "session_date": [moment.date() for moment in opens],
            "ts_open": opens,
            "ts_close": [moment + timedelta(hours=6, minutes=15) for moment in opens],
            "open": prices,
            "high": prices,
            "low": lows,
            "close": prices,
        }
    )


def bought(bars: pl.DataFrame, stop: float | None = None) -> pl.DataFrame:
    """One purchase, decided at the first close."""
    first = bars.row(0, named=True)
    row = {"signal_id": "x", "instrument_id": first["instrument_id"], "session_date": first["session_date"]}
    row |= {"known_at": first["ts_close"], "signal_type": "BUY", "target_price": None, "stop_loss": stop}
    return pl.DataFrame([row], schema_overrides={"target_price": pl.Float64, "stop_loss": pl.Float64})


def fees(bars: pl.DataFrame, settings: CostSettings, classes: dict[str, str] | None = None, stop: float | None = None) -> dict:
    """Of a purchase with all the cash, by share, and the run's counts of what is assumed or unsure."""
    costs = exchange_costs("XNSE", settings, classes or {})
    result = run_backtest(bars, bought(bars, stop), Strategy("s", "s", "f", "c", {}), Rules(100_000, 1.0, 1), costs)
    trade = result.trades.row(0, named=True)
    return {"share": trade["fees"] / trade["quantity"], **{name: result.run[name] for name in ("costs_assumed", "costs_unsure")}}


def test_a_share_held_overnight_pays_delivery_on_both_sides() -> None:
    paid = fees(days("XNSE:A", [100.0, 100.0, 110.0]), FREE)
    assert paid["share"] == pytest.approx(100 * (0.001 + 0.00015 + LEVIES) + 110 * (0.001 + LEVIES))
    assert (paid["costs_assumed"], paid["costs_unsure"]) == (0, 0)


def test_a_share_stopped_out_in_the_session_of_its_entry_pays_intraday_on_both_sides() -> None:
    paid = fees(days("XNSE:A", [100.0, 100.0, 110.0], low=90.0), CostSettings(bps=0.0), stop=95.0)
    assert paid["share"] == pytest.approx(100 * (0.00003 + LEVIES) + 95 * (0.00025 + LEVIES))


def test_a_fund_pays_its_own_lines_beside_a_share_in_one_run() -> None:
    bars = pl.concat([days("XNSE:A", [100.0] * 3), days("XNSE:NIFTYBEES", [100.0] * 3)])
    signals = pl.concat([bought(bars), bought(bars[3:]).with_columns(signal_id=pl.lit("y"))])
    costs = exchange_costs("XNSE", FREE, {"XNSE:NIFTYBEES": "equity_fund"})
    trades = run_backtest(bars, signals, Strategy("s", "s", "f", "c", {}), Rules(100_000, 0.4), costs).trades
    share, fund = (trades.filter(pl.col("instrument_id") == name).row(0, named=True) for name in ("XNSE:A", "XNSE:NIFTYBEES"))
    assert share["fees"] / share["quantity"] == pytest.approx(100 * (0.002 + 0.00015 + 2 * LEVIES))
    assert fund["fees"] / fund["quantity"] == pytest.approx(100 * (0.00001 + 0.00015 + 2 * LEVIES))


def test_basis_points_come_on_top_and_the_depository_takes_its_amount_once() -> None:
    bars = days("XNSE:A", [100.0, 100.0, 100.0])
    plain, dear = (fees(bars, settings)["share"] for settings in (FREE, CostSettings(bps=5.0, depository_charge=0.0)))
    assert dear - plain == pytest.approx(100 * 0.001)
    costs = exchange_costs("XNSE", CostSettings(bps=0.0), {})
    one = run_backtest(bars, bought(bars), Strategy("s", "s", "f", "c", {}), Rules(100_000, 1.0, 1), costs).trades.row(
        0, named=True
    )
    assert one["fees"] == pytest.approx(one["quantity"] * plain + 15.34)


def test_before_the_table_a_run_assumes_and_counts_it_or_fails_as_the_setting_says() -> None:
    bars = days("XNSE:A", [100.0, 100.0, 100.0], first=date(2003, 6, 2))
    paid = fees(bars, FREE)
    assert paid["share"] == pytest.approx(200 * (0.00075 + 0.0001 + 0.000037001 * 1.102))
    assert (paid["costs_assumed"], paid["costs_unsure"]) == (1, 1)
    with pytest.raises(CostsError, match=r"no rates in force at 2003-06-02.*MARKETLAKE_BACKTEST_BEFORE_COST_TABLE"):
        fees(bars, CostSettings(before_table="refuse"))
    with pytest.raises(CostsError, match="must be refuse or assume"):
        CostSettings(before_table="hope")


def test_a_trade_at_a_weak_line_is_counted() -> None:
    assert fees(days("XNSE:A", [100.0] * 3, first=date(2024, 6, 3)), FREE)["costs_unsure"] == 1


def test_an_exchange_without_a_table_pays_the_basis_points() -> None:
    parameters = exchange_costs("XNYS", CostSettings(bps=7.0), {}).as_parameters()
    assert parameters == {"schedule": "flat", "buy_bps": 7.0, "sell_bps": 7.0, "minimum": 0.0}


def test_other_classes_of_instruments_are_another_run() -> None:
    one, other = (StatutoryCosts("XNSE", FREE, classes).as_parameters() for classes in ({}, {"XNSE:A": "other_fund"}))
    assert one != other
    assert one["tables"] == other["tables"]


def test_trials_are_the_declared_scanners_and_those_that_left_signals_on_record() -> None:
    declared = {name: ScannerId(2, "hash") for name in "abc"}
    assert count_trials(declared, []) == 3
    assert count_trials(declared, [("a", 2), ("a", 1), ("gone", 1)]) == 5


@pytest.mark.parametrize("trials", [None, 19])
def test_a_nightly_run_states_its_trials_and_deflates_by_them_or_not_at_all(trials: int | None) -> None:
    bars = days("XNSE:A", [100.0 + k % 7 + 0.1 * k for k in range(60)])
    none = empty_frame(TABLES["corporate_actions"])
    sessions = tuple(bars["session_date"])
    given = BacktestInputs(bars, bought(bars), none, "f", sessions=sessions)
    run = run_nightly("XNSE", given, "s", cash=1e6, costs=FREE, trials=trials)
    assert run is not None
    assert run.run["trials"] == trials
    assert (run.run["deflated_sharpe"] is None) == (trials is None)
