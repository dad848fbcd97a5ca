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

from pipelines.backtest.signal_performance.intervals import by_session, false_discovery, wilson
from pipelines.backtest.signal_performance.market import HORIZONS, LONGEST, owned
from pipelines.backtest.signal_performance.trade_simulation import STOP_TARGET
from pipelines.backtest.statistics import longest_losing_streak, profit_factor
from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.tables.signal_performance import SCANNER_PERFORMANCE
from pipelines.scanners.registry import Scanner
from pipelines.scanners.signal_ids import parameters_hash
from pipelines.storage.delta import empty_frame

#: Columns of `signal_outcomes` that the figures need.
NEEDED = (
    "signal_id", "horizon", "scanner_name", "exchange", "instrument_id", "session_date", "side", "status", "is_over", "entry_ts",
    "exit_ts", "exit_reason", "costs", "net_return", "costs_assumed", "base_rate", "base_return",
)  # fmt: skip
ALL, BOTH_SIDES, NON_OVERLAPPING = "all", "ALL", "non_overlapping"
_LEFT_OUT = ("late", "not_entered", "no_levels", "no_intraday")
_FOREVER = np.iinfo(np.int64).max
_Sums = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ScannerId:
    """What tells a scanner's figures apart: its version, its parameters' hash and the universe it looks at."""

    version: int
    parameters_hash: str
    universe: str = "all"


def scanner_ids(scanners: Iterable[Scanner]) -> dict[str, ScannerId]:
    """Identities of scanners with their default parameters, which a nightly build runs them with."""
    return {s.name: ScannerId(s.version, parameters_hash(s.values()), s.universe) for s in scanners}


def scanner_performance(
    outcomes: pl.DataFrame, scanners: Mapping[str, ScannerId], calendars: Mapping[str, ExchangeCalendar]
) -> pl.DataFrame:
    """Rows of `scanner_performance`: for each scanner with signals every horizon, side and scope.

    outcomes: columns `NEEDED`. scanners: by name; signals of others are left out.
    calendars: by exchange, with the sessions on which something traded.
    """
    rows: list[dict[str, Any]] = []
    known = outcomes.filter(pl.col("scanner_name").is_in(list(scanners)))
    for (exchange, name), ours in sorted(known.partition_by("exchange", "scanner_name", as_dict=True).items()):
        rows += _of_scanner(calendars[str(exchange)], str(name), scanners[str(name)], ours)
    schema = dict(empty_frame(SCANNER_PERFORMANCE).schema)
    for exchange in {row["exchange"] for row in rows}:
        tested = [row for row in rows if row["exchange"] == exchange]
        p_values = np.array([np.nan if row["edge_p_value"] is None else row["edge_p_value"] for row in tested])
        for row, q_value in zip(tested, false_discovery(p_values), strict=True):
            row["edge_q_value"] = _finite(q_value)
    return pl.DataFrame(rows, schema=schema).select(SCANNER_PERFORMANCE.names)


def _of_scanner(known: ExchangeCalendar, name: str, scanner: ScannerId, outcomes: pl.DataFrame) -> list[dict[str, Any]]:
    exchange, days = known.exchange.mic, _sessions(known, outcomes)
    # In order of entry, since runs of losses are counted.
    ordered = outcomes.sort("entry_ts", "instrument_id", "signal_id")
    rows: list[dict[str, Any]] = []
    # Horizons that span equally many sessions share the draws of a bootstrap, which are most of its time.
    drawn: dict[int, list[tuple[dict[str, Any], tuple[_Sums, _Sums]]]] = {}
    for horizon in (*HORIZONS, STOP_TARGET):
        of_horizon = ordered.filter(pl.col("horizon") == horizon)
        columns, taken = _columns(of_horizon, days), _taken(of_horizon)
        everything, sold = np.ones(of_horizon.height, dtype=bool), of_horizon.get_column("side").to_numpy() == "SELL"
        alike = drawn.setdefault(max(HORIZONS[LONGEST if horizon == STOP_TARGET else horizon], 1), [])
        for side, of_side in ((BOTH_SIDES, everything), ("BUY", ~sold), ("SELL", sold)):
            for scope, in_scope in ((ALL, everything), (NON_OVERLAPPING, taken)):
                ours = of_side & in_scope
                identity = {"exchange": exchange, "scanner_name": name, "horizon": horizon, "side": side, "scope": scope}
                rows.append({**identity, **_identity(scanner), **_figures(columns, ours & columns.counted, days)})
                rows[-1] |= {what: int((ours & one).sum()) for what, one in columns.not_counted.items()}
                alike.append((rows[-1], _by_day(columns, ours & columns.counted, days.len())))
    content = f"{exchange}|{name}|{scanner.version}|{scanner.parameters_hash}|{scanner.universe}"
    for held, alike in drawn.items():
        totals, counts = (np.stack([entry[k] for _, pair in alike for entry in pair], axis=1) for k in (0, 1))
        spread = by_session(totals, counts, held, content)
        for i, (row, _) in enumerate(alike):
            for j, (what, least) in enumerate((("win_rate", 0.0), ("edge", -1.0))):
                row[f"{what}_low"] = _finite(max(spread.low[2 * i + j], least))
                row[f"{what}_high"] = _finite(min(spread.high[2 * i + j], 1.0))
            row["edge_p_value"] = _finite(spread.p_value[2 * i + 1])
    return rows


def _sessions(known: ExchangeCalendar, outcomes: pl.DataFrame) -> pl.Series:
    """Every session of the exchange from the first signal to the last, in order."""
    signalled = outcomes.get_column("session_date").unique().sort()
    between = [session.session_date for session in known.between(signalled[0], signalled[-1])]
    return pl.concat([signalled, pl.Series(between, dtype=pl.Date)]).unique().sort()


@dataclass(frozen=True)
class _Columns:
    """Outcomes of one horizon as arrays. day: number of the session. reason: of the exit. not_counted: by the column that tells."""

    day: np.ndarray
    counted: np.ndarray
    net: np.ndarray
    costs: np.ndarray
    base_rate: np.ndarray
    base_return: np.ndarray
    assumed: np.ndarray
    reason: np.ndarray
    not_counted: dict[str, np.ndarray]


def _columns(rows: pl.DataFrame, days: pl.Series) -> _Columns:
    status, is_over = rows.get_column("status"), rows.get_column("is_over").to_numpy()
    finished = (status == "finished").to_numpy()
    real = {name: rows.get_column(name).cast(pl.Float64).to_numpy() for name in ("net_return", "costs", "base_rate", "base_return")}
    return _Columns(
        day=days.search_sorted(rows.get_column("session_date")).to_numpy().astype(np.int64),
        counted=finished & is_over,
        net=real["net_return"],
        costs=real["costs"],
        base_rate=real["base_rate"],
        base_return=real["base_return"],
        assumed=rows.get_column("costs_assumed").fill_null(value=False).to_numpy(),
        reason=rows.get_column("exit_reason").fill_null("").to_numpy(),
        not_counted={
            "open_signals": (status == "open").to_numpy() | (finished & ~is_over),
            "left_out": status.is_in(_LEFT_OUT).to_numpy(),
            "unadjusted": (status == "unadjusted").to_numpy(),
        },
    )


def _identity(scanner: ScannerId) -> dict[str, Any]:
    return {
        "parameters_hash": scanner.parameters_hash,
        "universe": scanner.universe,
        "scanner_version": scanner.version,
    }


def _taken(rows: pl.DataFrame) -> np.ndarray:
    """Which of the signals, ordered by entry, came when none taken before of the same instrument and side was held."""
    # Here: numba takes as long to import as polars, and most who ask this module want the identities of scanners alone.
    from pipelines.backtest.signal_performance.kernel import not_overlapping

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
    return out


def _figures(columns: _Columns, counted: np.ndarray, days: pl.Series) -> dict[str, Any]:
    """Figures of the signals that are counted, in order of entry."""
    net, base, reason = columns.net[counted], columns.base_rate[counted], columns.reason[counted]
    won = net > 0
    total, wins = int(net.size), int(won.sum())
    lower, upper = wilson(wins, total)
    sessions = np.unique(columns.day[counted])
    return {
        "total_signals": total,
        "profitable_signals": wins,
        "win_rate": wins / total if total else None,
        "wilson_low": lower,
        "wilson_high": upper,
        "base_rate": _mean(base),
        "edge": _mean(won - base),
        "avg_return": _mean(net),
        "base_return": _mean(columns.base_return[counted]),
        "avg_profit": _mean(net[won]),
        "avg_loss": _mean(net[net < 0]),
        "avg_costs": _mean(columns.costs[counted]),
        "profit_factor": profit_factor(net),
        "max_consecutive_losses": longest_losing_streak(net),
        "stop_exits": int((reason == "stop").sum()),
        "target_exits": int((reason == "target").sum()),
        "time_exits": int(np.isin(reason, ["time", "close", "cash_out"]).sum()),
        "costs_assumed": int(columns.assumed[counted].sum()),
        "sessions": sessions.size,
        "first_session": days[int(sessions[0])] if sessions.size else None,
        "last_session": days[int(sessions[-1])] if sessions.size else None,
    }


def _by_day(columns: _Columns, counted: np.ndarray, days: int) -> tuple[_Sums, _Sums]:
    """Wins and signals, edges and signals with a base, summed by session: float64[days] each."""
    day, won, base = columns.day[counted], columns.net[counted] > 0, columns.base_rate[counted]
    based = ~np.isnan(base)
    signals = np.bincount(day, None, days).astype(np.float64)
    edges = np.bincount(day[based], (won - base)[based], days)
    return (np.bincount(day, won, days), signals), (edges, np.bincount(day[based], None, days).astype(np.float64))


def _mean(values: np.ndarray) -> float | None:
    """The mean of what is known, summed in order; None of nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
