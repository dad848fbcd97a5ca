"""A home's own calendar wins over the ones that come with marketlake; after the known end weekdays are provisional sessions."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from pipelines.market.calendar import ExchangeCalendar
from pipelines.market.calendar import calendar as calendar_of
from pipelines.market.calendar_days import calendar_days
from pipelines.market.calendar_file import HomeCalendarError
from pipelines.market.exchanges import exchange
from pipelines.market.home_calendar import append_entry, home_calendar_path
from pipelines.market.session import CONFIRMED, KNOWN, PROVISIONAL
from pipelines.settings import Settings


@pytest.fixture
def state(home: Settings):
    """Writes the home's calendar of XNSE."""

    def write(text: str) -> Path:
        path = home.home / "calendars" / "XNSE.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def known(until: str) -> str:
    return f'[[known]]\nuntil = {until}\nsource = "moved"\n'


def calendar(mic: str) -> ExchangeCalendar:
    """The calendar of the test's home."""
    return calendar_of(mic, Settings().calendars)


def local(day: date) -> list[str]:
    session = calendar("XNSE").session(day)
    zone = calendar("XNSE").exchange.zone
    return [f"{s.astimezone(zone):%H:%M}-{e.astimezone(zone):%H:%M}" for s, e in session.windows]


def test_after_the_last_listed_year_weekdays_are_provisional_with_regular_hours(home: Settings) -> None:
    days = calendar("XNSE")
    after = days.between(date(2026, 12, 30), date(2027, 1, 5))

    assert days.known_until == date(2026, 12, 31)
    assert [(s.session_date.day, s.status) for s in after] == [
        (30, KNOWN),
        (31, KNOWN),
        (1, PROVISIONAL),
        (4, PROVISIONAL),
        (5, PROVISIONAL),
    ]
    assert [s.number for s in after] == list(range(after[0].number, after[0].number + 5))
    assert local(date(2027, 1, 4)) == ["09:15-15:30"]
    assert days.get(date(2027, 1, 2)) is None


def test_summer_time_holds_for_provisional_sessions_too(home: Settings) -> None:
    march, july = (calendar("XNYS").session(day) for day in (date(2028, 3, 1), date(2028, 7, 5)))

    assert {s.status for s in (march, july)} == {PROVISIONAL}
    assert (march.opens_at.hour, july.opens_at.hour) == (14, 13)


def test_a_known_end_in_the_past_makes_later_weekdays_provisional_whatever_else_is_known(state) -> None:
    number = calendar("XNSE").session(date(2024, 1, 19)).number
    state(known("2024-01-19"))
    days = calendar("XNSE")

    assert (days.known_until, days.end_origin) == (date(2024, 1, 19), "calendars/XNSE.toml:1: moved")
    assert days.session(date(2024, 1, 22)).status == PROVISIONAL  # a holiday that was announced two days before
    assert days.get(date(2024, 1, 20)) is None  # a special Saturday
    assert days.session(date(2024, 1, 19)).number == number
    assert days.last_day == date(2031, 12, 31)


def test_a_package_that_lists_more_years_than_declared_reaches_further_where_holidays_are_listed() -> None:
    short = replace(exchange("XNSE"), calendar_end=date(2025, 12, 31))

    assert calendar_days(short, None).known_until == date(2026, 12, 31)
    assert calendar_days(replace(short, holidays_listed_yearly=False), None).known_until == date(2025, 12, 31)


def test_a_list_for_the_next_year_makes_its_days_known(state) -> None:
    state(known("2027-12-31") + '[[holiday]]\ndate = 2027-01-26\nsource = "list"\n')
    days = calendar("XNSE")

    assert days.get(date(2027, 1, 26)) is None
    assert days.session(date(2027, 1, 25)).status == days.session(date(2027, 12, 31)).status == KNOWN
    assert days.session(date(2028, 1, 3)).status == PROVISIONAL
    assert days.origins[date(2027, 1, 26)] == "calendars/XNSE.toml:4: list"


def test_what_the_home_states_wins_before_and_after_the_known_end(state) -> None:
    state(
        '[[session]]\ndate = 2024-01-22\nkind = "special"\nwindows = ["14:30-17:00"]\nsource = "a"\n'
        '[[holiday]]\ndate = 2024-01-20\nsource = "b"\n'
        '[[session]]\ndate = 2027-01-30\nkind = "special"\nsource = "c"\n'
        '[[hours]]\nfrom = 2027-02-01\nuntil = 2027-02-28\nwindows = ["09:00-12:00", "13:00-16:00"]\nsource = "d"\n'
    )
    days = calendar("XNSE")

    assert (local(date(2024, 1, 22)), days.get(date(2024, 1, 20))) == (["14:30-17:00"], None)
    assert (days.session(date(2027, 1, 30)).status, local(date(2027, 1, 30))) == (KNOWN, ["09:15-15:30"])
    assert local(date(2027, 2, 1)) == ["09:00-12:00", "13:00-16:00"]
    assert days.session(date(2027, 2, 1)).status == PROVISIONAL
    assert local(date(2027, 3, 1)) == ["09:15-15:30"]


def test_changed_hours_leave_special_sessions_and_half_days_alone(state) -> None:
    state('[[hours]]\nfrom = 2024-01-01\nuntil = 2024-12-31\nwindows = ["09:00-16:00"]\nsource = "d"\n')

    assert local(date(2024, 3, 4)) == ["09:00-16:00"]
    assert local(date(2024, 3, 2)) == ["09:15-10:00", "11:30-12:30"]


def test_a_session_without_windows_has_regular_hours_next_to_an_evening_session_too(state) -> None:
    state(
        '[[session]]\ndate = 2027-10-29\nkind = "special"\nwindows = ["18:15-19:15"]\nsource = "a"\n'
        '[[session]]\ndate = 2027-10-30\nkind = "regular"\nsource = "b"\n'
    )

    assert local(date(2027, 10, 29)) == ["18:15-19:15"]
    assert local(date(2027, 10, 30)) == ["09:15-15:30"]


def test_sessions_follow_the_file_as_it_changes_and_the_home_it_is_in(state) -> None:
    before = calendar("XNSE")
    assert calendar("XNSE") is before

    path = state('[[holiday]]\ndate = 2024-03-04\nsource = "x"\n')
    assert calendar("XNSE").get(date(2024, 3, 4)) is None

    path.unlink()
    assert calendar("XNSE").get(date(2024, 3, 4)) is not None


def test_without_days_on_which_nothing_traded_later_sessions_move_up(home: Settings) -> None:
    days = calendar("XNSE")
    without = days.without({date(2027, 1, 1), date(2026, 12, 31)}, {date(2027, 1, 4)})

    assert without.get(date(2027, 1, 1)) is None
    assert without.session(date(2026, 12, 31)) == days.session(date(2026, 12, 31))
    monday = without.session(date(2027, 1, 4))
    assert (monday.number, monday.status) == (days.session(date(2026, 12, 31)).number + 1, CONFIRMED)
    assert without.session(date(2027, 1, 5)).status == PROVISIONAL
    assert days.without(set()) is days


def test_an_entry_is_appended_as_a_whole_or_not_at_all(home: Settings) -> None:
    block = '[[holiday]]\ndate = 2027-01-26\nsource = "list"'
    written = append_entry("XNSE", block, home.calendars)
    path = home_calendar_path("XNSE", home.calendars)
    text = path.read_text(encoding="utf-8")

    assert (path, written.entries[0].first) == (home.home / "calendars" / "XNSE.toml", date(2027, 1, 26))
    with pytest.raises(HomeCalendarError, match="stated in line"):
        append_entry("XNSE", block, home.calendars)
    assert path.read_text(encoding="utf-8") == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("mic", "until"),
    [("XNSE", "1900-01-01"), ("XNSE", "1996-12-31"), ("XLON", "2000-01-03")],  # the last is a holiday, after a weekend
)
def test_a_known_end_before_the_first_regular_session_is_named_with_its_line(home: Settings, mic: str, until: str) -> None:
    path = home_calendar_path(mic, home.calendars)
    path.parent.mkdir()
    path.write_text("# ours\n" + known(until), encoding="utf-8")

    with pytest.raises(HomeCalendarError, match=rf"^{path}:2: until {until}: no regular session of {mic} lies between "):
        calendar(mic)


def test_a_known_end_that_leaves_no_regular_session_is_not_appended(home: Settings) -> None:
    with pytest.raises(HomeCalendarError, match="no regular session of XLON"):
        append_entry("XLON", known("2000-01-03"), home.calendars)

    assert not home_calendar_path("XLON", home.calendars).exists()
    append_entry("XLON", known("2000-01-04"), home.calendars)
    assert calendar("XLON").known_until == date(2000, 1, 4)


def test_remarks_and_what_was_there_stay_when_an_entry_is_appended(state) -> None:
    path = state('# ours\n[[holiday]]\ndate = 2027-01-26   # Republic Day\nsource = "list"')
    append_entry("XNSE", '[[holiday]]\ndate = 2027-03-22\nsource = "list"', Settings().calendars)

    assert path.read_text(encoding="utf-8").startswith(
        '# ours\n[[holiday]]\ndate = 2027-01-26   # Republic Day\nsource = "list"\n\n[['
    )


def test_a_faulty_file_is_an_error_wherever_sessions_are_asked_for(state) -> None:
    path = state("[[holiday]]\n")

    with pytest.raises(HomeCalendarError, match=rf"{path}:1: \[\[holiday\]\] lacks date; .* lacks source"):
        calendar("XNSE")


def test_a_folder_of_calendars_that_cannot_be_read_is_not_taken_for_a_home_without_one(home: Settings) -> None:
    folder = home.home / "calendars"
    folder.symlink_to(folder)  # holds for every user, unlike missing permissions

    with pytest.raises(HomeCalendarError, match=rf"^{folder / 'XNSE.toml'}: cannot be read: Too many levels of symbolic links"):
        calendar("XNSE")


def test_a_home_whose_calendars_are_no_folder_has_no_calendar_of_its_own(home: Settings) -> None:
    (home.home / "calendars").write_text("", encoding="utf-8")

    assert calendar("XNSE").end_origin == "exchange_calendars"
