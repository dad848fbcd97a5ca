"""A session's prices beside the sessions before it: errors of scale that strike a market, or a share of it, on one day.

Lives here: `session_steps`, how far the instruments of a session moved together, and `last_closes`, what they are held against.
Does not live here: single bars out of line (`price_continuity.py`), where a figure stops a session (`expectations/*.json`).

One share may halve overnight or be split; five shares and more than one in fifty never do so on one day, and the median of a market
has never moved by a third. References are the last close of each instrument and the previous close that the file itself prints.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: A close this many sessions old still says where a price should be; older ones say nothing.
RECENT_SESSIONS = 5
#: Fewer instruments may all be split, or fall, on one day.
_AT_LEAST = 5
#: A move by which an instrument counts as off: beyond every daily price limit; all splits reach it.
_OFF = 1.4
#: Room for the longest closure between sessions besides.
_LOOK_BACK = timedelta(days=RECENT_SESSIONS * 2 + 15)

STEPS = {"session_date": pl.Date, "market_step": pl.Float64, "share_off_scale": pl.Float64}


def stored_closes(lake: Lake, exchange: str, first: date, last: date) -> pl.DataFrame:
    """Stored daily closes from shortly before `first` to `last`: instrument_id, session_date, close. Two years are read at most
    for a delivery of one session.
    """
    since = first - _LOOK_BACK
    years = list(range(since.year, last.year + 1))
    table = LakeTable(lake.table_uri(exchange, "bars_daily"), TABLES["bars_daily"])
    within = pl.col("session_date").is_between(since, last)
    return table.read(partitions=years, columns=["instrument_id", "session_date", "close"], where=within)


def last_closes(rows: pl.DataFrame, closes: pl.DataFrame, days: ExchangeCalendar) -> pl.DataFrame:
    """`rows` with `last_close`: the instrument's latest close of the five sessions before the row's, null without one.

    `rows` have instrument_id and session_date; `closes` the same and close, one row per pair.
    """
    sessions = days.frame().select("session_date").sort("session_date").with_row_index("__session")
    dated = closes.join(sessions, on="session_date").select("instrument_id", "__session", last_close="close", __of="__session")
    numbered = rows.join(sessions, on="session_date", how="left", maintain_order="left").with_row_index("__row")
    found = (
        numbered.select("__row", "instrument_id", (pl.col("__session").cast(pl.Int64) - 1).alias("__before"))
        .drop_nulls()
        .sort("__before")
        .join_asof(
            dated.with_columns(pl.col("__session", "__of").cast(pl.Int64)).sort("__session"),
            left_on="__before",
            right_on="__session",
            by="instrument_id",
            strategy="backward",
            check_sortedness=False,
        )
        .filter(pl.col("__before") - pl.col("__of") < RECENT_SESSIONS)
        .select("__row", "last_close")
    )
    return numbered.join(found, on="__row", how="left", maintain_order="left").drop("__row", "__session")


def session_steps(rows: pl.DataFrame) -> pl.DataFrame:
    """Columns of `STEPS`, a row per session.

    market_step: the median move of the session's instruments, as a factor of at least 1, against their last closes or against the
    previous closes that the file prints, whichever is farther. share_off_scale: how many of them moved by more than 1.4 times. Both
    are null where fewer than five instruments can be compared. `rows`: session_date, instrument_id, close, last_close, prev_close
    (null where a file prints none).
    """
    close = pl.col("close").log()
    references = ("last_close", "prev_close")
    moved = rows.filter(pl.col("close") > 0).select(
        "session_date",
        *((close - pl.when(pl.col(name) > 0).then(pl.col(name)).log()).alias(name) for name in references),
    )
    enough = {name: pl.col(name).count() >= _AT_LEAST for name in references}
    off = {name: pl.col(name).abs() > pl.lit(_OFF).log() for name in references}
    steps = moved.group_by("session_date").agg(
        *(pl.when(enough[name]).then(pl.col(name).median().abs().exp()).alias(f"step_{name}") for name in references),
        *(
            pl.when(enough[name] & (off[name].sum() >= _AT_LEAST))
            .then(off[name].mean())
            .when(enough[name])
            .then(0.0)
            .alias(f"share_{name}")
            for name in references
        ),
    )
    return steps.select(
        "session_date",
        pl.max_horizontal(f"step_{name}" for name in references).alias("market_step"),
        pl.max_horizontal(f"share_{name}" for name in references).alias("share_off_scale"),
    ).sort("session_date")
