"""Intraday curves: one row per instrument and session that holds the session so far at every minute.

What a scanner asks at 09:50 (highest price, volume so far, the same of the twenty sessions before) is then one look-up in a list
instead of a sum over minutes.

Lives here: `intraday_curves` of a frame of minutes, and the stream of a build's window.
Does not live here: the loop (`kernels/cumulative.py`), the table (`market/tables/bars.py`), which minutes a window holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.indicators.frame import Ints
from pipelines.market.tables.bars import INTRADAY_CURVES

if TYPE_CHECKING:
    import duckdb

#: One-minute bars worked at once: about 0.3 GB at the peak.
_BARS_PER_CHUNK = 2_000_000
_SCHEMA = INTRADAY_CURVES.arrow()


def intraday_curves(minutes: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """The curves of these one-minute bars, sorted by session and instrument; columns of `INTRADAY_CURVES`.

    minutes: exchange, instrument_id, session_date, ts (start, UTC), symbol, open, high, low, close, volume, known_at; a key
    once. sessions: session_date, opens_at, closes_at. A bar outside its session's hours is left out, as the gate would have done.
    """
    placed = (
        minutes.join(sessions.select("session_date", "opens_at", "closes_at"), on="session_date")
        .filter(pl.col("ts").is_between("opens_at", "closes_at", closed="left"))
        .with_columns(
            minute=(pl.col("ts") - pl.col("opens_at")).dt.total_minutes(),
            length=(pl.col("closes_at") - pl.col("opens_at")).dt.total_minutes(),
        )
        .sort("session_date", "instrument_id", "ts")
    )
    heads = placed.group_by("session_date", "instrument_id", maintain_order=True).agg(
        pl.col("exchange", "open", "length").first(), pl.col("symbol").last(), pl.len().alias("bars")
    )
    exact = {"bars": pl.Int64, "open": pl.Float64}
    return heads.with_columns(_running(placed, heads)).cast(exact).select(INTRADAY_CURVES.names)  # type: ignore[arg-type]


def build_curves(connection: duckdb.DuckDBPyConnection, bars_per_chunk: int = _BARS_PER_CHUNK) -> pa.RecordBatchReader:
    """Stream the curves of the sessions whose minutes changed, from the build database behind `connection`."""
    return pa.RecordBatchReader.from_batches(_SCHEMA, _batches(connection, bars_per_chunk))


def _batches(connection: duckdb.DuckDBPyConnection, bars_per_chunk: int) -> Iterator[pa.RecordBatch]:
    sessions = connection.sql(
        "select session_date, opens_at, closes_at, bars_expected from staging.stg_sessions "
        "where session_date between (select min(from_session) from lake.window_1m) "
        "and (select max(changed_to) from lake.window_1m) order by session_date"
    ).pl()
    if sessions.is_empty():
        return
    instruments = connection.sql("select count(*) from lake.window_1m").fetchall()[0][0]
    per_session = instruments * int(sessions["bars_expected"].max() or 1)
    for chunk in sessions.iter_slices(max(1, bars_per_chunk // per_session)):
        first, last = _bounds(chunk)
        minutes = connection.sql(
            "select exchange, instrument_id, session_date, ts, symbol, open, high, low, close, volume, known_at "
            "from staging.stg_bars_1m inner join lake.window_1m as window_1m using (instrument_id) "
            "where session_date between ? and ? and session_date between window_1m.from_session and window_1m.changed_to",
            params=[first, last],
        ).pl()
        if minutes.height:
            # The types, not only the names, that the stream promised: polars hands out large lists and strings.
            yield from intraday_curves(minutes, chunk).to_arrow().cast(_SCHEMA).to_batches()


def _running(placed: pl.DataFrame, heads: pl.DataFrame) -> list[pl.Series]:
    bar_offsets, minute_offsets = _offsets(heads["bars"]), _offsets(heads["length"])
    size = int(minute_offsets[-1])
    prices = [np.empty(size) for _ in range(3)]
    volumes, knowns = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    from pipelines.indicators.kernels.cumulative import running_day  # numba: not for those who only want the schema

    floats = [placed[name].cast(pl.Float64).to_numpy() for name in ("high", "low", "close")]
    known = placed["known_at"].cast(pl.Datetime("us", "UTC")).to_physical().to_numpy()
    running_day(
        bar_offsets,
        minute_offsets,
        placed["minute"].to_numpy(),
        *floats,
        placed["volume"].to_numpy(),
        known,
        (*prices, volumes, knowns),
    )
    columns = {
        "high_so_far": pl.Series(prices[0], nan_to_null=True),
        "low_so_far": pl.Series(prices[1], nan_to_null=True),
        "last_price": pl.Series(prices[2], nan_to_null=True),
        "volume_so_far": pl.Series(volumes),
        "known_so_far": pl.Series(knowns).replace(0, None).cast(pl.Datetime("us", "UTC")),
    }
    offsets = pl.Series(minute_offsets, dtype=pl.Int64).to_arrow()
    return [pl.Series(name, pa.LargeListArray.from_arrays(offsets, values.to_arrow())) for name, values in columns.items()]


def _offsets(lengths: pl.Series) -> Ints:
    return np.concatenate(([0], np.cumsum(lengths.to_numpy()))).astype(np.int64)


def _bounds(sessions: pl.DataFrame) -> tuple[date, date]:
    first, last = sessions.select(pl.col("session_date").min().alias("a"), pl.col("session_date").max().alias("b")).row(0)
    return first, last
