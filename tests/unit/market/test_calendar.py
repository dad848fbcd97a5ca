"""Sessions of the two exchanges the lake was born for, against facts that other people wrote down."""

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest

from pipelines.market.calendar import CalendarError, calendar
from pipelines.market.exchanges import UnknownExchangeError, exchange
from pipelines.market.session import Session


def local(session: Session, mic: str) -> list[tuple[str, str]]:
    zone = exchange(mic).zone
    return [(f"{s.astimezone(zone):%H:%M}", f"{e.astimezone(zone):%H:%M}") for s, e in session.windows]


@pytest.mark.parametrize(
    "day", ["2024-01-22", "2024-05-20", "2024-11-20", "2026-01-15", "2023-06-29", "2013-11-15", "2024-01-26", "2023-10-02"]
)
def test_nse_is_closed_on_holidays_that_calendars_learned_late(day: str) -> None:
    assert calendar("XNSE").get(date.fromisoformat(day)) is None


@pytest.mark.parametrize("day", ["2024-01-20", "2025-02-01"])
def test_nse_traded_these_saturdays_at_the_usual_hours(day: str) -> None:
    session = calendar("XNSE").session(date.fromisoformat(day))
    assert session.session_date.weekday() == 5
    assert (session.kind, session.bars_expected, local(session, "XNSE")) == ("special", 375, [("09:15", "15:30")])


@pytest.mark.parametrize("day", ["2024-03-02", "2024-05-18"])
def test_nse_disaster_recovery_saturdays_have_two_windows(day: str) -> None:
    session = calendar("XNSE").session(date.fromisoformat(day))
    assert local(session, "XNSE") == [("09:15", "10:00"), ("11:30", "12:30")]
    assert (session.kind, session.bars_expected) == ("special", 105)


@pytest.mark.parametrize(
    ("day", "window", "bars"),
    [
        ("2014-10-23", ("18:15", "19:30"), 75),
        ("2015-11-11", ("17:45", "18:45"), 60),
        ("2017-10-19", ("18:30", "19:30"), 60),
        ("2018-11-07", ("17:30", "18:30"), 60),
        ("2021-11-04", ("18:15", "19:15"), 60),
        ("2022-10-24", ("18:15", "19:15"), 60),
        ("2025-10-21", ("13:45", "14:45"), 60),
    ],
)
def test_muhurat_is_a_short_session_on_a_holiday(day: str, window: tuple[str, str], bars: int) -> None:
    session = calendar("XNSE").session(date.fromisoformat(day))
    assert (session.kind, local(session, "XNSE"), session.bars_expected) == ("special", [window], bars)


@pytest.mark.parametrize(
    ("day", "opens", "bars"),
    [("2009-12-31", "09:55", 335), ("2010-01-04", "09:00", 390), ("2010-10-15", "09:00", 390), ("2010-10-18", "09:15", 375)],
)
def test_nse_opened_at_other_hours_before_2010(day: str, opens: str, bars: int) -> None:
    session = calendar("XNSE").session(date.fromisoformat(day))
    assert local(session, "XNSE") == [(opens, "15:30")]
    assert session.bars_expected == bars


@pytest.mark.parametrize("day", [date(2023, 6, 28), date(2013, 11, 14)])
def test_nse_traded_on_the_eve_of_a_holiday_that_moved_by_a_day(day: date) -> None:
    assert calendar("XNSE").session(day).bars_expected == 375


def test_a_usual_nse_session_has_375_minutes_and_a_new_york_one_390() -> None:
    assert calendar("XNSE").session(date(2024, 3, 4)).bars_expected == 375
    assert calendar("XNYS").session(date(2024, 3, 4)).bars_expected == 390


def test_new_york_half_day_and_summer_time() -> None:
    christmas_eve = calendar("XNYS").session(date(2015, 12, 24))
    assert (christmas_eve.kind, christmas_eve.bars_expected) == ("half_day", 210)
    assert calendar("XNYS").session(date(2024, 3, 8)).opens_at == datetime(2024, 3, 8, 14, 30, tzinfo=UTC)
    assert calendar("XNYS").session(date(2024, 3, 11)).opens_at == datetime(2024, 3, 11, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("mic", "day"), [("XNSE", "1996-12-31"), ("XNSE", "2032-01-01"), ("XNYS", "1989-12-29"), ("XNYS", "2033-01-03")]
)
def test_beyond_the_known_calendar_is_an_error_that_names_exchange_and_bounds(mic: str, day: str) -> None:
    with pytest.raises(CalendarError, match=rf"{day} lies outside the {mic} calendar, which is known from .* and provisional to"):
        calendar(mic).get(date.fromisoformat(day))


def test_a_sunday_is_no_session_and_the_error_says_so() -> None:
    with pytest.raises(CalendarError, match=r"2024-03-03 \(Sunday\) is no session of XNSE"):
        calendar("XNSE").session(date(2024, 3, 3))


def test_latest_closed_changes_at_the_close_not_before() -> None:
    days = calendar("XNSE")
    close = days.session(date(2024, 3, 4)).closes_at
    # The Saturday session before that Monday is the last one closed until then.
    assert days.latest_closed(close - timedelta(microseconds=1)).session_date == date(2024, 3, 2)
    assert days.latest_closed(close).session_date == date(2024, 3, 4)
    with pytest.raises(CalendarError, match="had closed by"):
        days.latest_closed(datetime(1990, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("mic", ["XNSE", "XNYS"])
def test_sessions_are_numbered_without_a_gap_and_never_overlap(mic: str) -> None:
    sessions = calendar(mic).sessions
    assert [s.number for s in sessions] == list(range(1, len(sessions) + 1))
    moments = [moment for s in sessions for window in s.windows for moment in window]
    assert all(before < after for before, after in itertools.pairwise(moments))


def test_the_published_table_says_the_same_as_the_sessions() -> None:
    days = calendar("XNSE")
    frame = days.frame()
    assert frame.height == len(days.sessions)
    assert frame["bars_expected"].sum() == sum(s.bars_expected for s in days.sessions)
    assert days.windows_frame().height == sum(len(s.windows) for s in days.sessions)


def test_an_exchange_that_is_not_declared_takes_its_calendar_s_zone() -> None:
    assert exchange("XLON").timezone == "Europe/London"
    assert calendar("XLON").session(date(2024, 3, 4)).bars_expected == 510


def test_a_lunch_break_splits_the_session() -> None:
    assert local(calendar("XHKG").session(date(2024, 3, 4)), "XHKG") == [("09:30", "12:00"), ("13:00", "16:00")]


def test_a_mistyped_exchange_is_told_the_nearest_one() -> None:
    with pytest.raises(UnknownExchangeError, match="did you mean XNYS"):
        exchange("XNYSE")
