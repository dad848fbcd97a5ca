"""The nightly backtest: a scanner's published signals, traded on the lake's bars.

Lives here: `run_nightly`, from pinned versions to a result, and `store_result`, which makes it the current run of its strategy.
Does not live here: the run itself (`portfolio.py`), the report (`reports/`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date

import polars as pl

from pipelines.backtest.actions import effects_of
from pipelines.backtest.costs import FlatCosts
from pipelines.backtest.fills import missing_actions, with_limits
from pipelines.backtest.layout import FillRules, Rules
from pipelines.backtest.portfolio import BacktestResult, Strategy, run_backtest
from pipelines.market.calendar import calendar
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.resources import code_version
from pipelines.storage.crashpoints import crash_point
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.fingerprint import fingerprint
from pipelines.storage.location import Lake
from pipelines.storage.publish import replace_rows

STRATEGY = "trade_signals_at_next_open"


@dataclass(frozen=True)
class BacktestInputs:
    """What a run stands on: bars and signals of every instrument, actions, findings on prices (flags), and the hash of all four.

    sessions: dates of the exchange's sessions.
    """

    bars: pl.DataFrame
    signals: pl.DataFrame
    actions: pl.DataFrame
    fingerprint: str
    sessions: tuple[date, ...] = ()
    flags: pl.DataFrame | None = None


def read_inputs(lake: Lake, exchange: str, versions: Mapping[str, int], scanner: str) -> BacktestInputs:
    """Bars, the scanner's signals and corporate actions at pinned versions. An absent table counts as empty."""

    def read(name: str) -> pl.DataFrame:
        schema = TABLES[name]
        if name not in versions:
            return empty_frame(schema)
        return LakeTable(lake.table_uri(exchange, name), schema).read(versions[name])

    bars, actions, flags = read("bars_daily"), read("corporate_actions"), read("price_flags")
    signals = read("scanner_signals").filter((pl.col("scanner_name") == scanner) & pl.col("superseded_by").is_null())
    digest = hashlib.sha256()
    for name, frame in (("bars_daily", bars), ("scanner_signals", signals), ("corporate_actions", actions), ("price_flags", flags)):
        digest.update(fingerprint(frame, TABLES[name]).encode())
    hours = (
        calendar(exchange)
        .frame()
        .select("session_date", pl.col("opens_at").alias("ts_open"), pl.col("closes_at").alias("ts_close"))
    )
    sessions = tuple(hours.get_column("session_date").sort())
    return BacktestInputs(bars.join(hours, on="session_date"), signals, actions, digest.hexdigest(), sessions, flags)


def run_nightly(
    exchange: str, inputs: BacktestInputs, scanner: str, *, cash: float, cost_bps: float, fills: FillRules | None = None
) -> BacktestResult | None:
    """Decide at the close, fill at the next open, pay costs on both sides. None when there is no bar to trade on.

    exchange: for the messages of errors. cash: initial, in the instruments' currency. cost_bps: of the traded value, a side. fills:
    what limits fills; the defaults unless given.
    """
    if inputs.bars.is_empty():
        return None
    started = time.perf_counter()
    strategy = Strategy(STRATEGY, scanner, inputs.fingerprint, code_version(), {"scanner": scanner, "exchange": exchange})
    rules = Rules(initial_cash=cash, max_sessions=20, **asdict(fills or FillRules()))
    costs = FlatCosts(buy_bps=cost_bps, sell_bps=cost_bps)
    result = run_backtest(inputs.bars, inputs.signals, strategy, rules, costs, _with_missing(inputs, rules), inputs.sessions)
    return result.timed(time.perf_counter() - started)


def _with_missing(inputs: BacktestInputs, rules: Rules) -> pl.DataFrame:
    """The actions, and those that the prices say are missing: a position is not held across a split that nobody recorded."""
    numbers = pl.DataFrame({"session_date": inputs.sessions}, schema={"session_date": pl.Date}).with_row_index("session_number")
    bars = inputs.bars.join(numbers.with_columns(pl.col("session_number").cast(pl.Int64)), on="session_date")
    missing = missing_actions(with_limits(bars, effects_of(inputs.actions), rules.locked_move), inputs.flags)
    return pl.concat([inputs.actions, missing], how="diagonal")


def store_result(lake: Lake, exchange: str, result: BacktestResult) -> dict[str, int | None]:
    """Make a run the current one of its strategy and scanner: its run, trades and equity replace those of the run before.

    Earlier runs stay readable through the releases that published them. Returns the tables' versions.
    """
    runs = LakeTable(lake.table_uri(exchange, "backtest_runs"), TABLES["backtest_runs"]).read()
    same = (pl.col("algorithm_name") == result.run["algorithm_name"]) & (pl.col("scanner_used") == result.run["scanner_used"])
    replaced = [*runs.filter(same).get_column("run_id").to_list(), result.run_id]
    run = pl.DataFrame([{**result.run, "release_id": None}], schema=dict(empty_frame(TABLES["backtest_runs"]).schema))
    frames = {"backtest_runs": run, "backtest_trades": result.trades, "backtest_equity": result.equity}
    versions = {name: _replace(lake, exchange, TABLES[name], frame, replaced) for name, frame in frames.items()}
    crash_point("research.committed")
    return versions


def current_run(lake: Lake, exchange: str, scanner: str) -> tuple[dict[str, object], pl.DataFrame, pl.DataFrame] | None:
    """The current run of a scanner: its row, trades and equity; None when there is none."""
    runs = LakeTable(lake.table_uri(exchange, "backtest_runs"), TABLES["backtest_runs"]).read()
    mine = runs.filter((pl.col("algorithm_name") == STRATEGY) & (pl.col("scanner_used") == scanner))
    if mine.is_empty():
        return None
    run = mine.row(0, named=True)
    parts = [
        LakeTable(lake.table_uri(exchange, name), TABLES[name]).read().filter(pl.col("run_id") == run["run_id"])
        for name in ("backtest_trades", "backtest_equity")
    ]
    return run, parts[0], parts[1]


def initial_cash(run: Mapping[str, object]) -> float:
    """Initial cash of a stored run."""
    return float(json.loads(str(run["config_snapshot"]))["rules"]["initial_cash"])


def _replace(lake: Lake, exchange: str, schema: TableSchema, rows: pl.DataFrame, replaced: list[str]) -> int | None:
    return replace_rows(
        lake, exchange, schema, rows, lambda stored: stored.get_column("run_id").is_in(replaced), None, {"run": replaced[-1]}
    )
