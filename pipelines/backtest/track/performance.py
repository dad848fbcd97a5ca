"""From outcomes of signals to the rows of `scanner_performance`.

Lives here: which outcomes are counted, and the figures by scanner, horizon, side and scope.
Does not live here: outcomes (`outcomes.py`), the intervals' formulas (`intervals.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pipelines.backtest.statistics import longest_losing_streak, profit_factor
from pipelines.backtest.track.follow import STOP_TARGET
from pipelines.backtest.track.intervals import by_session, wilson
from pipelines.backtest.track.kernel import not_overlapping
from pipelines.backtest.track.market import HORIZONS, owned
from pipelines.market.tables.track import SCANNER_PERFORMANCE
from pipelines.scanners.identity import parameters_hash
from pipelines.scanners.registry import Scanner
from pipelines.storage.delta import empty_frame

#: Columns of `signal_outcomes` that the figures need.
NEEDED = (
    "signal_id", "horizon", "scanner_name", "exchange", "instrument_id", "session_date", "side", "status", "is_over", "entry_ts",
    "exit_ts", "exit_reason", "costs", "net_return", "costs_assumed", "base_rate", "base_return",
)  # fmt: skip
ALL, BOTH_SIDES, NON_OVERLAPPING = "all", "ALL", "non_overlapping"
_LEFT_OUT = ("late", "not_entered", "no_levels")
_WON = (pl.col("net_return") > 0).cast(pl.Float64)
_FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ScannerId:
    """What tells a scanner's figures apart: its version, its parameters' hash and the universe it looks at."""

    version: int
    parameters_hash: str
    universe: str = "all"


def scanner_ids(scanners: Iterable[Scanner]) -> dict[str, ScannerId]:
    """Identities of scanners with their default parameters, which a nightly build runs them with."""
    return {s.name: ScannerId(s.version, parameters_hash(s.values()), s.universe) for s in scanners}


def scanner_performance(outcomes: pl.DataFrame, scanners: Mapping[str, ScannerId]) -> pl.DataFrame:
    """Rows of `scanner_performance`: for each scanner with signals every horizon, side and scope.

    outcomes: columns `NEEDED`. scanners: by name; signals of others are left out.
    """
    rows: list[dict[str, Any]] = []
    known = outcomes.filter(pl.col("scanner_name").is_in(list(scanners)))
    for (exchange, name), ours in sorted(known.partition_by("exchange", "scanner_name", as_dict=True).items()):
        rows += _of_scanner(str(exchange), str(name), scanners[str(name)], ours)
    schema = dict(empty_frame(SCANNER_PERFORMANCE).schema)
    return pl.DataFrame(rows, schema=schema).select(SCANNER_PERFORMANCE.names)


def _of_scanner(exchange: str, name: str, scanner: ScannerId, outcomes: pl.DataFrame) -> list[dict[str, Any]]:
    days = outcomes.select(pl.col("session_date").unique().sort())
    # In order of entry, since runs of losses are counted.
    ordered = outcomes.sort("entry_ts", "instrument_id", "signal_id")
    rows, sums = [], []
    for horizon in (*HORIZONS, STOP_TARGET):
        of_horizon = ordered.filter(pl.col("horizon") == horizon)
        scopes = {ALL: of_horizon, NON_OVERLAPPING: of_horizon.filter(_taken(of_horizon))}
        for side in (BOTH_SIDES, "BUY", "SELL"):
            for scope, chosen in scopes.items():
                ours = chosen if side == BOTH_SIDES else chosen.filter(pl.col("side") == side)
                counted = ours.filter((pl.col("status") == "finished") & pl.col("is_over"))
                told = {"exchange": exchange, "scanner_name": name, "horizon": horizon, "side": side, "scope": scope}
                rows.append({**told, **_identity(scanner), **_figures(counted), **_not_counted(ours)})
                sums.append(_by_day(counted, days))
    totals, counts = (np.stack([entry[k] for pair in sums for entry in pair], axis=1) for k in (0, 1))
    low, high = by_session(totals, counts, f"{exchange}|{name}|{scanner.version}|{scanner.parameters_hash}|{scanner.universe}")
    for i, row in enumerate(rows):
        for j, what in enumerate(("win_rate", "edge")):
            row |= {f"{what}_{end}": _finite(ends[2 * i + j]) for end, ends in (("low", low), ("high", high))}
    return rows


def _identity(scanner: ScannerId) -> dict[str, Any]:
    return {
        "parameters_hash": scanner.parameters_hash,
        "universe": scanner.universe,
        "scanner_version": scanner.version,
    }


def _taken(rows: pl.DataFrame) -> pl.Series:
    """Which of the signals, ordered by entry, came when none taken before of the same instrument and side was held."""
    entered = rows.with_row_index("at").filter(pl.col("entry_ts").is_not_null())
    held = entered.select(
        "at",
        group=pl.struct("instrument_id", "side").rank("dense").cast(pl.Int64),
        entry=pl.col("entry_ts").dt.epoch("us"),
        leave=pl.col("exit_ts").dt.epoch("us").fill_null(_FOREVER),
    ).sort("group", "entry", "at")
    taken = not_overlapping(*(owned(held.get_column(c)) for c in ("group", "entry", "leave")))
    # What never entered blocks nothing and is counted as it is.
    out = np.ones(rows.height, dtype=bool)
    out[held.get_column("at").to_numpy()] = taken
    return pl.Series(out)


def _figures(counted: pl.DataFrame) -> dict[str, Any]:
    """Figures of the signals that are counted, in order of entry."""
    net = counted.get_column("net_return").to_numpy()
    won = net > 0
    total, wins = int(net.size), int(won.sum())
    lower, upper = wilson(wins, total)
    sessions, reason = counted.get_column("session_date"), counted.get_column("exit_reason")
    return {
        "total_signals": total,
        "profitable_signals": wins,
        "win_rate": wins / total if total else None,
        "wilson_low": lower,
        "wilson_high": upper,
        "base_rate": _mean(counted.get_column("base_rate")),
        "edge": _mean(counted.select(_WON - pl.col("base_rate")).to_series()),
        "avg_return": _mean(counted.get_column("net_return")),
        "base_return": _mean(counted.get_column("base_return")),
        "avg_profit": _mean(pl.Series(net[won])),
        "avg_loss": _mean(pl.Series(net[net < 0])),
        "avg_costs": _mean(counted.get_column("costs")),
        "profit_factor": profit_factor(net),
        "max_consecutive_losses": longest_losing_streak(net),
        "stop_exits": int((reason == "stop").sum()),
        "target_exits": int((reason == "target").sum()),
        "time_exits": int(reason.is_in(["time", "close"]).sum()),
        "costs_assumed": int(counted.get_column("costs_assumed").sum()),
        "sessions": sessions.n_unique(),
        "first_session": sessions.min(),
        "last_session": sessions.max(),
    }


def _not_counted(rows: pl.DataFrame) -> dict[str, int]:
    status = rows.get_column("status")
    early = (status == "finished") & ~rows.get_column("is_over")
    return {
        "open_signals": int(((status == "open") | early).sum()),
        "left_out": int(status.is_in(_LEFT_OUT).sum()),
        "unadjusted": int((status == "unadjusted").sum()),
    }


def _by_day(counted: pl.DataFrame, days: pl.DataFrame) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Wins and signals, edges and signals with a base, summed by session in the order of `days`: float64[sessions] each."""
    base = pl.col("base_rate")
    sums = counted.group_by("session_date").agg(
        won=_WON.sum(), signals=pl.len().cast(pl.Float64), edge=(_WON - base).sum(), compared=base.count().cast(pl.Float64)
    )
    aligned = days.join(sums, on="session_date", how="left", maintain_order="left").fill_null(0.0)
    won, signals, edge, compared = (aligned.get_column(name).to_numpy() for name in ("won", "signals", "edge", "compared"))
    return (won, signals), (edge, compared)


def _mean(values: pl.Series) -> float | None:
    """The mean of what is known, summed in order; None of nothing."""
    known = values.drop_nulls()
    return float(known.to_numpy().mean()) if known.len() else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
