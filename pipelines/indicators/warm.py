"""Compile the kernels ahead: `python -m pipelines.indicators.warm`, run once at install so that no job pays for it.

Not here: where compiled code is kept (`jit.cache_dir`).
"""

import sys

import numpy as np

from pipelines.indicators.arrays import BarArrays, Rescales
from pipelines.indicators.engine import compute
from pipelines.indicators.jit import cache_dir
from pipelines.indicators.registry import load_chosen, load_plugins
from pipelines.settings import Settings


def warm() -> None:
    """Compile every kernel for both output types by computing two bars."""
    load_plugins()
    load_chosen(Settings().indicators)
    one = np.ones(2)
    bars = BarArrays(np.array([0, 2]), one, one, one, one, one, one, np.zeros(2, dtype=np.int32))
    for dtype in (np.float64, np.float32):
        compute(bars, rescales=Rescales.splits([1], [0.5]), dtype=dtype)


if __name__ == "__main__":
    warm()
    sys.stdout.write(f"indicator kernels compiled into {cache_dir()}\n")
