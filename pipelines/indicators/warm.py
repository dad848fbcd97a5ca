"""Compile the kernels ahead: `python -m pipelines.indicators.warm`, run once at install so that no job pays for it.

Not here: where compiled code is kept (`jit.cache_dir`).
"""

import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from pipelines.indicators.arrays import BarArrays, Rescales
from pipelines.indicators.cumulative import intraday_curves
from pipelines.indicators.engine import compute
from pipelines.indicators.jit import cache_dir
from pipelines.indicators.registry import Registry, home_registry
from pipelines.indicators.volume_profiles import usual
from pipelines.settings import Settings


def warm(registry: Registry) -> None:
    """Compile every kernel of these indicators for both output types by computing two bars."""
    one = np.ones(2)
    bars = BarArrays(np.array([0, 2]), one, one, one, one, one, one, np.zeros(2, dtype=np.int32))
    for dtype in (np.float64, np.float32):
        compute(bars, rescales=Rescales.splits([1], [0.5]), registry=registry, dtype=dtype)
    _warm_curves()


def _warm_curves() -> None:
    """Through frames, as builds and scans call them: numba compiles anew for arrays that may not be written to."""
    opens, day = datetime(2024, 1, 2, 3, 45, tzinfo=UTC), date(2024, 1, 2)
    keys = {"exchange": ["XNSE"] * 2, "instrument_id": ["XNSE:WARM"] * 2, "session_date": [day] * 2, "symbol": ["WARM"] * 2}
    prices = {name: [1.0, 1.0] for name in ("open", "high", "low", "close")}
    times = [opens, opens + timedelta(minutes=1)]
    minutes = pl.DataFrame({**keys, **prices, "ts": times, "volume": [1, 1], "known_at": times})
    sessions = pl.DataFrame({"session_date": [day], "opens_at": [opens], "closes_at": [opens + timedelta(minutes=2)]})
    curves = intraday_curves(minutes, sessions).with_columns(volume_divisor=pl.lit(1.0), price_factor=pl.lit(1.0))
    usual(curves, pl.DataFrame({"sessions": [1], "length": [2]}))


if __name__ == "__main__":
    warm(home_registry(Settings().indicators))
    sys.stdout.write(f"indicator kernels compiled into {cache_dir()}\n")
