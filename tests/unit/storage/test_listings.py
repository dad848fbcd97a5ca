"""Which sessions a changed listing or ticker outdates."""

from datetime import date

import polars as pl
import pytest

from pipelines.build.listings import NameChanges, changed_names, universe_window
from pipelines.market.calendar import calendar

SESSIONS = [s.session_date for s in calendar("XNYS").between(date(2024, 1, 2), date(2024, 6, 28))]
FIRST, LAST = SESSIONS[0], SESSIONS[-1]
#: Its last bar, and the day on which it is no longer listed.
SILENT, ENDED = SESSIONS[30], SESSIONS[34]


def listing(instrument: str, valid_from: date, valid_to: date | None = None) -> tuple:
    return (instrument, valid_from, valid_to)


def listings(*rows: tuple) -> pl.DataFrame:
    schema = {"instrument_id": pl.String, "valid_from": pl.Date, "valid_to": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


def aliases(*rows: tuple) -> pl.DataFrame:
    schema = {"instrument_id": pl.String, "kind": pl.String, "value": pl.String, "valid_from": pl.Date, "valid_to": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


NO_ALIASES = (aliases(), aliases())


@pytest.fixture
def window():
    def run(changes: NameChanges, **last_bars: date) -> list[tuple]:
        ends = pl.DataFrame(list(last_bars.items()), schema={"instrument_id": pl.String, "to_session": pl.Date}, orient="row")
        return list(zip(*universe_window(calendar("XNYS"), changes, ends, (FIRST, LAST)).values(), strict=True))

    return run


def test_a_late_delisting_outdates_the_universes_that_lose_the_share_and_no_bar(window) -> None:
    day_before = SESSIONS[33]
    changes = changed_names((listings(listing("a", FIRST)), listings(listing("a", FIRST, day_before))), NO_ALIASES, [])

    assert window(changes, a=SILENT) == [("a", pl.Series([day_before]).dt.offset_by("1d").item(), SESSIONS[50])]


def test_a_delisting_long_after_the_last_bar_outdates_its_own_session(window) -> None:
    after = changed_names((listings(listing("a", FIRST)), listings(listing("a", FIRST, SESSIONS[79]))), NO_ALIASES, [])
    (found,) = window(after, a=SILENT)
    assert found[1] == found[2] > SESSIONS[79]


def test_a_delisting_that_lies_ahead_outdates_nothing_yet(window) -> None:
    assert window(changed_names((listings(listing("a", FIRST)), listings(listing("a", FIRST, LAST))), NO_ALIASES, []), a=LAST) == []


def test_an_isin_or_the_same_rows_again_change_nothing() -> None:
    same = listings(listing("a", FIRST))
    isin = ("a", "isin", "US0378331005", FIRST, None)
    assert changed_names((same, same), (aliases(), aliases(isin)), ["US0378331005"]).all.is_empty()


def test_a_rename_learned_late_outdates_the_ticker_from_its_day_on() -> None:
    old, new = ("a", "symbol", "OLD", FIRST, None), ("a", "symbol", "NEW", ENDED, None)
    cut = ("a", "symbol", "OLD", FIRST, SESSIONS[33])

    changes = changed_names((listings(), listings()), (aliases(old), aliases(cut, new)), [])

    assert changes.tickers["session"].min() > SESSIONS[33]
    assert changes.listed_by_name.is_empty()


def test_a_renamed_share_that_a_list_names_is_looked_for_on_every_session(window) -> None:
    old, new = ("a", "symbol", "OLD", FIRST, None), ("a", "symbol", "NEW", ENDED, None)
    changes = changed_names((listings(), listings()), (aliases(old), aliases(old, new)), ["NEW"])
    assert window(changes, a=SILENT) == [("a", FIRST, LAST)]


def test_a_share_that_is_new_has_no_session_before_its_bars(window) -> None:
    new = ("b", "symbol", "NEW", ENDED, None)
    listed = listings(listing("b", ENDED))
    changes = changed_names((listed.clear(), listed), (aliases(), aliases(new)), ["NEW"])
    assert window(changes, b=LAST) == []
