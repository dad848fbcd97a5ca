"""The engine: runs every registered kernel over bars, instrument by instrument, and carries state from run to run.

An instrument is worked in segments, each a tail plus up to `SEGMENT` new bars in one small frame that stays in the processor's
cache. A change of price basis begins a new segment: the frame and the state are rescaled, then work goes on. A cut between two
runs is nothing but one more segment boundary, which is why both give the same bits.

Not here: formulas (`kernels`), tables, or the look-up of corporate actions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipelines.indicators.arrays import BarArrays, Rescales, Result
from pipelines.indicators.frame import INPUT_NAMES, ROWS, Floats, Ints
from pipelines.indicators.kernels import workspace
from pipelines.indicators.model import UNIT_POWERS
from pipelines.indicators.parameters import BARS_SEEN_LIMIT
from pipelines.indicators.registry import REGISTRY, Registry

SEGMENT = 2048
"""New bars per frame: frame and outputs then take about 1 MB."""

KeepState = Literal["sessions", "last"]


def compute(
    bars: BarArrays,
    begin: npt.ArrayLike | None = None,
    state: Floats | None = None,
    rescales: Rescales | None = None,
    *,
    intraday: bool = False,
    registry: Registry = REGISTRY,
    dtype: npt.DTypeLike = np.float64,
    keep_state: KeepState = "sessions",
    buffer: npt.NDArray[np.floating] | None = None,
) -> Result:
    """Compute all registered indicators for the bars from `begin` on.

    `begin` int64[n]: position in the arrays of each instrument's first new bar (default: its first bar). Bars before it are
    tail, raw as stored: at least the last `registry.lookback()` bars, or all there are. `state` float64[n, S]: each
    instrument's state after the bar before `begin`; a row of NaN (or no state) is a cold start, which must begin at the
    instrument's first bar. `intraday`: one-minute bars, with OBV and VWAP anew each session. `dtype` of the columns is cast
    once, at the end; state stays float64. `keep_state="last"` returns only the state after each instrument's last bar.
    `buffer`: an array of that type, at least (columns, new bars), to hold the columns: fresh memory costs more than the
    arithmetic, so a caller of many batches hands in the same one and is done with a result before asking for the next.

    Raises ValueError for a tail that is too short, a cold start in the middle, or a price that is not finite.
    """
    plan = _plan(registry)
    first_bars = bars.offsets[:-1] if begin is None else np.ascontiguousarray(begin, dtype=np.int64)
    states = _checked(bars, first_bars, state, registry)
    rows = np.concatenate(([0], np.cumsum(bars.offsets[1:] - first_bars)))
    marked = _marked_bars(bars, first_bars, keep_state)
    names = [output.name for indicator in registry for output in indicator.outputs]

    columns = _columns(buffer, len(names), int(rows[-1]), np.dtype(dtype))
    counts = np.arange(1, rows[-1] + 1) + np.repeat(states[:, 0].astype(np.int64) - rows[:-1], np.diff(rows))
    bars_seen = np.minimum(counts, BARS_SEEN_LIMIT).astype(np.int32)
    snapshots = np.empty((marked.size, registry.state_width()))
    worker = _Worker(bars, registry.lookback(), plan, marked, columns, snapshots, rescales, intraday)
    for i in range(bars.instruments):
        if first_bars[i] < bars.offsets[i + 1]:
            worker.run(int(bars.offsets[i]), int(first_bars[i]), int(bars.offsets[i + 1]), int(rows[i]), states[i])

    published = {name: columns[names.index(name)] for name in registry.columns()}
    instrument = np.searchsorted(bars.offsets, marked, side="right") - 1
    return Result(published, bars_seen, snapshots, marked - first_bars[instrument] + rows[instrument])


@dataclass(frozen=True)
class _Plan:
    """The compiled kernels with where their outputs and state fields lie, and the unit powers of the whole state row."""

    kernels: tuple[tuple[Callable[..., None], tuple[Floats, ...], slice, slice], ...]
    outputs: int
    state_width: int
    powers: Ints


def _plan(registry: Registry) -> _Plan:
    kernels = []
    output, field = 0, 1
    powers = [UNIT_POWERS["count"]]
    for indicator in registry:
        module, _, function = indicator.kernel.partition(":")
        width, fields = len(indicator.outputs), len(indicator.state_fields)
        compiled: Callable[..., None] = getattr(import_module(module), function)
        options = (np.array(indicator.options, dtype=np.float64),) if indicator.options else ()
        kernels.append((compiled, options, slice(output, output + width), slice(field, field + fields)))
        powers.extend(UNIT_POWERS[state_field.unit] for state_field in indicator.state_fields)
        output, field = output + width, field + fields
    return _Plan(tuple(kernels), output, field, np.array(powers, dtype=np.int64))


class _Worker:
    """The working memory of one run: a frame, a state row and scratch outputs, reused for every segment."""

    def __init__(
        self,
        bars: BarArrays,
        lookback: int,
        plan: _Plan,
        marked: Ints,
        columns: npt.NDArray[np.floating],
        snapshots: Floats,
        rescales: Rescales | None,
        intraday: bool,
    ) -> None:
        self._lookback = max(lookback, 1)
        self._plan, self._marked, self._intraday = plan, marked, int(intraday)
        self._columns, self._snapshots = columns, snapshots
        self._inputs = (*(getattr(bars, name) for name in INPUT_NAMES), bars.session)
        self._rescales = rescales
        self._frame = np.zeros((ROWS, self._lookback + SEGMENT))
        self._state = np.zeros(plan.state_width)
        self._scratch = np.empty((plan.outputs, SEGMENT))
        self._shots = np.empty((SEGMENT, plan.state_width))
        self._marks = np.empty(SEGMENT + 1, dtype=np.int64)
        self._calls = tuple(
            (kernel, options, self._state[fields], self._shots[:, fields], self._scratch[outputs])
            for kernel, options, outputs, fields in plan.kernels
        )

    def run(self, start: int, begin: int, end: int, row: int, state: Floats) -> None:
        """Work one instrument: bars start … begin-1 are tail, begin … end-1 are new and go to columns from `row` on."""
        self._state[:] = state
        count = int(state[0])
        position, held = max(start, begin - self._lookback), 0
        events = self._events(position, end)
        while position < end:
            while events and events[0][0] == position:
                _, price_factor, volume_divisor = events.pop(0)
                workspace.rescale(self._frame, held, price_factor, volume_divisor)
                if position >= begin:
                    workspace.rescale_state(self._state, self._plan.powers, price_factor, volume_divisor)
            limit = min(events[0][0] if events else end, begin if position < begin else position + SEGMENT, end)
            workspace.load(self._frame, held, *self._inputs, position, limit)
            if position >= begin:
                self._segment(held, limit - position, count, row, position)
                count += limit - position
                row += limit - position
            held += limit - position
            position = limit
            if held > self._lookback:
                workspace.keep_tail(self._frame, held, self._lookback)
                held = self._lookback

    def _events(self, start: int, end: int) -> list[tuple[int, float, float]]:
        if self._rescales is None:
            return []
        low, high = np.searchsorted(self._rescales.bar, (start, end))
        found = (self._rescales.bar, self._rescales.price_factor, self._rescales.volume_divisor)
        return list(zip(*(values[low:high].tolist() for values in found), strict=True))

    def _segment(self, first: int, size: int, count: int, row: int, position: int) -> None:
        """Run every kernel on `size` new bars that lie in the frame from `first` on (bars `position` … of the arrays)."""
        low, high = np.searchsorted(self._marked, (position, position + size))
        wanted = int(high - low)
        self._marks[:wanted] = self._marked[low:high]
        self._marks[:wanted] += first - position
        self._marks[wanted] = -1
        span = (first, first + size, count, self._intraday)
        workspace.fill_features(self._frame, first, first + size, count)
        for kernel, options, state, shots, out in self._calls:
            kernel(self._frame, span, *options, state, self._marks, shots, out)
        self._state[0] = count + size
        if wanted:
            self._shots[:wanted, 0] = self._marks[:wanted] - first + count + 1
            self._snapshots[low:high] = self._shots[:wanted]
        self._columns[:, row : row + size] = self._scratch[:, :size]


def _columns(buffer: npt.NDArray[np.floating] | None, width: int, rows: int, dtype: np.dtype[Any]) -> npt.NDArray[np.floating]:
    if buffer is None:
        return np.empty((width, rows), dtype=dtype)
    if buffer.dtype != dtype or buffer.ndim != 2 or buffer.shape[0] < width or buffer.shape[1] < rows:
        raise ValueError(f"buffer is {buffer.dtype}{buffer.shape}, needed are {dtype}{(width, rows)} or more bars")
    return buffer[:width, :rows]


def _checked(bars: BarArrays, begin: Ints, state: Floats | None, registry: Registry) -> Floats:
    """Check the inputs against one another and return the states, zeros for cold starts."""
    if begin.shape != (bars.instruments,) or (begin < bars.offsets[:-1]).any() or (begin > bars.offsets[1:]).any():
        raise ValueError("begin: give one position per instrument, within its bars")
    for name in INPUT_NAMES:
        bad = workspace.first_unusable(getattr(bars, name), name in ("volume", "turnover"))
        if bad >= 0:
            instrument = int(np.searchsorted(bars.offsets, bad, side="right")) - 1
            value = getattr(bars, name)[bad]
            raise ValueError(f"bars: {name} of bar {bad} (instrument {instrument}) is {value}; quarantine the bar first")
    width = registry.state_width()
    states = np.zeros((bars.instruments, width)) if state is None else np.array(state, dtype=np.float64)
    if states.shape != (bars.instruments, width):
        raise ValueError(
            f"state has shape {states.shape}, expected {(bars.instruments, width)}; it was made by another set of indicators: "
            "rebuild it from the first bar"
        )
    states[~(states[:, 0] > 0)] = 0.0
    needed = np.minimum(states[:, 0], registry.lookback())
    given = begin - bars.offsets[:-1]
    short = np.flatnonzero((given < needed) | ((states[:, 0] == 0) & (given > 0)))
    if short.size:
        i = int(short[0])
        raise ValueError(
            f"instrument {i}: state counts {int(states[i, 0])} bars before begin, but {given[i]} are given; "
            f"give the last {registry.lookback()} bars (or all), and a state for every instrument with bars before begin"
        )
    return states


def _marked_bars(bars: BarArrays, begin: Ints, keep_state: KeepState) -> Ints:
    """Return the positions of the new bars whose state is kept: the last of each session, or of each instrument."""
    new = np.flatnonzero(begin < bars.offsets[1:])
    if keep_state == "last":
        return bars.offsets[1:][new] - 1
    total = bars.session.size
    last = np.ones(total, dtype=bool)
    if total:
        last[:-1] = bars.session[1:] != bars.session[:-1]
        last[bars.offsets[1:][bars.offsets[1:] > 0] - 1] = True
    wanted = np.zeros(total + 1, dtype=np.int64)
    np.add.at(wanted, begin[new], 1)
    np.add.at(wanted, bars.offsets[1:][new], -1)
    return np.flatnonzero(last & (np.cumsum(wanted[:-1]) > 0)).astype(np.int64)
