"""Which interval a file's rows have: daily, one-minute, or one this pipeline does not take.

Lives here: the decision from the data, and the start of each minute in UTC.
Does not live here: reading the moments (`timestamps.py`).
"""

from __future__ import annotations

from datetime import time, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.sources.protocol import RawFile, SourceError
from pipelines.sources.text import with_problems
from pipelines.sources.timestamps import to_utc

if TYPE_CHECKING:
    from collections.abc import Mapping

_MINUTE: Final = timedelta(minutes=1)
#: An illiquid share's minutes come with gaps of any length, yet neighbouring minutes are never rare; a coarser interval has none.
_NEIGHBOURS_AT_LEAST: Final = 0.1
_MIDNIGHT: Final = time(0, 0)
#: Days from one bar to the next; a week's or month's bar that falls on a holiday is labelled by another day.
_COARSER: Final = {"weekly": (5, 9), "monthly": (26, 35), "quarterly": (88, 95), "yearly": (360, 370)}
_COARSE_FROM: Final = 0.8
#: Fewer steps than these tell nothing.
_STEPS_AT_LEAST: Final = 3


def is_daily(raw: RawFile, bars: pl.DataFrame, zone: str | None, interval: str | None) -> bool:
    """Whether every readable row of `bars` (columns `wall`, `offset`) stands for a whole day.

    True when no row has a time of day other than midnight, as written or, for instants of UTC, in the exchange's `zone`; or when
    `interval` says 1d. A file with one timed row per symbol and date over several dates could be either: SourceError asks for
    `interval`.
    """
    if interval is not None:
        return interval == "1d"
    read = bars.filter(pl.col("wall").is_not_null())
    if (read["wall"].dt.time() == _MIDNIGHT).all() or _all_local_midnights(read, zone):
        return True
    dates = read.select("symbol", date=pl.col("wall").dt.date())
    if dates.is_unique().all() and dates["symbol"].is_duplicated().any():
        raise SourceError(
            f"{raw.name}: one row per symbol and date, each with a time of day ({read['wall'][0]}): "
            "say whether they are days or minutes with the option interval=1d or interval=1m"
        )
    return False


def refuse_coarser_than_days(raw: RawFile, bars: pl.DataFrame) -> None:
    """SourceError when the dates of `bars` (columns `symbol`, `wall`) are as far apart as weeks, months, quarters or years.

    A share that seldom trades has gaps of any length; a coarser interval has the same one nearly always.
    """
    dates = bars.select("symbol", date=pl.col("wall").dt.date()).drop_nulls("date").unique().sort("symbol", "date")
    if dates.is_empty():
        return
    steps = dates.select(pl.col("date").diff().dt.total_days().over("symbol").drop_nulls().alias("days"))["days"]
    if len(steps) < _STEPS_AT_LEAST:
        return
    for interval, (shortest, longest) in _COARSER.items():
        share = float(steps.is_between(shortest, longest).mean() or 0.0)  # type: ignore[arg-type]
        if share >= _COARSE_FROM:
            raise SourceError(
                f"{raw.name}: {share:.0%} of its rows are {shortest} to {longest} days after the one before: these are {interval} "
                "bars, and only daily and one-minute bars are taken; fetch the daily ones. "
                "If they are daily bars of few days, say so with the option interval=1d"
            )


def _all_local_midnights(read: pl.DataFrame, zone: str | None) -> bool:
    if zone is None or not (read["offset"] == 0).fill_null(value=False).all():
        return False
    local = read["wall"].dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return bool((local.dt.time() == _MIDNIGHT).all())


def minute_starts(raw: RawFile, bars: pl.DataFrame, zone: str, extra: Mapping[str, str]) -> pl.DataFrame:
    """`bars` with `ts`, the start of each minute in UTC, and the problems of times.

    Times are labels of the bar's start, or of its end with the option `label=end`. A file that writes every minute's last second
    (09:15:59) means the minute begun at 09:15. Other seconds are unreadable. Raises SourceError for ticks and other intervals.
    """
    second = pl.col("wall").dt.second()
    whole = (second == 0) & (pl.col("wall").dt.microsecond() == 0)
    last_second = _share(bars, second == 59) > 0.5
    if last_second:
        whole = second == 59
    elif _share(bars, whole) < 0.5:
        raise SourceError(
            f"{raw.name}: times are not whole minutes ({bars['wall'].drop_nulls()[0]}); these look like ticks or seconds, "
            "aggregate them to one-minute bars first"
        )
    timeless = pl.format("date: '{}' has no time of day", pl.col("written"))
    skipped = pl.format("date: '{}' has no single instant in {} (clocks change); write the offset", pl.col("written"), pl.lit(zone))
    uneven = pl.format("date: '{}' is not a whole minute", pl.col("written"))
    instant = to_utc(pl.col("wall"), pl.col("offset"), zone)
    bars = bars.with_columns(ts=pl.when(whole & pl.col("has_time")).then(instant.dt.truncate("1m")))
    unread = pl.col("wall").is_not_null() & pl.col("ts").is_null()
    problem = pl.when(unread & ~pl.col("has_time")).then(timeless).when(unread & ~whole).then(uneven).when(unread).then(skipped)
    bars = with_problems(bars, [problem])
    if extra.get("interval") != "1m":
        _refuse_other_intervals(raw, bars)
    return bars.with_columns(ts=pl.col("ts") - _MINUTE) if extra.get("label") == "end" and not last_second else bars


def _share(bars: pl.DataFrame, condition: pl.Expr) -> float:
    share = bars.filter(pl.col("wall").is_not_null()).select(condition.mean()).item()
    return float(share or 0.0)


def _refuse_other_intervals(raw: RawFile, bars: pl.DataFrame) -> None:
    """SourceError when neighbouring minutes are rare among the steps from bar to bar within a day."""
    moments = bars.select("symbol", "ts", day=pl.col("wall").dt.date()).drop_nulls("ts").unique().sort("symbol", "day", "ts")
    steps = moments.select(pl.col("ts").diff().over("symbol", "day").drop_nulls().alias("step"))["step"] if moments.height else None
    if steps is None or steps.is_empty() or (steps == _MINUTE).mean() >= _NEIGHBOURS_AT_LEAST:  # type: ignore[operator]
        return
    usual = steps.mode().sort()[0]
    raise SourceError(
        f"{raw.name}: rows are {usual} apart, not one minute; only daily and one-minute bars are taken. "
        "If these are sparse one-minute bars, say so with the option interval=1m"
    )
