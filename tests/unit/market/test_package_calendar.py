"""The kept answer of exchange_calendars: the same as a new one, and never one of another package, of other bounds or rules."""

from dataclasses import replace
from datetime import date

import pytest

from pipelines.market import package_calendar as module
from pipelines.market.exchanges import exchange
from pipelines.market.package_calendar import package_calendar

SHORT = replace(exchange("XNYS"), calendar_start=date(2024, 6, 3), calendar_end=date(2024, 12, 31))
#: An exchange with a pause at noon.
TOKYO = replace(exchange("XTKS"), calendar_start=date(2024, 6, 3), calendar_end=date(2024, 12, 31))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "marketlake" / "calendars"


def _files(cache):
    return sorted(path.name for path in cache.iterdir())


@pytest.mark.parametrize("venue", [SHORT, TOKYO], ids=["one window", "with a pause"])
def test_what_is_read_back_is_what_was_worked_out(cache, monkeypatch, venue) -> None:
    built = package_calendar(venue)
    monkeypatch.setattr("exchange_calendars.get_calendar", None)

    assert package_calendar(venue) == built
    assert len(_files(cache)) == 1


def test_a_half_day_and_a_holiday_are_kept(cache) -> None:
    package_calendar(SHORT)
    sessions = dict(package_calendar(SHORT).sessions)

    assert date(2024, 7, 4) not in sessions
    ((opens, closes),) = sessions[date(2024, 7, 3)]
    assert (opens.isoformat(), closes.isoformat()) == ("2024-07-03T13:30:00+00:00", "2024-07-03T17:00:00+00:00")


def test_other_bounds_another_package_and_other_rules_of_the_zone_have_files_of_their_own(cache, monkeypatch) -> None:
    package_calendar(SHORT)
    package_calendar(replace(SHORT, calendar_end=date(2024, 11, 29)))
    assert len(_files(cache)) == 2

    with monkeypatch.context() as other:
        other.setattr(module, "version", lambda package: "99")
        package_calendar(SHORT)
    assert len(_files(cache)) == 3

    (cache / "zones" / "America").mkdir(parents=True)
    (cache / "zones" / "America" / "New_York").write_bytes(b"other rules")
    monkeypatch.setattr("zoneinfo.TZPATH", (str(cache / "zones"),))
    package_calendar(SHORT)
    assert len([name for name in _files(cache) if name.endswith(".json")]) == 4


def test_half_a_file_is_worked_out_again(cache) -> None:
    built = package_calendar(SHORT)
    (file,) = cache.iterdir()
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])

    assert package_calendar(SHORT) == built
    assert file.read_text() == whole


def test_a_file_with_one_changed_digit_is_worked_out_again(cache) -> None:
    built = package_calendar(SHORT)
    (file,) = cache.iterdir()
    whole = file.read_text()
    opens = str(int(built.sessions[0][1][0][0].timestamp()))
    file.write_text(whole.replace(opens, str(int(opens) + 3600)))
    assert file.read_text() != whole

    assert package_calendar(SHORT) == built
    assert file.read_text() == whole


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path, monkeypatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))

    assert package_calendar(SHORT).sessions[0][0] == date(2024, 6, 3)
