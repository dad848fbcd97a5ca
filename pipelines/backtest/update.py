"""The nightly backtest: a scanner's published signals, traded on the lake's bars.

Lives here: `run_nightly`, from pinned versions to a result, and `store_result`, which makes it the current run of its strategy.
Does not live here: the run itself (`portfolio.py`), the report (`reports/`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date

import polars as pl

from pipelines.backtest.actions import effects_of
from pipelines.backtest.exchange_costs import CostSettings, exchange_costs
from pipelines.backtest.fills import missing_actions, with_limits
from pipelines.backtest.instrument_class import InstrumentClass, classify
from pipelines.backtest.portfolio import BacktestResult, Strategy
from pipelines.backtest.rules import FillRules, Rules
from pipelines.backtest.run_setup import RunSetup, still_trading
from pipelines.backtest.signal_performance.performance import ScannerId
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.market.schema import TableSchema
from pipelines.market.tables import TABLES
from pipelines.package_data import code_version
from pipelines.storage.crash_points import crash_point
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.fingerprint import fingerprint
from pipelines.storage.location import Lake
from pipelines.storage.upsert import replace_rows

STRATEGY = "trade_signals_at_next_open"


@dataclass(frozen=True)
class BacktestInputs:
    """What a run stands on: bars and signals of every instrument, actions, findings on prices (flags), and the hash of all four.

    recorded: name and version of every scanner with a signal on record, the superseded ones too. classes: of statutory charges, by
    instrument_id; empty where the exchange has none. sessions: dates of the exchange's sessions. instruments: rows of that table.
    """

    bars: pl.DataFrame
    signals: pl.DataFrame
    actions: pl.DataFrame
    fingerprint: str
    recorded: frozenset[tuple[str, int]] = frozenset()
    classes: Mapping[str, InstrumentClass] = field(default_factory=dict)
    sessions: tuple[date, ...] = ()
    flags: pl.DataFrame | None = None
    instruments: pl.DataFrame = field(default_factory=lambda: empty_frame(TABLES["instruments"]))


def read_inputs(lake: Lake, exchange: str, versions: Mapping[str, int], *scanners: str) -> BacktestInputs:
    """Bars, the scanners' signals and corporate actions at pinned versions. An absent table counts as empty."""

    def read(name: str) -> pl.DataFrame:
        schema = TABLES[name]
        if name not in versions:
            return empty_frame(schema)
        return LakeTable(lake.table_uri(exchange, name), schema).read(versions[name])

    bars, actions, flags = read("bars_daily"), read("corporate_actions"), read("price_flags")
    every = read("scanner_signals")
    signals = every.filter(pl.col("scanner_name").is_in(scanners) & pl.col("superseded_by").is_null())
    digest = hashlib.sha256()
    for name, frame in (("bars_daily", bars), ("scanner_signals", signals), ("corporate_actions", actions), ("price_flags", flags)):
        digest.update(fingerprint(frame, TABLES[name]).encode())
    hours = (
        traded_calendar(lake, exchange, versions)
        .frame()
        .select("session_date", pl.col("opens_at").alias("ts_open"), pl.col("closes_at").alias("ts_close"))
    )
    recorded = frozenset(every.select("scanner_name", "scanner_version").unique().iter_rows())
    traded = bars.select("instrument_id", "symbol", isin=pl.lit(None, pl.String)).unique()
    instruments = read("instruments")
    classes = classify(exchange, pl.concat([traded, instruments.select(traded.columns)]))
    sessions = tuple(hours.get_column("session_date").sort())
    bars = bars.join(hours, on="session_date")
    return BacktestInputs(bars, signals, actions, digest.hexdigest(), recorded, classes, sessions, flags, instruments)


def count_trials(declared: Mapping[str, ScannerId], recorded: Iterable[tuple[str, int]]) -> int:
    """Parameter sets that nightly runs evaluated on these bars.

    Each declared scanner runs with one set, its defaults. A scanner, or a version of one, that is declared no more but has signals
    on record was tried too.
    """
    current = {(name, scanner.version) for name, scanner in declared.items()}
    return len(current | set(recorded))


def run_nightly(
    exchange: str,
    inputs: BacktestInputs,
    scanner: str,
    *,
    cash: float,
    costs: CostSettings,
    fills: FillRules | None = None,
    trials: int | None = None,
) -> BacktestResult | None:
    """The run of `nightly_setup`; None when there is no bar to trade on.

    Raises CostsError for a trade before the first date of a cost table where the settings refuse that.
    """
    started = time.perf_counter()
    setup = nightly_setup(exchange, inputs, scanner, cash=cash, costs=costs, fills=fills, trials=trials)
    return None if setup is None else setup.run().timed(time.perf_counter() - started)


def nightly_setup(
    exchange: str,
    inputs: BacktestInputs,
    scanner: str,
    *,
    cash: float,
    costs: CostSettings,
    fills: FillRules | None = None,
    trials: int | None = None,
) -> RunSetup | None:
    """Decide at the close, fill at the next open, pay costs on both sides. None when there is no bar to trade on.

    cash: initial, in the instruments' currency. costs: of the home; the exchange's dated charges are added where it has tables.
    fills: what limits fills; the defaults unless given. trials: parameter sets tried on these bars, see `count_trials`; None where
    not known.
    """
    if inputs.bars.is_empty():
        return None
    traded = set(inputs.bars.get_column("instrument_id").unique())
    classes = {name: found for name, found in inputs.classes.items() if name in traded}
    parameters = {"scanner": scanner, "exchange": exchange, "instrument_classes": _counted(classes.values())}
    strategy = Strategy(STRATEGY, scanner, inputs.fingerprint, code_version(), parameters, trials)
    rules = Rules(initial_cash=cash, max_sessions=20, **asdict(fills or FillRules()))
    schedule = exchange_costs(exchange, costs, {name: found.name for name, found in classes.items()})
    survivors = still_trading(inputs.bars, inputs.signals)
    actions = with_missing(inputs, rules)
    return RunSetup(inputs.bars, inputs.signals, strategy, rules, schedule, actions, inputs.sessions, survivors=survivors)


def _counted(classes: Iterable[InstrumentClass]) -> dict[str, int]:
    """Instruments by class and how it is known, such as `equity, assumed`."""
    return dict(sorted(Counter(f"{found.name}, {found.basis}" for found in classes).items()))


def with_missing(inputs: BacktestInputs, rules: Rules) -> pl.DataFrame:
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
    versions = add_result(lake, exchange, result, runs.filter(same).get_column("run_id").to_list())
    crash_point("research.committed")
    return versions


def add_result(lake: Lake, exchange: str, result: BacktestResult, instead_of: Sequence[str] = ()) -> dict[str, int | None]:
    """Store a run beside those that are there, but for itself and those it stands in for. Returns the tables' versions."""
    replaced = [*instead_of, result.run_id]
    run = pl.DataFrame([{**result.run, "release_id": None}], schema=dict(empty_frame(TABLES["backtest_runs"]).schema))
    frames = {"backtest_runs": run, "backtest_trades": result.trades, "backtest_equity": result.equity}
    return {name: _replace(lake, exchange, TABLES[name], frame, replaced) for name, frame in frames.items()}


def current_run(lake: Lake, exchange: str, scanner: str) -> tuple[dict[str, object], pl.DataFrame, pl.DataFrame] | None:
    """The current run of a scanner: its row, trades and equity; None when there is none."""
    runs = LakeTable(lake.table_uri(exchange, "backtest_runs"), TABLES["backtest_runs"]).read()
    mine = runs.filter((pl.col("algorithm_name") == STRATEGY) & (pl.col("scanner_used") == scanner))
    if mine.is_empty():
        return None
    run = mine.row(0, named=True)
    return run, *current_rows(lake, exchange, str(run["run_id"]))


def current_run_id(lake: Lake, exchange: str, scanner: str) -> str | None:
    """Identity of the current run of a scanner; None when there is none."""
    runs = LakeTable(lake.table_uri(exchange, "backtest_runs"), TABLES["backtest_runs"]).read(
        columns=["run_id", "algorithm_name", "scanner_used"]
    )
    mine = runs.filter((pl.col("algorithm_name") == STRATEGY) & (pl.col("scanner_used") == scanner))
    return None if mine.is_empty() else str(mine.item(0, "run_id"))


def current_rows(lake: Lake, exchange: str, run_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Trades and equity of a stored run."""
    trades, equity = (
        LakeTable(lake.table_uri(exchange, name), TABLES[name]).read().filter(pl.col("run_id") == run_id)
        for name in ("backtest_trades", "backtest_equity")
    )
    return trades, equity


def initial_cash(run: Mapping[str, object]) -> float:
    """Initial cash of a stored run."""
    return float(json.loads(str(run["config_snapshot"]))["rules"]["initial_cash"])


def _replace(lake: Lake, exchange: str, schema: TableSchema, rows: pl.DataFrame, replaced: list[str]) -> int | None:
    return replace_rows(
        lake, exchange, schema, rows, lambda stored: stored.get_column("run_id").is_in(replaced), None, {"run": replaced[-1]}
    )
