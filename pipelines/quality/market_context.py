"""What a batch is held against: the market of the sessions before it, and the other table of the same sessions.

Lives here: `market_context`, figures that the lake and the rest of the batch give about its sessions.
Does not live here: figures of the batch itself (`profile.py`), where they stop a session (`expectations/*.json`).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.quality.price_scale import last_closes, session_steps, stored_closes
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: About a month of sessions: what is usual.
_LOOK_BACK = timedelta(days=30)

#: Columns of minutes that are asked for.
CLOSES = ("instrument_id", "session_date", "ts", "close")
#: Columns of the result by table; the first ones, up to instrument_id, are its key.
MARKET_CONTEXT = {
    "bars_daily": {
        "session_date": pl.Date,
        "market_coverage": pl.Float64,
        "market_step": pl.Float64,
        "share_off_scale": pl.Float64,
    },
    "bars_1m": {
        "session_date": pl.Date,
        "instrument_id": pl.String,
        "day_high": pl.Float64,
        "day_low": pl.Float64,
        "market_step": pl.Float64,
        "share_off_scale": pl.Float64,
    },
}


def market_context(
    lake: Lake, exchange: str, table: str, rows: pl.DataFrame, whole_market: Collection[str], daily: pl.DataFrame | None = None
) -> pl.DataFrame | None:
    """Figures about the sessions of staged `rows`; None for tables that are held against nothing.

    bars_daily: `market_coverage`, instruments with a bar in the session, stored ones included, over the median of the stored
    sessions of the 30 days before; of sessions that a source in `whole_market` delivers, and only where there are such sessions.
    bars_1m: high and low of the instrument's daily bar, of `daily` (staged with it) before a stored one.
    Both: `market_step` and `share_off_scale` of `price_scale.py`, of minutes by their last closes: what `last_minutes` makes of
    them is enough.
    """
    if table not in MARKET_CONTEXT or rows.is_empty():
        return None
    sessions = rows.get_column("session_date").unique().sort().to_list()
    if table == "bars_1m":
        closes = last_minutes(rows).drop("ts")
        beside = closes.with_columns(prev_close=pl.lit(None, pl.Float64))
        steps = _steps(lake, exchange, beside, None if daily is None else daily.select("instrument_id", "session_date", "close"))
        ranges = _daily_ranges(_stored_daily(lake, exchange, sessions), daily, sessions)
        pairs = closes.select("session_date", "instrument_id")
        return pairs.join(ranges, on=["session_date", "instrument_id"], how="left").join(steps, on="session_date", how="left")
    steps = _steps(lake, exchange, rows.select("instrument_id", "session_date", "close", "prev_close"), None)
    coverage = _market_coverage(lake, exchange, rows, whole_market)
    return steps.join(coverage, on="session_date", how="left").select(*MARKET_CONTEXT["bars_daily"]).sort("session_date")


def last_minutes(rows: pl.DataFrame) -> pl.DataFrame:
    """Each instrument's last minute of a session (columns of `CLOSES`), of its minutes or of what this made of parts of them."""
    return rows.sort("ts").group_by("instrument_id", "session_date", maintain_order=True).agg(pl.col("close", "ts").last())


def _steps(lake: Lake, exchange: str, bars: pl.DataFrame, daily: pl.DataFrame | None) -> pl.DataFrame:
    """`STEPS` of bars (instrument_id, session_date, close, prev_close), against daily closes, staged and stored, and each other."""
    first, last = bars["session_date"].min(), bars["session_date"].max()
    own = bars.select("instrument_id", "session_date", "close")
    closes = pl.concat([*([] if daily is None else [daily]), own, stored_closes(lake, exchange, first, last)])  # type: ignore[arg-type]
    closes = closes.unique(["instrument_id", "session_date"], keep="first", maintain_order=True)
    return session_steps(last_closes(bars, closes, lake.calendar(exchange)))


def _market_coverage(lake: Lake, exchange: str, rows: pl.DataFrame, whole_market: Collection[str]) -> pl.DataFrame:
    delivered = rows.filter(pl.col("source").is_in(list(whole_market))).get_column("session_date").unique().sort().to_list()
    if not delivered:
        return pl.DataFrame(schema={"session_date": pl.Date, "market_coverage": pl.Float64})
    stored = _stored_daily(
        lake, exchange, [day - back for day in (delivered[0], delivered[-1]) for back in (_LOOK_BACK, timedelta(0))]
    )
    return _coverage(stored.select("session_date", "instrument_id"), rows.select("session_date", "instrument_id"), delivered)


def _coverage(stored: pl.DataFrame, batch: pl.DataFrame, sessions: list[date]) -> pl.DataFrame:
    usual = stored.group_by("session_date").agg(pl.col("instrument_id").n_unique().alias("instruments")).sort("session_date")
    now = dict(pl.concat([stored, batch]).unique().group_by("session_date").len().iter_rows())
    found = []
    for day in sessions:
        before = usual.filter(pl.col("session_date").is_between(day - _LOOK_BACK, day, closed="left"))["instruments"]
        found.append((day, now[day] / before.median() if before.len() else None))
    return pl.DataFrame(found, schema={"session_date": pl.Date, "market_coverage": pl.Float64}, orient="row")


def _daily_ranges(stored: pl.DataFrame, staged: pl.DataFrame | None, sessions: list[date]) -> pl.DataFrame:
    columns = ["session_date", "instrument_id", pl.col("high").alias("day_high"), pl.col("low").alias("day_low")]
    parts = [frame.select(columns) for frame in (staged, stored) if frame is not None]
    ranges = pl.concat(parts).filter(pl.col("session_date").is_in(sessions))
    return ranges.unique(["session_date", "instrument_id"], keep="first", maintain_order=True)


def _stored_daily(lake: Lake, exchange: str, sessions: list[date]) -> pl.DataFrame:
    """Stored daily bars of the years from the first to the last of these sessions."""
    years = list(range(min(sessions).year, max(sessions).year + 1))
    columns = ["session_date", "instrument_id", "high", "low"]
    return LakeTable(lake.table_uri(exchange, "bars_daily"), TABLES["bars_daily"]).read(partitions=years, columns=columns)
