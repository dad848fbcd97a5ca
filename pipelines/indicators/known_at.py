"""When the rows of carried state became known: restatements followed through every row behind them.

A row is known from the moment on since which its values have been what they are: the greatest of its bar's known_at and of the last
restatement before which the bars and actions, as known then, gave other values. A restatement that leaves a row as it was does not
date it anew. To tell, the rows between a restated bar and the session of its arrival are computed once more from the inputs as
they were, in step with the walk through the window; an instrument without restatements costs nothing.

Lives here: `KnownTimes`, the computation of past inputs and its comparison with the present rows.
Does not live here: which inputs were restated (`restatements.py`), the walk (`window.py`), arithmetic (`engine.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.indicators.arrays import BarArrays, Rescales, Result
from pipelines.indicators.engine import compute
from pipelines.indicators.frame import INPUT_NAMES, Floats, Ints
from pipelines.indicators.registry import Registry
from pipelines.indicators.restatements import Bars, Restatement

#: Changes of the price basis: ex-day, price factor and volume divisor, in order of application.
Actions = Sequence[tuple[int, float, float]]


@dataclass(frozen=True)
class Walked:
    """Bars of one instrument in a chunk: `held` of them are tail, the others new, with the state before the first new one.

    `snapshots` float64[m, S]: the state after the sessions `snapshot_days`, in order.
    """

    bars: Bars
    held: int
    state: Floats
    snapshot_days: Ints
    snapshots: Floats

    def before(self, day: int, lookback: int) -> tuple[Floats, Bars]:
        """State and tail before the session of that day number; the tail is as many bars as kernels look back on."""
        done = int(np.searchsorted(self.snapshot_days, day))
        stop = int(np.searchsorted(self.bars.session, day))
        start = max(0, stop - lookback)
        return (self.snapshots[done - 1] if done else self.state), self.bars.take(slice(start, stop))


@dataclass(frozen=True)
class Chunk:
    """Present rows of one instrument in sessions `first` … `last` (day numbers): what was walked and what it gave.

    `columns` float[c, n]: every published column of the new bars, `bars_seen` among them. `replaced`: bars that stood before.
    """

    first: int
    last: int
    walked: Walked
    columns: npt.NDArray[np.floating]
    replaced: Bars | None


#: Past inputs that give what the present ones give, from some bar on.
_SAME = None


class KnownTimes:
    """The times from which rows were known, chunk by chunk in time order.

    Before each restatement the inputs were others: these past inputs are walked like the present ones, from their state before
    the first restated session to the last session that had opened when the restatement came.
    """

    def __init__(
        self,
        restatements: dict[str, list[Restatement]],
        actions_before: Callable[[str, int], Actions],
        *,
        registry: Registry,
        intraday: bool,
        dtype: npt.DTypeLike,
    ) -> None:
        self._registry, self._lookback = registry, max(registry.lookback(), 1)
        self._restatements, self._actions_before = restatements, actions_before
        self._intraday, self._dtype = intraday, dtype
        self._carried: dict[tuple[str, int], tuple[Floats, Bars] | None] = {}

    def is_open(self, name: str) -> bool:
        """Whether a restatement of the instrument may still change when later rows became known."""
        return any(self._carried.get((name, r.at), _SAME) is not _SAME for r in self._restatements.get(name, []))

    def of(self, name: str, chunk: Chunk) -> Ints:
        """known_at of the chunk's new rows in microseconds UTC. Chunks of an instrument come in time order, each once."""
        known = _own(chunk)
        found = self._restatements.get(name, [])
        walks: dict[int, Walked] = {}
        times = np.array([r.at for r in found], dtype=np.int64)
        # From the newest: a row that is known only since a later restatement needs no look at the earlier ones.
        for place in reversed(range(len(found))):
            restated = found[place]
            if restated.first > chunk.last or restated.until < chunk.first:
                continue
            key = name, restated.at
            if key in self._carried and self._carried[key] is _SAME:
                continue
            first, last = max(restated.first, chunk.first), min(restated.until, chunk.last)
            rows = self._open_rows(chunk, known, restated.at, first, last)
            if restated.until <= chunk.last and not rows.size:
                self._carried.pop(key, None)
                continue
            state, tail = self._carried.get(key) or self._source(name, place, first, chunk, walks).before(first, self._lookback)
            past, columns = self._walk(name, restated.at, state, tail, _as_before(chunk, restated.at, times, first, last))
            walks[place] = past
            known[rows[_differ(chunk, rows, past, columns)]] = restated.at
            self._keep(name, place, chunk, past)
        return known

    def _open_rows(self, chunk: Chunk, known: Ints, at: int, first: int, last: int) -> Ints:
        """New rows of sessions `first` … `last` that are known earlier than `at` as far as seen."""
        session = chunk.walked.bars.session[chunk.walked.held :]
        return np.flatnonzero((session >= first) & (session <= last) & (known < at))

    def _source(self, name: str, place: int, day: int, chunk: Chunk, walks: dict[int, Walked]) -> Walked:
        """Where the inputs before a restatement part from: what was believed after it, as far as `day` the same."""
        for later in range(place + 1, len(self._restatements[name])):
            restated = self._restatements[name][later]
            if restated.first >= day:
                continue
            return walks.get(later, chunk.walked)
        return chunk.walked

    def _walk(self, name: str, at: int, state: Floats, tail: Bars, new: Bars) -> tuple[Walked, npt.NDArray[np.floating]]:
        """Compute `new` as known before `at`; its walk and its published columns."""
        bars = _joined(tail, new)
        held = tail.key.size
        if not new.key.size:
            empty = np.empty((0, self._registry.state_width()))
            return Walked(bars, held, state, np.empty(0, np.int64), empty), np.empty((0, 0))
        rescales = rescales_of([(0, bars.key.size, self._actions_before(name, at))], bars.session)
        values = dict(zip(INPUT_NAMES, bars.values, strict=True))
        arrays = BarArrays(np.array([0, bars.key.size]), **values, session=bars.session)
        result = compute(
            arrays, np.array([held]), state[None], rescales, intraday=self._intraday, registry=self._registry, dtype=self._dtype
        )
        days = new.session[result.state_row].astype(np.int64)
        return Walked(bars, held, state, days, result.state), columns_of(result, slice(None))

    def _keep(self, name: str, place: int, chunk: Chunk, past: Walked) -> None:
        """Carry past inputs into the next chunk, unless they end here or have become the present ones."""
        found = self._restatements[name]
        restated = found[place]
        if restated.until <= chunk.last:
            self._carried.pop((name, restated.at), None)
            return
        (state, tail), (state_now, tail_now) = (
            past.before(chunk.last + 1, self._lookback),
            chunk.walked.before(chunk.last + 1, self._lookback),
        )
        is_same = (
            max(r.last for r in found[place:]) <= chunk.last
            and np.array_equal(state, state_now, equal_nan=True)
            and np.array_equal(tail.key, tail_now.key)
            and np.array_equal(tail.values, tail_now.values, equal_nan=True)
        )
        self._carried[name, restated.at] = _SAME if is_same else (state, tail)


def columns_of(result: Result, rows: slice) -> npt.NDArray[np.floating]:
    """Published columns of these rows of a result, `bars_seen` last."""
    return np.stack([*(values[rows] for values in result.columns.values()), result.bars_seen[rows]])


def rescales_of(instruments: Sequence[tuple[int, int, Actions]], session: npt.NDArray[np.int32]) -> Rescales | None:
    """Actions between two bars at hand, each at the first bar of the new basis.

    instruments: first bar, bar after the last, and actions of each. session: day number of every bar.
    """
    found: list[tuple[int, float, float]] = []
    for low, high, actions in instruments:
        for ex_day, price_factor, volume_divisor in actions:
            bar = low + int(np.searchsorted(session[low:high], ex_day))
            if low < bar < high:
                found.append((bar, price_factor, volume_divisor))
    if not found:
        return None
    bars, prices, volumes = zip(*sorted(found, key=lambda event: event[0]), strict=True)
    return Rescales(np.array(bars), np.array(prices), np.array(volumes))


def _own(chunk: Chunk) -> Ints:
    """From when each new row's own bar has had its figures: a version that said the same counts as the bar itself."""
    new = chunk.walked.bars.take(slice(chunk.walked.held, None))
    known, replaced = new.known.copy(), chunk.replaced
    if replaced is None or not new.key.size:
        return known
    left = np.arange(replaced.key.size)
    place = np.minimum(np.searchsorted(new.key, replaced.key), new.key.size - 1)
    left = left[new.key[place] == replaced.key]
    while left.size:
        # The newest version left of each bar; rows are in order of key and known.
        newest = np.append(replaced.key[left][1:] != replaced.key[left][:-1], True)
        version = left[newest]
        says_same = _equal(replaced.values[:, version], new.values[:, place[version]])
        known[place[version[says_same]]] = replaced.known[version[says_same]]
        same_keys = replaced.key[version[says_same]]
        left = left[~newest & np.isin(replaced.key[left], same_keys)]
    return known


def _as_before(chunk: Chunk, at: int, times: Ints, first: int, last: int) -> Bars:
    """Bars of sessions `first` … `last` as known before `at`: those of later `times` taken out, replaced ones put back."""
    now = chunk.walked.bars.take(slice(chunk.walked.held, None))
    bars = now.take((now.session >= first) & (now.session <= last) & ~((now.known >= at) & np.isin(now.known, times)))
    old = chunk.replaced
    if old is None:
        return bars
    old = old.take((old.session >= first) & (old.session <= last) & (old.known < at) & (old.replaced >= at))
    both = _joined(bars, old)
    order = np.lexsort((both.known, both.key))
    key = both.key[order]
    return both.take(order[np.append(key[1:] != key[:-1], True)] if key.size else order)


def _differ(chunk: Chunk, rows: Ints, past: Walked, columns: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Which of the chunk's new `rows` had other values, or none, among the past ones."""
    keys = past.bars.key[past.held :]
    if not keys.size or not rows.size:
        return np.ones(rows.size, dtype=bool)
    wanted = chunk.walked.bars.key[chunk.walked.held :][rows]
    place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    differ: npt.NDArray[np.bool_] = (keys[place] != wanted) | ~_equal(columns[:, place], chunk.columns[:, rows])
    return differ


def _equal(left: npt.NDArray[np.floating], right: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Whether two columns agree in every row, NaN with NaN."""
    same: npt.NDArray[np.bool_] = ((left == right) | (np.isnan(left) & np.isnan(right))).all(axis=0)
    return same


def _joined(left: Bars, right: Bars) -> Bars:
    return Bars(
        np.concatenate((left.key, right.key)),
        np.concatenate((left.session, right.session)),
        np.concatenate((left.values, right.values), axis=1),
        np.concatenate((left.known, right.known)),
        np.concatenate((left.replaced, right.replaced)),
    )
