"""Bars under another instrument's name: a file that contradicts, on almost every session, what the lake holds of its symbol.

Lives here: `find_other_instruments`, which says of a delivery that its bars are not those of the symbol, and whose they are.
Does not live here: single bars out of line (`price_continuity.py`), which of two differing rows counts (`storage/merge.py`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.location import Lake

#: Fewer sessions prove nothing; beyond this many the newest are enough.
_LEAST_SESSIONS: Final = 5
_MOST_SESSIONS: Final = 250
#: Two vendors' closes of one share differ by less than half a percent; beyond two percent they are not of one price series.
_AGREES, _CONTRADICTS = 1.005, 1.02
_ALMOST_ALL: Final = 0.9
_OF_FILE = ["batch_id", "instrument_id"]
_KEY = ["instrument_id", "session_date"]


def find_other_instruments(lake: Lake, exchange: str, daily: pl.DataFrame, of_minutes: pl.DataFrame) -> dict[str, str]:
    """What to say of each delivery (by batch_id) whose closes contradict the stored daily ones of its instrument almost everywhere.

    `daily`: batch_id, instrument_id, symbol, session_date, close. `of_minutes`: what `session_closes` makes of minutes.
    """
    closes = _closes(daily, of_minutes)
    if closes.is_empty():
        return {}
    stored = _stored(lake, exchange, closes, pl.col("instrument_id").is_in(closes["instrument_id"].unique().implode()))
    compared = closes.join(stored.select(*_KEY, known="close"), on=_KEY).with_columns(_differ("close", "known", _CONTRADICTS))
    counted = compared.group_by(*_OF_FILE, "symbol").agg(pl.len().alias("sessions"), pl.col("differs").sum())
    enough = pl.col("sessions") >= _LEAST_SESSIONS
    suspects = counted.filter(enough & (pl.col("differs") >= _ALMOST_ALL * pl.col("sessions"))).sort(_OF_FILE)
    if suspects.is_empty():
        return {}
    fitting = _fitting(lake, exchange, closes.join(suspects, on=_OF_FILE, how="semi"))
    hints: dict[str, list[str]] = {}
    for row in suspects.iter_rows(named=True):
        line = f"{row['differs']:,} of {row['sessions']:,} closes contradict what the lake holds of {row['symbol']}"
        other = fitting.get((row["batch_id"], row["instrument_id"]))
        if other is None:
            hint = "no other symbol's fit: are the prices adjusted afterwards, or of another symbol?"
        else:
            hint = (
                f"{other[1]:,} agree with those of {other[0]}: is the symbol a slip? Ingest the file with --symbol {other[0]}, and "
                f'take this delivery back: marketlake withdraw {row["batch_id"][:8]} --exchange {exchange} --reason "wrong symbol"'
            )
        hints.setdefault(row["batch_id"], []).append(f"{line}; {hint}")
    return {batch: "; ".join(lines) for batch, lines in hints.items()}


def session_closes(minutes: pl.DataFrame) -> pl.DataFrame:
    """Each session's last close and first minute (ts): of minutes with batch_id, instrument_id, symbol, session_date, ts, close."""
    of_session = minutes.group_by(*_OF_FILE, "symbol", "session_date", maintain_order=True)
    return of_session.agg(pl.col("close").filter(pl.col("ts") == pl.col("ts").max()).last(), pl.col("ts").min())


def _closes(daily: pl.DataFrame, of_minutes: pl.DataFrame) -> pl.DataFrame:
    """The newest closes of every instrument of which a delivery has several sessions."""
    columns = [*_OF_FILE, "symbol", "session_date", "close"]
    # Of two symbols of one instrument in a session the one that begins counts.
    last = of_minutes.sort("ts", maintain_order=True)
    both = pl.concat([daily.select(columns), last.select(columns)]).drop_nulls()
    sound = both.filter((pl.col("close") > 0) & pl.col("close").is_finite())
    sound = sound.unique([*_OF_FILE, "session_date"], keep="first", maintain_order=True).sort("session_date")
    several = sound.filter(pl.len().over(_OF_FILE) >= _LEAST_SESSIONS)
    return several.group_by(_OF_FILE, maintain_order=True).tail(_MOST_SESSIONS).select(columns)


def _stored(lake: Lake, exchange: str, closes: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    table = LakeTable(lake.table_uri(exchange, "bars_daily"), TABLES["bars_daily"])
    years = closes["session_date"].dt.year().unique().sort().to_list()
    sessions = pl.col("session_date").is_in(closes["session_date"].unique().implode())
    return table.read(partitions=years, columns=[*_KEY, "symbol", "close"], where=where & sessions)


def _fitting(lake: Lake, exchange: str, closes: pl.DataFrame) -> dict[tuple[str, str], tuple[str, int]]:
    """By delivery and instrument the symbol whose stored closes agree with almost all of the delivery's, and how many do."""
    stored = _stored(lake, exchange, closes, pl.lit(value=True)).rename(
        {"instrument_id": "other", "symbol": "other_symbol", "close": "known"}
    )
    beside = closes.join(stored, on="session_date").filter(pl.col("other") != pl.col("instrument_id"))
    beside = beside.with_columns(_differ("close", "known", _AGREES))
    counted = beside.group_by(*_OF_FILE, "other", "other_symbol").agg(
        pl.len().alias("sessions"), (~pl.col("differs")).sum().alias("agree")
    )
    enough = (pl.col("sessions") >= _LEAST_SESSIONS) & (pl.col("agree") >= _ALMOST_ALL * pl.col("sessions"))
    best = (
        counted.filter(enough).sort("agree", "other", descending=[True, False]).unique(_OF_FILE, keep="first", maintain_order=True)
    )
    return {(row["batch_id"], row["instrument_id"]): (row["other_symbol"], row["agree"]) for row in best.iter_rows(named=True)}


def _differ(left: str, right: str, factor: float) -> pl.Expr:
    return ((pl.col(left) / pl.col(right)).log().abs() > pl.lit(factor).log()).alias("differs")
