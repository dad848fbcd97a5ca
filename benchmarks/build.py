"""How long does a full build of one-minute indicators take, in how much memory, and what does one new session cost against it?

The product's own walk (`pipelines.indicators.window`) over generated bars in a folder of its own; a process of its own, so that
its peak of memory is that of the build alone.

Not here: merging and committing to the lake, scanners.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq

from benchmarks.tables import SEED, Table
from pipelines.indicators.registry import REGISTRY

INSTRUMENTS, MINUTES, SESSIONS = 500, 375, 360
FIRST = date(2023, 1, 2)


def run(*, full: bool = False) -> Table:
    """Figures of a build of 67,500,000 rows, or of a twentieth of that."""
    sessions = SESSIONS if full else SESSIONS // 20
    with tempfile.TemporaryDirectory(prefix="marketlake-bench-") as folder:
        command = [sys.executable, "-m", "benchmarks.build", folder, str(sessions)]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(printed)
    rows = sessions * INSTRUMENTS * MINUTES
    target = "≥ 100" if full else f"≤ {sessions} is possible here"
    return Table(
        "A full build of one-minute indicators, and one new session",
        ("what", "measured", "to beat"),
        [
            ["rows", f"{rows:,}", ""],
            ["full build", f"{found['full']:,.1f} s ({1e9 * found['full'] / rows:,.0f} ns a row)", "minutes"],
            ["peak memory of the process", f"{found['peak_gb']:.2f} GB", "< 4 GB"],
            ["bytes a row written", f"{found['bytes'] / rows:.0f}", ""],
            ["one new session", f"{found['day']:,.2f} s", ""],
            ["full build over one session", f"{found['full'] / found['day']:,.0f} ×", target],
            ["one session equals the full build, bit for bit", "yes" if found["equal"] else "NO", "yes"],
        ],
        f"{INSTRUMENTS} instruments × {MINUTES} minutes × {sessions} sessions: read, computed and written as Parquet.",
    )


def main(folder: Path, sessions: int) -> None:
    """Generate the bars, build everything, build the last session again from carried state, print the figures."""
    days = [FIRST + timedelta(days=i) for i in range(sessions)]
    (folder / "bars").mkdir()
    for number, frame in enumerate(_generated(days)):
        frame.write_parquet(folder / "bars" / f"{number:03d}.parquet", compression="zstd")
    with duckdb.connect(str(folder / "build.duckdb")) as connection:
        _prepare(connection, folder, days)
        begun = time.perf_counter()
        states = _build(connection, folder / "full.parquet", days[-2])
        full = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        connection.register("carried", states.to_arrow())
        connection.execute("insert into lake.indicator_state_1m select exchange, instrument_id, session_date, state from carried")
        connection.execute("update lake.window_1m set from_session = ?", [days[-1]])
        begun = time.perf_counter()
        _build(connection, folder / "day.parquet", days[-1])
        day = time.perf_counter() - begun
    last = pl.scan_parquet(folder / "full.parquet").filter(pl.col("session_date") == days[-1]).collect()
    equal = last.sort("instrument_id", "ts").equals(pl.read_parquet(folder / "day.parquet").sort("instrument_id", "ts"))
    size = (folder / "full.parquet").stat().st_size
    sys.stdout.write(json.dumps({"full": full, "day": day, "peak_gb": peak, "bytes": size, "equal": equal}))


def _build(connection: duckdb.DuckDBPyConnection, target: Path, state_of: date) -> pl.DataFrame:
    """Stream the window into a file; return the states after `state_of`."""
    from pipelines.indicators.window import build_window

    kept = []
    reader = build_window(connection, "1m", REGISTRY)
    written = reader.schema.remove(reader.schema.get_field_index("state"))
    numbers = [f.name for f in written if str(f.type) == "float"]
    keys = [f.name for f in written if f.name not in numbers]
    options = {"compression": "zstd", "compression_level": 1, "use_dictionary": keys, "use_byte_stream_split": numbers}
    with pq.ParquetWriter(target, written, **options) as writer:
        for batch in reader:
            writer.write_batch(batch.select(written.names), row_group_size=187_500)
            states = pl.from_arrow(batch.select(["exchange", "instrument_id", "session_date", "state"]))
            assert isinstance(states, pl.DataFrame)
            kept.append(states.filter((pl.col("session_date") == state_of) & pl.col("state").is_not_null()))
    return pl.concat(kept)


def _generated(days: list[date]) -> Iterator[pl.DataFrame]:
    rng = np.random.default_rng(SEED)
    names = [f"XNSE:S{i:03d}" for i in range(INSTRUMENTS)]
    level = np.full((INSTRUMENTS, 1), 200.0)
    for day in days:
        walk = level * np.exp(np.cumsum(rng.normal(0, 0.0005, (INSTRUMENTS, MINUTES)), axis=1))
        level = walk[:, -1:]
        close = np.round(20 * walk) / 20
        high = close + np.round(rng.random(close.shape) * 4) / 20
        low = close - np.round(rng.random(close.shape) * 4) / 20
        yield pl.DataFrame(
            {
                "exchange": pl.repeat("XNSE", close.size, eager=True),
                "instrument_id": np.repeat(names, MINUTES),
                "symbol": np.repeat([name[5:] for name in names], MINUTES),
                "session_date": pl.repeat(day, close.size, eager=True),
                "minute": np.tile(np.arange(MINUTES), INSTRUMENTS),
                "open": close.ravel(),
                "high": high.ravel(),
                "low": low.ravel(),
                "close": close.ravel(),
                "volume": rng.integers(1, 5_000, close.size),
            }
        )


def _prepare(connection: duckdb.DuckDBPyConnection, folder: Path, days: list[date]) -> None:
    """The relations that the walk reads, as the nightly build prepares them."""
    connection.execute("set TimeZone = 'UTC'; set memory_limit = '2GB'; set threads = 2")
    for schema in ("lake", "staging", "intermediate"):
        connection.execute(f"create schema {schema}")
    files = ", ".join(f"'{folder / 'bars' / f'{i:03d}.parquet'}'" for i in range(len(days)))
    opened = "cast(session_date as timestamptz) + to_minutes(225 + minute)"
    connection.execute(
        f"create view staging.stg_bars_1m as select * exclude (minute), {opened} as ts, "
        f"{opened} + to_minutes(1) as known_at from read_parquet([{files}])"
    )
    sessions = pl.DataFrame({"session_date": days, "bars_expected": [MINUTES] * len(days)})
    names = [f"XNSE:S{i:03d}" for i in range(INSTRUMENTS)]
    last = [days[-1]] * len(names)
    window = pl.DataFrame({"instrument_id": names, "from_session": [days[0]] * len(names), "to_session": last, "changed_to": last})
    for table, frame in (("staging.stg_sessions", sessions), ("lake.window_1m", window)):
        connection.register("given", frame.to_arrow())
        connection.execute(f"create table {table} as select * from given")
        connection.unregister("given")
    connection.execute(
        "create table intermediate.int_price_actions (instrument_id varchar, ex_date date, action varchar, "
        "price_factor double, volume_divisor double)"
    )
    connection.execute(
        "create table lake.indicator_state_1m (exchange varchar, instrument_id varchar, session_date date, state double[])"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
