"""Results and states as Arrow record batches, and states back again: the form in which tables hold them.

NaN becomes null on the way out. Keys (instrument, session, time) are the caller's: they are passed through, one row each.

Not here: reading or writing tables (`pipelines.storage`).
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipelines.indicators.arrays import Result
from pipelines.indicators.frame import Floats
from pipelines.indicators.registry import REGISTRY, Registry


def result_to_arrow(result: Result, keys: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """Return the columns of the new bars after their keys, `bars_seen` last; the type of a column is that of the result.

    Raises ValueError if a key column does not have one value per new bar.
    """
    rows = result.bars_seen.size
    _check_lengths(keys, rows, "new bar")
    columns = {name: pa.array(values, from_pandas=True) for name, values in result.columns.items()}
    return pa.RecordBatch.from_pydict({**keys, **columns, "bars_seen": pa.array(result.bars_seen)})


def state_to_arrow(result: Result, keys: Mapping[str, pa.Array], registry: Registry = REGISTRY) -> pa.RecordBatch:
    """Return the carried states after their keys, one float64 column per state field.

    `keys` have one value per row of `result.state`; take them from the bars' keys at `result.state_row`.
    """
    _check_lengths(keys, result.state.shape[0], "state")
    names = [state_field.name for state_field in registry.state_fields()]
    fields = {name: pa.array(np.ascontiguousarray(result.state[:, j])) for j, name in enumerate(names)}
    return pa.RecordBatch.from_pydict({**keys, **fields})


def state_from_arrow(table: pa.Table | pa.RecordBatch, registry: Registry = REGISTRY) -> Floats:
    """Return float64[rows, S] for `engine.compute` from a table that `state_to_arrow` made, in the table's row order.

    Nulls become NaN (a cold start). Raises ValueError if a field is missing: the state then belongs to another set of
    indicators and must be rebuilt from the first bar.
    """
    names = [state_field.name for state_field in registry.state_fields()]
    missing = [name for name in names if name not in table.schema.names]
    if missing:
        raise ValueError(f"state table lacks {', '.join(missing)}; it was made by another set of indicators: rebuild it")
    state = np.empty((table.num_rows, len(names)))
    for j, name in enumerate(names):
        state[:, j] = table.column(name).to_numpy(zero_copy_only=False)
    return state


def _check_lengths(keys: Mapping[str, pa.Array], rows: int, what: str) -> None:
    for name, values in keys.items():
        if len(values) != rows:
            raise ValueError(f"key {name!r} has {len(values)} values, expected {rows}, one per {what}")
