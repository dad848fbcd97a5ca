"""Intraday profiles: what an instrument usually does by each minute, the mean of its 20 regular sessions before.

The yardstick of relative volume and of the range of a day so far, made the night before: a scan then reads one row per instrument
in place of twenty sessions of minutes.

Lives here: `profiles_of` some sessions, and the stream of a build's window.
Does not live here: the loop (`kernels/cumulative.py`), curves (`cumulative.py`), the table (`market/tables/bars.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.indicators.frame import Ints
from pipelines.market.tables.bars import INTRADAY_PROFILES

if TYPE_CHECKING:
    import duckdb

#: Regular sessions that a profile is the mean of.
SESSIONS = 20

#: Calendar days that surely hold as many.
CALENDAR_DAYS = timedelta(days=62)

#: Profiles are made for so many sessions at once: a hundred megabytes of curves each, with 500 instruments.
_SESSIONS_PER_CHUNK = 4
_SCHEMA = INTRADAY_PROFILES.arrow()


def build_profiles(connection: duckdb.DuckDBPyConnection) -> pa.RecordBatchReader:
    """Stream the profiles of every session that the window's minutes and actions reach, from the build database.

    A changed session reaches the 20 regular sessions after it, but not beyond the one that follows the newest minutes (tomorrow,
    whose scans need it). Of these sessions all instruments are made anew.
    """
    return pa.RecordBatchReader.from_batches(_SCHEMA, _batches(connection))


def profiles_of(connection: duckdb.DuckDBPyConnection, sessions: Sequence[date]) -> pl.DataFrame:
    """Profiles of all instruments for these sessions, columns of `INTRADAY_PROFILES`, sorted by key.

    Reads curves, bases and the calendar as the dbt models of those names. An instrument without minutes in the 20 regular sessions
    before has no row.
    """
    curves = connection.sql(_CURVES_BEFORE, params=[list(sessions)]).pl()
    groups = curves.group_by("session_date", "instrument_id", maintain_order=True).agg(
        pl.col("exchange").first(),
        pl.len().alias("sessions"),
        pl.col("volume_so_far").list.len().max().alias("length"),
        pl.col("known_at").max(),
    )
    return groups.with_columns(usual(curves, groups)).cast({"sessions": pl.Int64}).select(INTRADAY_PROFILES.names)


def _batches(connection: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
    due = connection.sql(_DUE).pl()
    for chunk in due.iter_slices(_SESSIONS_PER_CHUNK):
        yield from profiles_of(connection, chunk["session_date"].to_list()).to_arrow().cast(_SCHEMA).to_batches()


_DUE = f"""
with reached as (
    select distinct window_1m.from_session, sessions.regular_before + {SESSIONS} as last_regular
    from lake.window_1m as window_1m
    asof inner join staging.stg_sessions as sessions on window_1m.changed_to >= sessions.session_date
), with_curves as (
    select distinct sessions.regular_before
    from intermediate.int_intraday_curves_known as curves
    inner join staging.stg_sessions as sessions on curves.session_date = sessions.session_date
    where sessions.kind = 'regular'
)
select distinct sessions.session_date
from staging.stg_sessions as sessions
inner join reached on sessions.session_date >= reached.from_session and sessions.regular_before <= reached.last_regular
inner join with_curves
    on with_curves.regular_before between sessions.regular_before - {SESSIONS} and sessions.regular_before - 1
where sessions.session_date <= (
    select min(session_date) from staging.stg_sessions
    where session_date > (select max(session_date) from intermediate.int_intraday_curves_known)
)
order by sessions.session_date
"""

_CURVES_BEFORE = f"""
with asked as (
    select exchange, session_date, regular_before from staging.stg_sessions where list_contains(?::date[], session_date)
), before as (
    select asked.exchange, asked.session_date, sessions.session_date as curve_date
    from asked inner join staging.stg_sessions as sessions
        on
            sessions.kind = 'regular'
            and sessions.regular_before between asked.regular_before - {SESSIONS} and asked.regular_before - 1
)
select
    before.exchange,
    before.session_date,
    curves.instrument_id,
    curves.volume_so_far,
    curves.high_so_far,
    curves.low_so_far,
    coalesce(spans.volume_divisor, 1.0::double) as volume_divisor,
    coalesce(spans.price_factor, 1.0::double) as price_factor,
    greatest(curves.known_so_far[-1], spans.known_at) as known_at
from before
inner join intermediate.int_intraday_curves_known as curves on before.curve_date = curves.session_date
left join intermediate.int_basis_spans as spans
    on
        curves.instrument_id = spans.instrument_id
        and curves.session_date >= spans.bar_from
        and curves.session_date < spans.bar_before
        and before.session_date >= spans.moment_from
        and before.session_date < spans.moment_before
order by before.session_date, curves.instrument_id, before.curve_date
"""


def usual(curves: pl.DataFrame, groups: pl.DataFrame) -> list[pl.Series]:
    """Mean volume, median volume and mean range by minute: a list for each group of consecutive curves.

    curves: lists volume_so_far, high_so_far, low_so_far, and volume_divisor and price_factor. groups: sessions (how many curves)
    and length (of its lists).
    """
    minute_offsets = _offsets(groups["length"])
    usual = (np.empty(minute_offsets[-1]), np.empty(minute_offsets[-1]), np.empty(minute_offsets[-1]))
    if groups.height:
        from pipelines.indicators.kernels.cumulative import usual_day  # numba: not for those who only want the schema

        usual_day(
            _offsets(groups["sessions"]),
            _offsets(curves["volume_so_far"].list.len()),
            minute_offsets,
            curves["volume_so_far"].explode().to_numpy(),
            *(curves[name].explode().fill_null(float("nan")).to_numpy() for name in ("high_so_far", "low_so_far")),
            curves["volume_divisor"].to_numpy(),
            curves["price_factor"].to_numpy(),
            usual,
        )
    offsets = pl.Series(minute_offsets, dtype=pl.Int64).to_arrow()
    names = ("mean_volume", "median_volume", "mean_range")
    return [
        pl.Series(name, pa.LargeListArray.from_arrays(offsets, pl.Series(values, nan_to_null=True).to_arrow()))
        for name, values in zip(names, usual, strict=True)
    ]


def _offsets(lengths: pl.Series) -> Ints:
    return np.concatenate(([0], np.cumsum(lengths.to_numpy()))).astype(np.int64)
