"""Between a window's bars and the engine: frames of bars in, rows of the indicator tables out.

Lives here: the two conversions, and that NaN becomes NULL.
Does not live here: computing (`engine`), which bars to compute (`window`), results as bare Arrow batches (`batches`).
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.indicators.arrays import BarArrays, Result
from pipelines.indicators.frame import Floats, Ints
from pipelines.indicators.tables import STATE_TYPE


def bar_arrays(bars: pl.DataFrame, offsets: Ints) -> BarArrays:
    """Bars sorted by instrument and time as arrays; NULL volume or turnover becomes NaN.

    `offsets` int64[n + 1]: where each instrument's bars begin. Columns: open, high, low, close, volume, turnover, session_date.
    """

    def floats(name: str) -> Floats:
        return bars[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()

    return BarArrays(
        offsets=offsets,
        open=floats("open"),
        high=floats("high"),
        low=floats("low"),
        close=floats("close"),
        volume=floats("volume"),
        turnover=floats("turnover"),
        session=bars["session_date"].to_physical().to_numpy(),
    )


def result_batch(schema: pa.Schema, bars: pl.DataFrame, result: Result) -> pa.RecordBatch:
    """Rows of `schema`: computed columns, `bars_seen` and `state` from the result, everything else from its new `bars`.

    `state` is NULL but on the last bar of each session.
    """
    # Through polars: pyarrow's own conversion of numpy arrays would import pandas first, which takes a second.
    computed = {name: pl.Series(values, nan_to_null=True).to_arrow() for name, values in result.columns.items()}
    computed["bars_seen"] = pl.Series(result.bars_seen, dtype=pl.Int64).to_arrow()
    computed["state"] = _state_lists(bars.height, result.state_row, result.state)
    given = bars.to_arrow()
    columns = [computed[f.name] if f.name in computed else _plain(given[f.name].cast(f.type)) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _state_lists(rows: int, marked: Ints, states: Floats) -> pa.Array:
    lengths = np.zeros(rows, dtype=np.int32)
    lengths[marked] = states.shape[1]
    offsets = pl.Series(np.concatenate(([0], np.cumsum(lengths))), dtype=pl.Int32).to_arrow()
    values, mask = pl.Series(states.ravel()).to_arrow(), pl.Series(lengths == 0).to_arrow()
    return pa.ListArray.from_arrays(offsets, values, type=STATE_TYPE, mask=mask)


def _plain(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
