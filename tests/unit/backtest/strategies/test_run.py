"""Runs of strategies on frames: universe, dates, orders, sizes, costs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.actions import InputError
from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.rules import FillRules
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.strategies.reading import strategy_of_scanner
from pipelines.backtest.strategies.run import run_strategy
from pipelines.backtest.update import BacktestInputs, run_nightly
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.scanners.universes import UniverseError, read_universes
from pipelines.storage.delta import empty_frame

MIC = "XNYS"
SESSIONS = calendar(MIC).between(date(2024, 1, 2), date(2024, 6, 28))
A, B = f"{MIC}:AAA", f"{MIC}:BBB"
NONE = {"schedule": "none"}


def inputs(
    prices: dict[str, list[float]], signals: list[tuple[str, int, str]], actions: list[dict] | None = None
) -> BacktestInputs:
    """Quiet bars at these closes, and signals by instrument, session and side."""
    bars = [
        {
            "instrument_id": name,
            "symbol": name[5:],
            "session_date": session.session_date,
            "ts_open": session.opens_at,
            "ts_close": session.closes_at,
            **dict.fromkeys(("open", "high", "low", "close"), price),
            "volume": 10**9,
        }
        for name, row in prices.items()
        for session, price in zip(SESSIONS, row, strict=False)
    ]
    decided = [
        {
            "signal_id": f"{name}{k}{side}",
            "instrument_id": name,
            "symbol": name[5:],
            "session_date": SESSIONS[k].session_date,
            "known_at": SESSIONS[k].closes_at + timedelta(hours=1),
            "signal_type": side,
            "target_price": None,
            "stop_loss": None,
        }
        for name, k, side in signals
    ]
    known = empty_frame(TABLES["corporate_actions"])
    if actions:
        known = pl.concat([known, pl.DataFrame(actions)], how="diagonal_relaxed")
    every = tuple(session.session_date for session in calendar(MIC).sessions)
    kinds = {"target_price": pl.Float64, "stop_loss": pl.Float64}
    return BacktestInputs(pl.DataFrame(bars), pl.DataFrame(decided, schema_overrides=kinds), known, "f", sessions=every)


def run(given: BacktestInputs, universes=None, **keys):
    keys = {"strategy": "abc", "scanners": ["s"], "costs": NONE} | keys
    universes = universes or read_universes(None, 1e7)
    strategy = StrategyFile.model_validate(keys)
    return run_strategy(MIC, strategy, given, universes, costs=CostSettings(), fills=FillRules())


def test_a_scanner_alone_gives_the_figures_of_the_nightly_backtest():
    given = inputs({A: [100, 101, 99, 105, 104, 110]}, [(A, 0, "BUY"), (A, 3, "SELL")])
    nightly = run_nightly(MIC, given, "s", cash=1e6, costs=CostSettings(), fills=FillRules())
    strategy = strategy_of_scanner("s", 1e6, FillRules().volume_share)
    mine = run_strategy(MIC, strategy, given, read_universes(None, 1e7), costs=CostSettings(), fills=FillRules())
    assert nightly is not None
    assert mine is not None
    assert mine.equity.drop("run_id").equals(nightly.equity.drop("run_id"))
    assert mine.trades.drop("run_id").equals(nightly.trades.drop("run_id"))


def test_dates_bound_bars_and_signals():
    given = inputs({A: [100.0] * 8}, [(A, 0, "BUY"), (A, 3, "BUY")])
    days = [session.session_date for session in SESSIONS]
    result = run(given, dates={"from": days[2], "to": days[6]})
    assert (result.run["start_date"], result.run["end_date"], result.run["total_signals"]) == (days[2], days[6], 1)
    assert run(given, dates={"from": date(2030, 1, 1)}) is None


def test_a_universe_is_as_of_the_signals_session_and_what_is_held_is_held_after_it(tmp_path):
    path = tmp_path / "u.csv"
    days = [session.session_date for session in SESSIONS]
    path.write_text(f"universe,symbol,valid_from,valid_to\nmine,aaa,{days[0]},{days[1]}\n".replace("aaa", "AAA"), encoding="utf-8")
    given = inputs({A: [100.0] * 6, B: [10.0] * 6}, [(A, 1, "BUY"), (A, 3, "SELL"), (B, 1, "BUY")])
    universes = read_universes(path, 1e7)
    result = run(given, universes, universe="mine")
    (trade,) = result.trades.iter_rows(named=True)
    # The SELL came after the membership ended: it is none of this universe's signals.
    assert (trade["instrument_id"], trade["exit_reason"], result.run["symbols_tested"]) == (A, "end", 1)
    with pytest.raises(UniverseError, match="did you mean mine"):
        run(given, universes, universe="mime")
    with pytest.raises(InputError, match="decided within a scan"):
        run(given, universes, universe="liquid")
    assert run(given, universe=["bbb"]).trades["instrument_id"].to_list() == [B]
    assert run(given, universe=[A]).trades["instrument_id"].to_list() == [A]


def test_a_limit_lies_on_the_good_side_of_the_decisions_close_and_a_stop_order_on_the_other():
    given = inputs({A: [100.0, 99.5, 98.0, 102.0]}, [(A, 0, "BUY")])
    limit = run(given, orders={"type": "limit", "offset_bps": 100, "sessions": 3}).trades
    assert limit["entry_price"].to_list() == [98.0]
    stop = run(given, orders={"type": "stop", "offset_bps": 100, "sessions": 3}).trades
    assert stop["entry_price"].to_list() == [102.0]


def test_a_position_is_sized_to_its_volatility_by_the_past_alone_and_a_split_is_no_return():
    moves = np.tile([1.01, 1 / 1.01], 10)
    prices = list(100 * np.cumprod(moves))
    split = [*prices[:5], *(price / 2 for price in prices[5:])]
    action = {"instrument_id": A, "ex_date": SESSIONS[5].session_date, "action": "split", "ratio": 2.0}
    sizing = {"method": "volatility_target", "volatility": 0.05, "window": 10, "fraction": 1.0}
    known = np.array(moves[6:16]) - 1.0
    expected = 0.05 / (known.std(ddof=1) * np.sqrt(252))
    for row, actions, price in ((prices, None, prices[15]), (split, [action], prices[15] / 2)):
        result = run(inputs({A: row}, [(A, 15, "BUY")], actions), sizing=sizing)
        assert result.trades["quantity"].to_list() == [np.floor(expected * 1e6 / price)]
    early = run(inputs({A: prices}, [(A, 4, "BUY")]), sizing=sizing)
    assert (early.trades.height, early.counts["no_cash"]) == (0, 1)
    wild = [*prices[:17], 500.0, 20.0, 500.0]
    assert run(inputs({A: wild}, [(A, 15, "BUY")]), sizing=sizing).trades["quantity"].to_list() == [
        np.floor(expected * 1e6 / prices[15])
    ]


def test_within_a_session_its_own_close_is_no_past():
    """Two bars a session: what is decided at the first is sized by the sessions before, at the second by its session too."""
    moves = np.tile([1.01, 1 / 1.01], 10)
    closes = 100 * np.cumprod(moves)
    given = inputs({A: list(closes)}, [(A, 15, "BUY")])
    middle = [session.opens_at + timedelta(hours=2) for session in SESSIONS[:20]]
    ends = dict(zip([session.session_date for session in SESSIONS[:20]], middle, strict=True))
    cut = pl.col("session_date").replace_strict(ends, return_dtype=pl.Datetime("us", "UTC"))
    mornings = given.bars.with_columns(ts_close=cut, close=pl.col("open"))
    wild = pl.when(pl.col("session_date") == SESSIONS[15].session_date).then(3.0).otherwise(1.0) * pl.col("close")
    evenings = given.bars.with_columns(ts_open=cut, close=wild, high=wild)
    given = replace(given, bars=pl.concat([mornings, evenings]), signals=given.signals.with_columns(known_at=pl.lit(middle[15])))
    sizing = {"method": "volatility_target", "volatility": 0.05, "window": 10, "fraction": 1.0}
    known = np.array(moves[5:15]) - 1.0
    expected = np.floor(0.05 / (known.std(ddof=1) * np.sqrt(252)) * 1e6 / closes[15])
    assert run(given, sizing=sizing).trades["quantity"].to_list() == [expected]


def test_flat_costs_and_their_minimum_are_those_of_the_file():
    given = inputs({A: [100.0] * 4}, [(A, 0, "BUY")])
    (trade,) = run(given, costs={"schedule": "flat", "bps": 10}).trades.iter_rows(named=True)
    assert trade["fees"] == pytest.approx(2 * trade["quantity"] * 100 * 0.001)
    (trade,) = run(given, costs={"schedule": "flat", "minimum": 20.0}).trades.iter_rows(named=True)
    assert trade["fees"] == 40.0


def test_at_the_end_a_position_leaves_at_the_last_close_or_the_last_open():
    given = inputs({A: [100.0, 101.0, 102.0, 103.0]}, [(A, 0, "BUY"), (A, 2, "BUY")])
    bars = given.bars.with_columns(open=pl.col("close") - 0.5, low=pl.col("close") - 0.5)
    given = replace(given, bars=bars)
    for at_end, price, moment in (("close", 103.0, SESSIONS[3].closes_at), ("open", 102.5, SESSIONS[3].opens_at)):
        (trade,) = run(given, exits={"at_end": at_end}).trades.iter_rows(named=True)
        assert (trade["exit_reason"], trade["exit_price"], trade["exit_ts"]) == ("end", price, moment)


def test_filled_at_the_close_a_trade_bears_the_closes_time_and_price():
    given = inputs({A: [100.0, 101.0, 102.0, 103.0]}, [(A, 0, "BUY"), (A, 2, "SELL")])
    (trade,) = run(given, fills={"price": "close"}).trades.iter_rows(named=True)
    assert (trade["entry_ts"], trade["entry_price"]) == (SESSIONS[0].closes_at, 100.0)
    assert (trade["exit_ts"], trade["exit_price"]) == (SESSIONS[2].closes_at, 102.0)


def test_sectors_lots_and_ticks_come_from_the_instruments():
    given = inputs({A: [100.0] * 4, B: [50.0] * 4}, [(A, 0, "BUY"), (B, 0, "BUY")])
    with pytest.raises(InputError, match="no instrument has a sector"):
        run(given, limits={"sector": 0.5})
    rows = [
        {"instrument_id": name, "valid_from": date(2020, 1, 1), "sector": "Banks", "lot_size": 30, "tick_size": 0.5}
        for name in (A, B)
    ]
    given = replace(given, instruments=pl.concat([given.instruments, pl.DataFrame(rows)], how="diagonal_relaxed"))
    result = run(given, limits={"sector": 0.15}, sizing={"fraction": 0.1}, fills={"slippage_ticks": 1})
    # 10 % of a million at 100 is 1,000 units, 990 in lots; what is left of 15 % buys 1,020 at 50 in lots.
    assert result.trades.sort("instrument_id")["quantity"].to_list() == [990.0, 1020.0]
    assert result.trades.sort("instrument_id")["entry_price"].to_list() == [100.5, 50.5]


def test_the_configuration_holds_the_whole_file_and_another_value_makes_another_run():
    given = inputs({A: [100.0] * 4}, [(A, 0, "BUY")])
    one, other = run(given), run(given, exits={"stop_loss": 0.1})
    assert json.loads(other.run["config_snapshot"])["parameters"]["file"]["exits"]["stop_loss"] == 0.1
    assert one.run_id != other.run_id
    assert one.run_id == run(given).run_id
