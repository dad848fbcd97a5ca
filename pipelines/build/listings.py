"""What of a build a changed listing or ticker outdates, apart from bars.

Lives here: `changed_names`, the difference between two versions of `instruments` and `instrument_aliases`, and the sessions whose
universe it changes.
Does not live here: how listings get their ends and their tickers (`identity/`), the models that read them (`int_listings.sql`,
`int_tickers.sql`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.market.calendar import ExchangeCalendar

#: Sessions after its last bar during which an instrument belongs to a universe (`int_traded_lately.sql`), and days that hold them.
_LATELY, _LATELY_DAYS = 20, timedelta(days=60)
_DAY = timedelta(days=1)
#: An instrument and the first day from which something known of it differs.
CHANGED = {"instrument_id": pl.String, "session": pl.Date}


@dataclass(frozen=True)
class NameChanges:
    """Columns of `CHANGED` each. listings: spans in which an instrument was listed. tickers: spans of its tickers. listed_by_name:
    instruments that a universe names by a ticker whose spans differ, from the first day on which that may matter.
    """

    listings: pl.DataFrame
    tickers: pl.DataFrame
    listed_by_name: pl.DataFrame

    @property
    def all(self) -> pl.DataFrame:
        """Whatever differs, of listings and tickers."""
        return pl.concat([self.listings, self.tickers])


def changed_names(
    instruments: tuple[pl.DataFrame, pl.DataFrame], aliases: tuple[pl.DataFrame, pl.DataFrame], named: Collection[str]
) -> NameChanges:
    """What differs between two versions (before, after) of `instruments` and of `instrument_aliases`.

    `named`: symbols that universes list. Attributes that no model reads (ISIN, name) change nothing.
    """
    listings = _changed([rows.select("instrument_id", "valid_from", "valid_to") for rows in instruments], ["instrument_id"])
    symbols = [
        rows.filter(pl.col("kind") == "symbol").select("instrument_id", "value", "valid_from", "valid_to") for rows in aliases
    ]
    tickers = _changed(symbols, ["instrument_id", "value"])
    # An instrument that is new, or gone, has no session beside its bars, which are new or gone too.
    known_before, known_now = (rows.select("instrument_id").unique() for rows in symbols)
    renamed = tickers.filter(pl.col("value").is_in(list(named))).join(known_before, on="instrument_id", how="semi")
    renamed = renamed.join(known_now, on="instrument_id", how="semi")
    for rows in instruments:
        listings = listings.join(rows, on="instrument_id", how="semi", maintain_order="left")
    return NameChanges(
        listings.select(*CHANGED),
        tickers.select(*CHANGED),
        renamed.select("instrument_id", pl.lit(date.min).alias("session")).unique(maintain_order=True),
    )


def _changed(versions: list[pl.DataFrame], names: list[str]) -> pl.DataFrame:
    """`names` and the first day (`session`) on which spans of two versions differ; an instrument's first span reaches back."""
    far = pl.col("valid_to").fill_null(date.max)
    spans = [rows.with_columns(far).filter(pl.col("valid_to") >= pl.col("valid_from")) for rows in versions]
    key = [*names, "valid_from"]
    both = spans[0].join(spans[1], on=key, how="full", coalesce=True, suffix="_after")
    was, now = pl.col("valid_to"), pl.col("valid_to_after")
    differing = both.filter(was.ne_missing(now))
    first = pl.concat([rows.group_by("instrument_id").agg(pl.col("valid_from").min()) for rows in spans])
    is_first = differing.join(first.unique(), on=["instrument_id", "valid_from"], how="semi")
    reaches_back = is_first.filter(was.is_null() | now.is_null()).select(*names, pl.lit(date.min).alias("session"))
    day = pl.when(was.is_null() | now.is_null()).then("valid_from").otherwise(pl.min_horizontal(was, now) + _DAY)
    return pl.concat([differing.select(*names, day.alias("session")), reaches_back]).sort(*names, "session")


def universe_window(
    days: ExchangeCalendar, changes: NameChanges, ends: pl.DataFrame, bounds: tuple[date, date] | None
) -> dict[str, list[object]]:
    """Sessions whose universe changes, as columns instrument_id, from_session, to_session.

    `days`: the exchange's sessions. `ends`: instrument_id and last session with a bar (`to_session`) of every instrument. `bounds`:
    first and last session with bars of the exchange. A listing counts for 20 sessions after the last bar, a ticker that a universe
    lists for all sessions.
    """
    found: dict[str, list[object]] = {"instrument_id": [], "from_session": [], "to_session": []}
    if bounds is None:
        return found
    last_bars = dict(ends.select("instrument_id", "to_session").iter_rows())
    for rows, by_name in ((changes.listings, False), (changes.listed_by_name, True)):
        for instrument, session in rows.group_by("instrument_id").agg(pl.col("session").min()).sort("instrument_id").iter_rows():
            first = max(session, bounds[0])
            until = bounds[1] if by_name else _counts_until(days, last_bars.get(instrument), bounds[1])
            # The session of the change itself at least: what was held then ends there, though no universe has it any more.
            if until is not None and first <= bounds[1]:
                last = max(first, until)
                for name, value in zip(found, (instrument, first, last), strict=True):
                    found[name].append(value)
    return found


def _counts_until(days: ExchangeCalendar, last_bar: date | None, last: date) -> date | None:
    """Last session whose universe the instrument may belong to."""
    if last_bar is None:
        return None
    after = days.between(last_bar + _DAY, last_bar + _LATELY_DAYS)[:_LATELY]
    return min(last, after[-1].session_date if after else last_bar)
