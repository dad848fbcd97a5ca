"""The run of a strategy on a lake: its signals on its universe, between its dates, by its rules.

Lives here: `run_strategy`, and which bars and signals a strategy sees.
Does not live here: reading the lake (`update.read_inputs`), the run itself (`portfolio`), the file (`file`, `reading`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import polars as pl

from pipelines.backtest.actions import InputError
from pipelines.backtest.costs import Costs, FlatCosts
from pipelines.backtest.exchange_costs import CostSettings, exchange_costs
from pipelines.backtest.portfolio import BacktestResult, Strategy
from pipelines.backtest.rules import FillRules
from pipelines.backtest.run_setup import RunSetup, Survivors, still_trading
from pipelines.backtest.state import Attributes
from pipelines.backtest.strategies.file import StrategyFile
from pipelines.backtest.update import BacktestInputs, with_missing
from pipelines.package_data import code_version
from pipelines.scanners.universes import ALL, LIQUID, Universes


def run_strategy(
    exchange: str,
    strategy: StrategyFile,
    inputs: BacktestInputs,
    universes: Universes,
    *,
    costs: CostSettings,
    fills: FillRules,
) -> BacktestResult | None:
    """The run of `strategy_setup`, which raises; None where the universe has no bar between the dates."""
    started = time.perf_counter()
    setup = strategy_setup(exchange, strategy, inputs, universes, costs=costs, fills=fills)
    return None if setup is None else setup.run().timed(time.perf_counter() - started)


def strategy_setup(
    exchange: str,
    strategy: StrategyFile,
    inputs: BacktestInputs,
    universes: Universes,
    *,
    costs: CostSettings,
    fills: FillRules,
) -> RunSetup | None:
    """What a strategy's run is made of. None where its universe has no bar between its dates. How many were tried a ledger tells.

    inputs: of `update.read_inputs` with the strategy's scanners. universes, costs, fills: of the home. Raises InputError for a
    universe or a limit that the data cannot hold, UniverseError for an unknown universe, CostsError as `run_backtest` does.
    """
    seen = see(exchange, strategy, inputs, universes)
    if seen.bars.is_empty():
        return None
    rules, attributes = strategy.rules(fills), attributes_of(strategy, inputs.instruments)
    parameters = {
        "exchange": exchange,
        "file": strategy.as_parameters(),
        "universe": _universe_fingerprint(strategy, universes),
        "attributes": hashlib.sha256(repr(sorted(attributes.items())).encode()).hexdigest()[:16],
    }
    described = Strategy(
        strategy.strategy, ",".join(strategy.scanners), inputs.fingerprint, code_version(), parameters, trials=None
    )
    return RunSetup(
        seen.bars,
        seen.signals,
        described,
        rules,
        costs_of(exchange, strategy, seen, costs),
        with_missing(seen, rules),
        seen.sessions,
        strategy.order_plan(),
        attributes,
        _survivors(exchange, strategy, inputs, universes, seen),
    )


def _survivors(
    exchange: str, strategy: StrategyFile, inputs: BacktestInputs, universes: Universes, seen: BacktestInputs
) -> Survivors:
    """Bars and signals of those who are members in the last session, members or not before."""
    if strategy.universe == ALL:
        return still_trading(seen.bars, seen.signals)
    if not isinstance(strategy.universe, str):
        return Survivors(missing="its symbols were chosen by name, so who else there was at the time is not known")
    own = (pl.col("universe_name") == strategy.universe) & (pl.col("exchange").fill_null(exchange) == exchange)
    mine = universes.members.filter(own)
    end = seen.bars.get_column("session_date").max()
    now = mine.filter(pl.lit(end).is_between("valid_from", "valid_to"))
    if now.height == mine.height and mine.get_column("valid_from").max() == date.min:
        return Survivors(missing=f"the universe {strategy.universe} has no dates: who was a member at the time is not known")
    if now.is_empty():
        return Survivors(missing=f"the universe {strategy.universe} has no member in the last session")
    today = strategy.model_copy(update={"universe": now.get_column("symbol").unique().sort().to_list()})
    kept = see(exchange, today, inputs, universes)
    return Survivors(kept.bars, kept.signals)


def see(exchange: str, strategy: StrategyFile, inputs: BacktestInputs, universes: Universes) -> BacktestInputs:
    """The bars and signals of a strategy's universe between its dates. Raises as `run_strategy`."""
    return _between_dates(strategy, _in_universe(exchange, strategy, inputs, universes))


def costs_of(exchange: str, strategy: StrategyFile, inputs: BacktestInputs, home: CostSettings) -> Costs:
    """What a strategy pays; the home's nightly costs where it says nothing else."""
    asked = strategy.costs
    if asked.schedule == "exchange":
        return exchange_costs(exchange, home, {name: found.name for name, found in inputs.classes.items()})
    return FlatCosts(asked.bps, asked.bps, asked.minimum)


def _between_dates(strategy: StrategyFile, inputs: BacktestInputs) -> BacktestInputs:
    within = pl.lit(value=True)
    if strategy.dates.first is not None:
        within &= pl.col("session_date") >= strategy.dates.first
    if strategy.dates.last is not None:
        within &= pl.col("session_date") <= strategy.dates.last
    return replace(inputs, bars=inputs.bars.filter(within), signals=inputs.signals.filter(within))


def _in_universe(exchange: str, strategy: StrategyFile, inputs: BacktestInputs, universes: Universes) -> BacktestInputs:
    """Signals of who was a member in the signal's session, and bars of who ever was: what is held is held until it is sold."""
    if strategy.universe == ALL:
        return inputs
    if isinstance(strategy.universe, str):
        name = universes.check(strategy.universe)
        if name == LIQUID:
            raise InputError("universe: `liquid` is decided within a scan; name it in the rule of the scanner, and `all` here.")
        mine = universes.members.filter((pl.col("universe_name") == name) & (pl.col("exchange").fill_null(exchange) == exchange))
    else:
        mine = universes.with_watchlist(symbol.upper() for symbol in strategy.universe).members
        mine = mine.filter(pl.col("universe_name") == "watchlist")
    members = mine.select("symbol", "valid_from", "valid_to")
    signals = _of_members(inputs.signals, members)
    bars = inputs.bars.join(_of_members(inputs.bars, members).select("instrument_id").unique(), on="instrument_id", how="semi")
    return replace(inputs, bars=bars, signals=signals)


def _of_members(rows: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Rows of instruments that are members, by symbol or id, in the rows' session."""
    numbered = rows.with_row_index("row")
    key = numbered.select("row", "session_date", pl.concat_list(pl.col("symbol"), pl.col("instrument_id")).alias("symbol"))
    within = key.explode("symbol").join(members, on="symbol").filter(pl.col("session_date").is_between("valid_from", "valid_to"))
    return numbered.join(within.select("row").unique(), on="row", how="semi", maintain_order="left").drop("row")


def _universe_fingerprint(strategy: StrategyFile, universes: Universes) -> str | None:
    named = isinstance(strategy.universe, str) and strategy.universe != ALL
    return universes.fingerprint([str(strategy.universe)]) if named else None


def attributes_of(strategy: StrategyFile, instruments: pl.DataFrame) -> Mapping[str, Attributes]:
    """Sector, lot and tick of each instrument by its newest row. Those without a sector count as one sector together."""
    newest = instruments.sort("valid_from").group_by("instrument_id", maintain_order=True).last()
    sectors = sorted(newest.get_column("sector").drop_nulls().unique())
    if strategy.limits.sector is not None and not sectors:
        raise InputError("limits.sector: no instrument has a sector; ingest instruments with one, or leave the limit out.")
    return {
        row["instrument_id"]: Attributes(
            sector=0 if row["sector"] is None else 1 + sectors.index(row["sector"]),
            lot=max(int(row["lot_size"] or 1), 1),
            tick=float(row["tick_size"] or 0.0),
        )
        for row in newest.iter_rows(named=True)
    }
