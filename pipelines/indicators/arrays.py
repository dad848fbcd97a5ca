"""What goes into the engine and what comes out: bars, changes of price basis and results, as plain arrays.

Not here: computing (`engine`), Arrow tables (`batches`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.indicators.frame import INPUT_NAMES, Floats, Ints


@dataclass(frozen=True)
class BarArrays:
    """Bars of several instruments, one after another, each in time order: its tail first, then its new bars.

    `offsets` int64[n + 1]: bars of instrument i are offsets[i] … offsets[i+1]-1. Prices in the instrument's currency, finite,
    as traded (raw); `volume` in shares, NaN where unknown; `turnover` in currency, NaN where unknown. `session` int32: the
    exchange's session date as a day number, non-decreasing within an instrument. Arrays are converted to these types.
    Raises ValueError when shapes do not match or sessions go back in time.
    """

    offsets: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    turnover: Floats
    session: npt.NDArray[np.int32]

    def __post_init__(self) -> None:
        for name in INPUT_NAMES:
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        object.__setattr__(self, "offsets", np.ascontiguousarray(self.offsets, dtype=np.int64))
        object.__setattr__(self, "session", np.ascontiguousarray(self.session, dtype=np.int32))
        bars = self.session.shape
        for name in INPUT_NAMES:
            if getattr(self, name).shape != bars:
                raise ValueError(f"bars: {name} has shape {getattr(self, name).shape}, session {bars}; give one value per bar")
        edges = self.offsets
        if edges.ndim != 1 or edges.size == 0 or edges[0] != 0 or edges[-1] != bars[0] or (np.diff(edges) < 0).any():
            raise ValueError(f"bars: offsets must rise from 0 to the number of bars ({bars[0]}), one more than instruments")
        backwards = np.flatnonzero(np.diff(self.session) < 0) + 1
        stray = np.setdiff1d(backwards, edges)
        if stray.size:
            raise ValueError(f"bars: session goes back at bar {stray[0]}; sort by (instrument, time)")

    @property
    def instruments(self) -> int:
        """The number of instruments."""
        return int(self.offsets.size) - 1


@dataclass(frozen=True)
class Rescales:
    """Corporate actions as changes of the price basis, ascending by bar.

    From bar `bar[j]` of the concatenated arrays on, prices are quoted in a new basis: everything of that instrument before it
    is multiplied by `price_factor[j]` where it is a price and divided by `volume_divisor[j]` where it is a volume. A 2-for-1
    split has 0.5 and 0.5; a demerger its ratio and 1. Several at one bar apply in the order given.
    Raises ValueError when unsorted, of unequal length, or with factors that are not positive and finite.
    """

    bar: Ints
    price_factor: Floats
    volume_divisor: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "bar", np.ascontiguousarray(self.bar, dtype=np.int64))
        for name in ("price_factor", "volume_divisor"):
            values = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            object.__setattr__(self, name, values)
            if values.shape != self.bar.shape:
                raise ValueError(f"rescales: {name} has shape {values.shape}, bar {self.bar.shape}; give one per action")
            if not (np.isfinite(values) & (values > 0)).all():
                raise ValueError(f"rescales: {name} must be positive and finite; drop actions without a ratio")
        if (np.diff(self.bar) < 0).any():
            raise ValueError("rescales: bar must ascend; sort the actions by bar")

    @classmethod
    def splits(cls, bar: npt.ArrayLike, factor: npt.ArrayLike) -> "Rescales":
        """Make rescales of splits and bonuses: prices × factor, volumes ÷ factor (0.5 for 2-for-1)."""
        return cls(bar=bar, price_factor=factor, volume_divisor=factor)  # type: ignore[arg-type]  # converted on creation


@dataclass(frozen=True)
class Result:
    """What the engine made of the new bars.

    `columns`: name → array, one value per new bar, instruments in order; NaN where not defined (yet).
    `bars_seen` int32 per new bar: bars of the instrument up to and including it, at most 1,000.
    `state` float64[m, S]: the carried state after the last bar of each (instrument, session), in order; `state_row` int64[m]
    says which new bar (row of the columns) that is.
    """

    columns: Mapping[str, npt.NDArray[np.floating]]
    bars_seen: npt.NDArray[np.int32]
    state: Floats
    state_row: Ints
