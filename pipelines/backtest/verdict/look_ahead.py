"""Whether a run uses what nobody knew yet: by its settings, by its signals' moments, and by cutting the future off.

Lives here: `find_peeks`. Does not live here: whether a scanner's SQL looks ahead (`scanners/verification`, the asset check
`look_ahead` of each scanner), which this takes for granted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import polars as pl

from pipelines.backtest import statistics
from pipelines.backtest.actions import ACTION_COLUMNS
from pipelines.backtest.run_setup import RunSetup
from pipelines.backtest.sweep import Case, run_cases

#: Where the future is cut off, as a part of the run's sessions.
CUT = 0.5
#: Sessions before a cut that it changes: at a run's end what is open is closed.
_AT_THE_END = 2
_LEAST_SESSIONS = 20


@dataclass(frozen=True)
class LookAhead:
    """peeks: what uses the future, in words. tried: what was tried, in words."""

    peeks: tuple[str, ...]
    tried: tuple[str, ...]


def find_peeks(setup: RunSetup, equity: np.ndarray) -> LookAhead:
    """Every way in which a run looks ahead that can be found. equity: of its sessions, in order."""
    early = count_early(setup.bars, setup.signals)
    peeks = [*_settings_that_peek(setup)]
    if early:
        peeks.append(f"{early:,} signals count as known before the bar that they are made of had closed")
    tried = ["settings", f"{setup.signals.height:,} signals' moments"]
    day, is_same = _cut_run(setup, statistics.session_returns(equity, setup.rules.initial_cash))
    if day is not None:
        tried.append(f"run again with everything after {day} cut off")
        if not is_same:
            peeks.append(f"its results up to {day} are others where what came after is cut off")
    return LookAhead(tuple(peeks), tuple(tried))


def count_early(bars: pl.DataFrame, signals: pl.DataFrame) -> int:
    """Signals that are known before their moment, or, of those without one, before the close of their session's bar."""
    closes = bars.group_by("instrument_id", "session_date").agg(pl.col("ts_close").max())
    rows = signals.filter(pl.col("signal_type") != "HOLD").join(closes, on=["instrument_id", "session_date"], how="inner")
    moment = pl.col("ts") if "ts" in rows.columns else pl.col("ts_close")
    return rows.filter(pl.col("known_at") < moment).height


def _settings_that_peek(setup: RunSetup) -> list[str]:
    found = []
    if setup.rules.fill_at == "close":
        found.append("orders fill at the very close that they are decided on (fills.price: close)")
    if setup.plan is not None and setup.plan.as_parameters().get("size_at_fill"):
        found.append("sizes follow from a price that is not known when ordering (sizing.price: fill)")
    return found


def _cut_run(setup: RunSetup, returns: np.ndarray) -> tuple[date | None, bool]:
    """The day after which the future was cut off, and whether the past stayed the same; None for a run too short for that."""
    days = setup.bars.get_column("session_date").unique().sort()
    if days.len() < _LEAST_SESSIONS or days.len() != returns.size:
        return None, True
    count = int(days.len() * CUT)
    day: date = days[count - 1]
    cut = _before(setup, day)
    (case,) = run_cases(
        cut.bars,
        [Case({}, cut.signals, cut.rules, cut.plan)],
        cut.costs,
        cut.actions,
        cut.sessions,
        attributes=cut.attributes,
    )
    kept = count - _AT_THE_END
    return day, np.array_equal(case.returns.get_column("ret").to_numpy()[:kept], returns[:kept])


def _before(setup: RunSetup, day: date) -> RunSetup:
    """The setup as it was after a session."""
    bars = setup.bars.filter(pl.col("session_date") <= day)
    closed = bars.get_column("ts_close").max()
    known = (pl.col("session_date") <= day) & (pl.col("known_at") <= closed)
    actions = setup.actions
    if actions is not None and set(ACTION_COLUMNS) <= set(actions.columns):
        actions = actions.filter(pl.col("ex_date") <= day)
    return replace(
        setup,
        bars=bars,
        signals=setup.signals.filter(known),
        actions=actions,
        sessions=[session for session in setup.sessions if session <= day],
    )
