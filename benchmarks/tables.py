"""What every benchmark shares: interleaved timing, rows of a table with the target beside, generated bars.

Not here: what is measured (one module per question).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.indicators.arrays import BarArrays

SEED = 20240603


@dataclass(frozen=True)
class Table:
    """One question's answer: `rows` of text under `columns`, and what to know when reading it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    remark: str

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [f"## {self.title}", "", self.remark, "", "| " + " | ".join(self.columns) + " |"]
        lines.append("|" + "---|" * len(self.columns))
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join([*lines, ""])


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each task in each round, the tasks taking turns, so that what else the machine does meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(rounds):
        for name, task in tasks.items():
            begun = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def ratio(over: Sequence[float], under: Sequence[float], scale: float = 1.0) -> str:
    """Ratio of medians with the spread of the rounds."""
    each = sorted(scale * a / b for a, b in zip(over, under, strict=True))
    return f"{scale * statistics.median(over) / statistics.median(under):.2f} ({each[0]:.2f} … {each[-1]:.2f})"


def random_bars(instruments: int, bars: int, *, bars_per_session: int = 1) -> BarArrays:
    """Seeded random walks on a tick of 0.05, volume and turnover given."""
    rng = np.random.default_rng(SEED)
    close = np.round(20 * 200 * np.exp(np.cumsum(rng.normal(0, 0.001, (instruments, bars)), axis=1))) / 20
    high = close + np.round(rng.random((instruments, bars)) * 10) / 20
    low = close - np.round(rng.random((instruments, bars)) * 10) / 20
    volume = rng.integers(1, 5_000, (instruments, bars)).astype(float)
    session = np.tile(np.arange(bars) // bars_per_session, instruments)
    values = (close, high, low, close, volume, close * volume)
    return BarArrays(np.arange(instruments + 1) * bars, *(v.ravel() for v in values), session)
