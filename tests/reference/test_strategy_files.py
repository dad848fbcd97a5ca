"""Another engine's rules stated in a strategy file: its trades and equity (backtesting.py 0.6.6) from the bars and the file alone.

That engine sizes at the fill's price (`sizing.price: fill`), puts the whole equity into one position, ignores volume, and closes
the last trade at the last open (`exits.at_end: open`).
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.backtest.exchange_costs import CostSettings
from pipelines.backtest.rules import FillRules
from pipelines.backtest.strategies.reading import read_strategy
from pipelines.backtest.strategies.run import run_strategy
from pipelines.backtest.update import BacktestInputs
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.scanners.universes import read_universes
from pipelines.storage.delta import empty_frame
from tests.support.csv_table import read_table

FILE = """
strategy: sma_cross
scanners: [crossing]
cash: 10000
sizing: {{fraction: 1, price: fill}}
exits: {{at_end: open, signal_levels: false}}
fills: {{volume_share: null}}
limits: {{positions: 1, short: {short}}}
costs: {costs}
"""


def averages(close: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([np.full(length - 1, np.nan), np.convolve(close, np.ones(length) / length, "valid")])


def inputs(path: Path, fast: int, slow: int) -> BacktestInputs:
    """The bars, and a signal at each close at which the fast average has crossed the slow one."""
    frame = pl.read_csv(path)
    frame = frame.rename({frame.columns[0]: "date"}).with_columns(session_date=pl.col("date").str.slice(0, 10).str.to_date())
    days = calendar("XNYS").between(frame["session_date"].min(), frame["session_date"].max())
    hours = pl.DataFrame(
        [(s.session_date, s.opens_at, s.closes_at) for s in days], ["session_date", "ts_open", "ts_close"], orient="row"
    )
    bars = frame.select("session_date", pl.col("Open", "High", "Low", "Close", "Volume").name.to_lowercase())
    bars = bars.join(hours, on="session_date").sort("session_date").with_columns(instrument_id=pl.lit("XNYS:X"), symbol=pl.lit("X"))
    assert bars.height == frame.height
    close = bars["close"].cast(pl.Float64).to_numpy()
    above = averages(close, fast) - averages(close, slow)
    crossed = np.sign(above[1:]) * (np.sign(above[1:]) != np.sign(above[:-1])) * (above[1:] != 0)
    crossed[:slow] = 0
    signals = [
        {
            "signal_id": str(k),
            "instrument_id": "XNYS:X",
            "symbol": "X",
            "session_date": bars["session_date"][k + 1],
            "known_at": bars["ts_close"][k + 1] + timedelta(hours=2),
            "signal_type": "BUY" if crossed[k] > 0 else "SELL",
            "target_price": 0.5,
            "stop_loss": 1e6,
        }
        for k in np.nonzero(np.nan_to_num(crossed))[0].tolist()
    ]
    every = tuple(day for day in bars["session_date"])
    return BacktestInputs(bars, pl.DataFrame(signals), empty_frame(TABLES["corporate_actions"]), "f", sessions=every)


@pytest.mark.parametrize(
    ("data", "case", "fast", "slow", "short", "costs"),
    [
        ("backtesting_py/GOOG.csv", "goog_sma20_50_longonly_c0", 20, 50, "false", "{schedule: none}"),
        ("bokeh_sampledata/IBM.csv", "ibm_sma10_30_longshort_c0.001", 10, 30, "true", "{schedule: flat, bps: 10}"),
    ],
)
def test_a_strategy_file_states_another_engines_rules(shared, tmp_path, data, case, fast, slow, short, costs):
    path = tmp_path / "sma_cross.yaml"
    path.write_text(FILE.format(short=short, costs=costs), encoding="utf-8")
    given = inputs(shared / "data" / data, fast, slow)
    result = run_strategy("XNYS", read_strategy(path), given, read_universes(None, 1e7), costs=CostSettings(), fills=FillRules())
    assert result is not None
    expected = read_table(shared / "reference" / "backtest" / f"{case}_trades.csv")
    signed = result.trades.with_columns(pl.when(pl.col("side") == "SHORT").then(-1).otherwise(1).alias("sign"))
    assert (signed["quantity"] * signed["sign"]).to_list() == [float(row["Size"]) for row in expected]
    for column, name in (("entry_ts", "EntryTime"), ("exit_ts", "ExitTime")):
        assert result.trades[column].dt.date().to_list() == [date.fromisoformat(row[name][:10]) for row in expected]
    for column, name in (("entry_price", "EntryPrice"), ("exit_price", "ExitPrice"), ("fees", "Commission"), ("pnl", "PnL")):
        assert result.trades[column].to_list() == pytest.approx([float(row[name]) for row in expected], rel=1e-9, abs=1e-6)
    equity = [float(row["Equity"]) for row in read_table(shared / "reference" / "backtest" / f"{case}_equity.csv")]
    assert result.equity["equity"].to_list() == pytest.approx(equity, rel=1e-6)
