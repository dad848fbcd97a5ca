"""What does computing cost on top of reading the bars and writing the columns, Parquet to Parquet?

Not here: the engine alone (`kernels`).
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.tables import Table, interleaved, random_bars, ratio
from pipelines.indicators.arrays import BarArrays
from pipelines.indicators.engine import compute

INSTRUMENTS, BARS, ROUNDS = 100, 3_750, 5
_INPUTS = ("open", "high", "low", "close", "volume")


def run() -> Table:
    """Ratio of read + compute + write over read + write."""
    bars = random_bars(INSTRUMENTS, BARS, bars_per_session=375)
    with tempfile.TemporaryDirectory(prefix="marketlake-bench-") as folder:
        source, target = Path(folder) / "bars.parquet", Path(folder) / "indicators.parquet"
        owner = np.repeat(np.arange(INSTRUMENTS, dtype=np.int32), BARS)
        given = {"instrument": owner, "session": bars.session, **{name: getattr(bars, name) for name in _INPUTS}}
        pq.write_table(pa.table(given), source, compression="zstd")
        buffer = np.empty((64, bars.session.size), dtype=np.float32)

        def made() -> pa.Table:
            read = pq.read_table(source)
            prices = [read.column(name).to_numpy() for name in _INPUTS]
            unknown = np.full(read.num_rows, np.nan)
            again = BarArrays(bars.offsets, *prices, unknown, read.column("session").to_numpy())
            return pa.table(compute(again, intraday=True, dtype=np.float32, buffer=buffer, keep_state="last").columns)

        ready = made()

        def write(table: pa.Table) -> None:
            names = table.column_names
            pq.write_table(
                table, target, compression="zstd", compression_level=1, use_dictionary=False, use_byte_stream_split=names
            )

        seconds = interleaved({"floor": lambda: (pq.read_table(source), write(ready)), "whole": lambda: write(made())}, ROUNDS)
        size = target.stat().st_size / bars.session.size
    rows = [
        ["read + write", f"{1e9 * statistics.median(seconds['floor']) / bars.session.size:,.0f}", "1", ""],
        [
            "read + compute + write",
            f"{1e9 * statistics.median(seconds['whole']) / bars.session.size:,.0f}",
            ratio(seconds["whole"], seconds["floor"]),
            "≤ 1.5",
        ],
    ]
    return Table(
        "Parquet to Parquet",
        ("what", "ns a bar", "× the floor", "to beat"),
        rows,
        f"{INSTRUMENTS} instruments × {BARS:,} one-minute bars, all {len(ready.column_names)} columns as FLOAT, "
        f"{size:.0f} bytes a row.",
    )
