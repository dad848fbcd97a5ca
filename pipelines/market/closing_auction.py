"""Closing auctions inside the session: which instruments leave continuous trading early, from when, until when.

Lives here: `closing_auctions(mic)`, from `market/calendars/<MIC>_closing_auction.csv`.
Does not live here: the session's own hours (`calendar.py`), which hold for every other instrument.

NSE, from 2026-08-03: shares with derivatives trade continuously until 15:15, then an auction until 15:35 sets the close. The list
names those whose daily files show it; an instrument that is missing there counts with the session's full minutes.
"""

from __future__ import annotations

import csv
from datetime import date, datetime, time, timedelta
from functools import cache
from importlib.resources import files

import polars as pl

from pipelines.market.session import Session
from pipelines.market.tables.build_inputs import CLOSING_AUCTIONS

# Days are sessions, both included; `starts` and `ends` local time, the end exclusive.
_COLUMNS = CLOSING_AUCTIONS.polars()


@cache
def closing_auctions(mic: str) -> pl.DataFrame:
    """Instruments of an exchange that close in an auction: columns of `lake.closing_auctions`; no rows where there is none."""
    resource = files("pipelines.market") / "calendars" / f"{mic}_closing_auction.csv"
    if not resource.is_file():
        return pl.DataFrame(schema=_COLUMNS)
    with resource.open(encoding="utf-8") as text:
        rows = [
            (
                mic,
                line["symbol"],
                date.fromisoformat(line["valid_from"]),
                date.fromisoformat(line["valid_to"]) if line["valid_to"] else date.max,
                time.fromisoformat(line["starts"]),
                time.fromisoformat(line["ends"]),
            )
            for line in csv.DictReader(text)
        ]
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def auction_minutes(mic: str, session: Session) -> int | None:
    """One-minute bars of the session that an instrument of the auction brings; None when no auction shortens it."""
    from pipelines.market.exchanges import exchange

    day = session.session_date
    starts = [row[4] for row in closing_auctions(mic).iter_rows() if row[2] <= day <= row[3]]
    if not starts:
        return None
    cut = datetime.combine(day, min(starts), tzinfo=exchange(mic).zone)
    kept = [(start, min(end, cut) if start < cut else end) for start, end in session.windows]
    minutes = sum((end - start) // timedelta(minutes=1) for start, end in kept)
    return minutes if minutes < session.bars_expected else None
