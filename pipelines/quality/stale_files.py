"""A session delivered again under another date: bars that are those of another recent session.

Lives here: `repeated`, which finds such files and sessions before their rows are judged.
Does not live here: a file whose name contradicts its rows (its source refuses it), equal rows of one key (`duplicates.py`).

Vendors' jobs that find no new file save an old one again under the new day's name, with the date rewritten, sometimes rounded, or
with a column or a few rows changed. Such rows are plausible one by one; only all of them together cannot be. A bar counts as a copy
when four of its five figures are those of the other session, exactly or rounded; half of the bars make the session a copy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl

from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable, PartitionValue
from pipelines.storage.location import Lake
from pipelines.storage.row_parts import SessionSorter

#: How many sessions before and after the date of a delivery it is compared with, daily bars and minutes.
NEAR_DAILY, NEAR_MINUTE = 20, 10
_PRICES = ("open", "high", "low", "close")
_VALUES = (*_PRICES, "volume")
_FIGURES_ALIKE = 4
#: A share may stand at its band for days with like volumes; half of a market never does.
_SHARE = 0.5
#: Fewer bars than this may be alike by chance; of a source that promises no whole market even a dozen are few.
_AT_LEAST, _AT_LEAST_OF_SOME = 5, 10
#: Distinct pairs of close and volume among the copies: bars that are all alike say nothing.
_DISTINCT = 4
#: Instruments of a session that are compared at most, about; and one minute in ten. Enough to tell, whatever the size of a history.
_MOST_SYMBOLS, _MINUTE_STEP, _MINUTE = 300, 10, 5
#: Sessions that are compared at once, which bounds memory.
_CHUNK = 100
_UNIT = ["table", "batch_id", "symbol", "session_date"]


@dataclass(frozen=True)
class Repeats:
    """`files`: deliveries of nothing but copied sessions, batch_id → why. `sessions`: copied sessions of other deliveries: table,
    batch_id, session_date, and symbol (null: all of the session's bars).
    """

    files: dict[str, str]
    sessions: pl.DataFrame


_NO_BARS = pl.DataFrame(
    schema={"session_date": pl.Date, **dict.fromkeys(_PRICES, pl.Float64), "volume": pl.Float64, "place": pl.String}
)
_SESSIONS = {"table": pl.String, "batch_id": pl.String, "symbol": pl.String, "session_date": pl.Date}


def repeated(
    lake: Lake, days: ExchangeCalendar, daily_bars: pl.DataFrame, minutes: SessionSorter, whole_market: Collection[str]
) -> Repeats:
    """Copied sessions among an order's parsed daily bars and minutes.

    Compared is with stored sessions and those of the order, of other dates. Of two equal sessions of one order the later one is the
    copy. A session that equals what is stored under its own date is no copy, whatever else it equals.
    """
    daily = _daily(daily_bars, whole_market)
    found, units = [], [daily.select(_UNIT).unique()]
    if daily.height:
        names = daily["place"].unique()
        stored = _stored(lake, days, "bars_daily", _around(days, daily, NEAR_DAILY), names)
        found.append(_copies(daily, daily, stored, days, NEAR_DAILY))
    for copies, judged in _minute_copies(lake, days, minutes):
        found.append(copies)
        units.append(judged)
    if not found:
        return Repeats({}, pl.DataFrame(schema=_SESSIONS))
    copies = pl.concat(found).sort("table", "batch_id", "session_date", "symbol", nulls_last=True)
    return _sorted_out(copies, pl.concat(units))


def _minute_copies(lake: Lake, days: ExchangeCalendar, minutes: SessionSorter) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Copies, and what was judged as one, of each part of the minutes.

    Of the parts before, and of the lake, sessions stay in memory as long as there are sessions near them to come.
    """
    symbols = minutes.counted().select(_ticker()).to_series().unique()
    stored: dict[date, pl.DataFrame] = {}
    before: pl.DataFrame | None = None
    for part in minutes.parts(["batch_id", "symbol", "ts", *_VALUES]):
        rows = _minutes(part, days)
        if rows.is_empty():
            continue
        around = _around(days, rows, NEAR_MINUTE)
        lacking = [day for day in around if day not in stored]
        fresh = _stored(lake, days, "bars_1m", lacking, symbols).partition_by("session_date", as_dict=True)
        stored = {day: stored.get(day, fresh.get((day,))) for day in around}  # type: ignore[misc]
        known = pl.concat([_NO_BARS, *(frame for frame in stored.values() if frame is not None)])
        reach = rows if before is None else pl.concat([before, rows])
        yield _copies(rows, reach, known, days, NEAR_MINUTE), rows.select(_UNIT).unique()
        before = reach.filter(pl.col("session_date").is_in(around))


def _daily(rows: pl.DataFrame, whole_market: Collection[str]) -> pl.DataFrame:
    """Traded bars to compare: `unit` is what is judged as one (a batch's session), `place` what is compared with what."""
    traded = rows.with_columns(_ticker()).filter(pl.col("volume") > 0).drop_nulls(["symbol", "session_date", *_VALUES])
    least = pl.when(pl.col("source").is_in(list(whole_market))).then(_AT_LEAST).otherwise(_AT_LEAST_OF_SOME)
    enough = pl.col("symbol").n_unique().over("batch_id", "session_date") >= least
    step = pl.max_horizontal(1, pl.col("symbol").n_unique() // _MOST_SYMBOLS)
    sampled = traded.filter(enough).filter(pl.col("symbol").rank("dense") % step == 0)
    return sampled.select(
        "batch_id", "session_date", *_VALUES, table=pl.lit("bars_daily"), symbol=pl.lit(None, pl.String), place="symbol"
    )


def _minutes(rows: pl.DataFrame, days: ExchangeCalendar) -> pl.DataFrame:
    local = pl.col("ts").dt.convert_time_zone(days.exchange.timezone)
    traded = rows.filter((local.dt.minute() % _MINUTE_STEP == _MINUTE) & (pl.col("volume") > 0) & (pl.col("high") > pl.col("low")))
    dated = traded.drop_nulls(["symbol", *_VALUES]).with_columns(_ticker(), session_date=local.dt.date())
    return dated.select(
        "batch_id",
        "session_date",
        *_VALUES,
        table=pl.lit("bars_1m"),
        symbol=pl.col("symbol"),
        place=pl.format("{} {}", "symbol", local.dt.strftime("%H:%M")),
    )


def _ticker() -> pl.Expr:
    return pl.col("symbol").str.strip_chars().str.to_uppercase()


def _stored(lake: Lake, days: ExchangeCalendar, name: str, sessions: list[date], symbols: pl.Series) -> pl.DataFrame:
    """Stored bars of these sessions and symbols: place, session_date and the values."""
    daily = name == "bars_daily"
    partitions: list[PartitionValue] = sorted({d.year for d in sessions}) if daily else list(sessions)
    local = pl.col("ts").dt.convert_time_zone(days.exchange.timezone)
    named = pl.col("symbol").is_in(symbols.implode())
    wanted = named & (pl.col("session_date").is_in(sessions) if daily else local.dt.minute() % _MINUTE_STEP == _MINUTE)
    columns = ["symbol", "session_date", *_VALUES, *([] if daily else ["ts"])]
    stored = LakeTable(lake.table_uri(days.exchange.mic, name), TABLES[name]).read(
        partitions=partitions, columns=columns, where=wanted
    )
    place = pl.col("symbol") if daily else pl.format("{} {}", "symbol", local.dt.strftime("%H:%M"))
    return stored.select("session_date", *_PRICES, pl.col("volume").cast(pl.Float64), place=place)


def _around(days: ExchangeCalendar, rows: pl.DataFrame, near: int) -> list[date]:
    known = [s.session_date for s in days.sessions]
    delivered = set(rows["session_date"].unique())
    positions = [n for n, day in enumerate(known) if day in delivered]
    wanted = {n for at in positions for n in range(max(0, at - near), min(len(known), at + near + 1))}
    return [known[n] for n in sorted(wanted)]


def _copies(rows: pl.DataFrame, reach: pl.DataFrame, stored: pl.DataFrame, days: ExchangeCalendar, near: int) -> pl.DataFrame:
    """Copied sessions: table, batch_id, symbol, session_date, of (the session they equal), share, bars.

    `reach`: bars of the order that `rows` are compared with, themselves among them.
    """
    numbers = days.frame().select("session_date", number=pl.col("session_number").cast(pl.Int64))
    unit = _UNIT
    ours = rows.join(numbers, on="session_date")
    others = pl.concat(
        [
            stored.select("place", "session_date", *_VALUES, of_order=pl.lit(value=False)),
            reach.select("place", "session_date", *_VALUES, of_order=pl.lit(value=True)).unique(
                ["place", "session_date"], keep="first", maintain_order=True
            ),
        ]
    ).join(numbers, on="session_date")
    found = []
    sessions = ours["number"].unique().sort().to_list()
    for begin in range(0, len(sessions), _CHUNK):
        chunk = ours.filter(pl.col("number").is_in(sessions[begin : begin + _CHUNK]))
        near_by = pl.col("number").is_between(sessions[begin] - near, sessions[min(begin + _CHUNK, len(sessions)) - 1] + near)
        pairs = chunk.join(others.filter(near_by), on="place", suffix="_of").filter(
            ((pl.col("number") - pl.col("number_of")).abs() <= near)
            # Of the order's own sessions only earlier ones: of two that are equal the later one is the copy.
            & (~pl.col("of_order") | (pl.col("number_of") < pl.col("number")))
        )
        alike = pl.sum_horizontal(_alike(v).cast(pl.Int8) for v in _VALUES) >= _FIGURES_ALIKE
        found.append(
            pairs.group_by(*unit, pl.col("session_date_of").alias("of"))
            .agg(share=alike.mean(), bars=pl.len(), distinct=pl.struct("close", "volume").filter(alike).n_unique())
            .filter((pl.col("share") >= _SHARE) & (pl.col("bars") >= _AT_LEAST) & (pl.col("distinct") >= _DISTINCT))
        )
    copies = pl.concat(found)
    itself = copies.filter(pl.col("of") == pl.col("session_date")).select(unit)
    others_only = copies.filter(pl.col("of") != pl.col("session_date")).join(itself, on=unit, how="anti", nulls_equal=True)
    return others_only.sort("share", "of", descending=True).unique(unit, keep="first", maintain_order=True).drop("distinct")


def _alike(value: str) -> pl.Expr:
    """Whether two figures are equal, exactly or after rounding either."""
    ours, theirs = pl.col(value), pl.col(f"{value}_of")
    same = ours == theirs
    if value == "volume":
        for unit in (100, 1000):
            rounded = [(v / unit).round() * unit for v in (ours, theirs)]
            same |= (theirs >= 100 * unit) & ((ours == rounded[1]) | (theirs == rounded[0]))
        return same
    for decimals, least in ((0, 200), (1, 20), (2, 0)):
        same |= (theirs >= least) & ((ours == theirs.round(decimals)) | (theirs == ours.round(decimals)))
    return same


def _sorted_out(copies: pl.DataFrame, units: pl.DataFrame) -> Repeats:
    """Files of copies alone are refused whole; of the others the copied sessions are set aside. `units`: all that were judged."""
    held = dict(units.group_by("batch_id").len().iter_rows())
    copied = dict(copies.group_by("batch_id").len().iter_rows())
    whole = {batch for batch, number in copied.items() if number == held[batch]}
    files = {
        row["batch_id"]: f"says it is of {row['session_date']}, but {row['share']:.0%} of its {row['bars']} bars equal those of "
        f"{row['of']} (exactly, rounded, or but for one figure): the session of {row['of']} delivered again; fetch the right file"
        for row in copies.filter(pl.col("batch_id").is_in(list(whole))).reverse().iter_rows(named=True)
    }
    return Repeats(files, copies.filter(~pl.col("batch_id").is_in(list(whole))).select(list(_SESSIONS)))
