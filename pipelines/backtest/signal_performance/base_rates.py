"""The base rate: what entering at the same time on the same side would have brought in any instrument of the universe.

Lives here: `Base` by group of signals and horizon.
Does not live here: which signals form a group (`outcomes.py`), following positions (`trade_simulation.py`).

A group is the signals of one scanner and side that enter at one moment. Their base is every instrument of the universe entered
then, with the group's mean distance of stop and target from the price of the decision. Nobody held them: who cannot be left at
the horizon's close counts at the last close by then, so that a base once published does not depend on what comes after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.backtest.signal_performance.charges import Charges
from pipelines.backtest.signal_performance.market import HORIZONS, Market
from pipelines.backtest.signal_performance.minutes import Minutes
from pipelines.backtest.signal_performance.trade_simulation import FINISHED, Entries, Outcomes, held_to, to_stop_or_target

#: Positions followed at a time: 60 MB of arrays.
_CHUNK = 500_000


@dataclass(frozen=True)
class Base:
    """By group: instruments counted, share of them with a profit, mean net return; NaN where none is counted."""

    size: np.ndarray
    rate: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True)
class Groups:
    """Groups of signals. session: of the entry. side: 1 or -1. stop, target: level over price of the decision, NaN for none."""

    session: np.ndarray
    side: np.ndarray
    stop: np.ndarray
    target: np.ndarray

    @property
    def size(self) -> int:
        """How many."""
        return int(self.session.size)


def base_of_holding(market: Market, charges: Charges, groups: Groups) -> dict[str, Base]:
    """Base of groups that enter at a session's open, for each horizon that ends at a close: one look-up a group."""
    found = {}
    for horizon in HORIZONS:
        size, rate, mean = (np.full(groups.size, np.nan) for _ in range(3))
        for side in (1, -1):
            bars = _entered(market, np.flatnonzero(market.in_universe), side)
            nothing, sides = np.full(bars.size, np.nan), np.full(bars.size, side)
            entries = Entries(bars, market.opens[bars], sides, nothing, nothing, bars, np.full(bars.size, -1))
            base = _counted(market.session[bars], market.opened.size, held_to(horizon, market, charges, entries, waits=False))
            ours = groups.side == side
            at = groups.session[ours]
            size[ours], rate[ours], mean[ours] = base.size[at], base.rate[at], base.mean[at]
        found[horizon] = Base(size, rate, mean)
    return found


def base_of_levels(market: Market, charges: Charges, groups: Groups) -> Base:
    """Base of groups that enter at a session's open and leave at a stop or target."""
    members = np.flatnonzero(market.in_universe)
    members = members[np.argsort(market.session[members], kind="stable")]
    starts = np.searchsorted(market.session[members], groups.session, side="left")
    counts = np.searchsorted(market.session[members], groups.session, side="right") - starts
    size, rate, mean = (np.full(groups.size, np.nan) for _ in range(3))
    for part in _parts(counts):
        group = np.repeat(part, counts[part])
        within = np.arange(group.size) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
        bar = members[starts[group] + within]
        filled = market.can_enter(bar, groups.side[group])
        bar, group = bar[filled], group[filled]
        price = market.closes[bar - 1]
        levels = (price * groups.stop[group], price * groups.target[group])
        entries = Entries(bar, market.opens[bar], groups.side[group], *levels, bar - 1, np.full(bar.size, -1))
        base = _counted(group - part[0], part.size, to_stop_or_target(market, charges, entries, None, waits=False))
        size[part], rate[part], mean[part] = base.size, base.rate, base.mean
    return Base(size, rate, mean)


def base_in_session(market: Market, charges: Charges, minutes: Minutes, groups: Groups, moment: np.ndarray) -> dict[str, Base]:
    """Base of groups that enter at the next minute after `moment` (int64[groups], microseconds UTC), for all horizons.

    It counts the instruments that had traded in the session by then.
    """
    traded = np.unique(minutes.instrument)
    bars = market.bar(traded, np.full(traded.size, groups.session[0]))
    traded, bars = (values[(bars >= 0) & (market.session[bars] == groups.session[0])] for values in (traded, bars))
    group = np.repeat(np.arange(groups.size), traded.size)
    instrument, bar = np.tile(traded, groups.size), np.tile(bars, groups.size)
    minute = minutes.first_from(instrument, moment[group], groups.side[group])
    before = np.where(minute >= 0, minutes.before(np.maximum(minute, 0)), -1)
    group, bar, minute, before = (values[before >= 0] for values in (group, bar, minute, before))
    price = minutes.closes[before]
    levels = (price * groups.stop[group], price * groups.target[group])
    entries = Entries(bar, minutes.opens[minute], groups.side[group], *levels, bar, minute)
    found = {horizon: _counted(group, groups.size, held_to(horizon, market, charges, entries, waits=False)) for horizon in HORIZONS}
    touched = to_stop_or_target(market, charges, entries, minutes, waits=False)
    return found | {"stop_target": _counted(group, groups.size, touched)}


def _entered(market: Market, bars: np.ndarray, side: int) -> np.ndarray:
    """Those of the bars whose open fills an order of that side."""
    return bars[market.can_enter(bars, np.full(bars.size, side))]


def _counted(group: np.ndarray, groups: int, outcomes: Outcomes) -> Base:
    """Positions whose horizon is over and whose outcome is known, by group."""
    counts = (outcomes.status == FINISHED) & outcomes.is_over
    net = outcomes.net[counts]
    size, wins, total = (np.bincount(group[counts], values, groups) for values in (None, net > 0, net))
    some = size > 0
    share, mean = (np.divide(values, size, out=np.full(groups, np.nan), where=some) for values in (wins, total))
    return Base(size.astype(np.float64), share, mean)


def _parts(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Runs of groups with about `_CHUNK` members together."""
    part = np.cumsum(counts) // _CHUNK
    for number in np.unique(part):
        yield np.flatnonzero(part == number)
