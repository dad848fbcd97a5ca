"""Sweeps of a strategy: the combinations of a file, and figures equal to those of each run alone."""

from __future__ import annotations

import re
from datetime import date, timedelta

import polars as pl
import pytest

from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.rules import FillRules
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.strategies.reading import StrategyFileError
from pipelines.backtest.strategies.run import run_strategy
from pipelines.backtest.strategies.sweep import read_sweep, sweep_strategy
from pipelines.backtest.update import BacktestInputs
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.scanners.universes import read_universes
from pipelines.storage.delta import empty_frame

MIC, SHARE = "XNYS", "XNYS:AAA"
SESSIONS = calendar(MIC).between(date(2024, 1, 2), date(2024, 3, 28))


def given() -> BacktestInputs:
    closes = [100 + (7 * k) % 11 - (5 * k) % 13 for k in range(len(SESSIONS))]
    bars = [
        {
            "instrument_id": SHARE,
            "symbol": "AAA",
            "session_date": session.session_date,
            "ts_open": session.opens_at,
            "ts_close": session.closes_at,
            "open": close - 1.0,
            "high": close + 3.0,
            "low": close - 3.0,
            "close": float(close),
            "volume": 10**9,
        }
        for session, close in zip(SESSIONS, closes, strict=True)
    ]
    signals = [
        {
            "signal_id": str(k),
            "instrument_id": SHARE,
            "symbol": "AAA",
            "session_date": SESSIONS[k].session_date,
            "known_at": SESSIONS[k].closes_at + timedelta(hours=1),
            "signal_type": "BUY",
            "target_price": None,
            "stop_loss": None,
        }
        for k in range(0, 50, 7)
    ]
    kinds = {"target_price": pl.Float64, "stop_loss": pl.Float64}
    every = tuple(session.session_date for session in SESSIONS)
    actions = empty_frame(TABLES["corporate_actions"])
    return BacktestInputs(pl.DataFrame(bars), pl.DataFrame(signals, schema_overrides=kinds), actions, "f", sessions=every)


def strategy(stop: float, kind: str) -> StrategyFile:
    keys = {"exits": {"stop_loss": stop, "max_sessions": 5}, "orders": {"type": kind, "offset_bps": 50.0, "sessions": 3}}
    return StrategyFile.model_validate({"strategy": "abc", "scanners": ["s"], **keys})


def test_every_case_has_the_figures_and_returns_of_its_run_alone():
    cases = [
        ({"exits.stop_loss": stop, "orders.type": kind}, strategy(stop, kind)) for stop in (0.02, 0.2) for kind in ("limit", "stop")
    ]
    home = {"costs": CostSettings(), "fills": FillRules()}
    found = sweep_strategy(MIC, cases, given(), read_universes(None, 1e7), **home)
    assert found is not None
    for case, (_, one) in zip(found, cases, strict=True):
        alone = run_strategy(MIC, one, given(), read_universes(None, 1e7), **home)
        assert alone is not None
        for name in ("trades", "total_return", "max_drawdown", "sharpe_ratio", "turnover", "costs"):
            assert case.figures[name] == alone.run[name], name
        assert case.returns.equals(alone.returns())
    assert len({case.figures["total_return"] for case in found}) > 1


def test_a_sweep_is_every_combination_in_the_files_order(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text("exits.stop_loss: [0.05, null]\nlimits.positions: [1, 2]\n", encoding="utf-8")
    assert [tuple(case.values()) for case in read_sweep(path)] == [(0.05, 1), (0.05, 2), (None, 1), (None, 2)]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "a sweep is a mapping"),
        ("- 1\n", 1, "a sweep is a mapping"),
        ("limits.positions: [1]\nexits.stop_loss: 0.1\n", 2, "exits.stop_loss is 0.1; write a list"),
        ("dates.from: ['2020-01-01']\n", 1, "all cases of a sweep share"),
        ("cash: [" + ",".join("1" * 102) + "]\nexits.max_sessions: [" + ",".join("2" * 101) + "]\n", 1, "10,302 combinations"),
    ],
)
def test_a_mistake_in_a_sweep_is_named_with_its_line(tmp_path, text, line, message):
    path = tmp_path / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StrategyFileError, match=rf"^{re.escape(str(path))}:{line}: .*{re.escape(message)}"):
        read_sweep(path)
