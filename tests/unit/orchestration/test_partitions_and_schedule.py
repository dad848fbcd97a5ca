"""Partitions are sessions and nothing else; the schedule picks the session that has just closed, wherever the host stands."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from pipelines.orchestration.assets.models import BuildScope
from pipelines.orchestration.partitions import partition_sessions, session_partitions
from pipelines.orchestration.schedules import nightly_schedule

KOLKATA, NEW_YORK = ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")


def keys_at(mic: str, now: datetime, calendars: Path | None = None) -> list[str]:
    return list(session_partitions(mic, calendars).get_partition_keys(current_time=now))


def test_holidays_and_weekends_are_no_partitions() -> None:
    keys = set(keys_at("XNYS", datetime(2024, 12, 31, tzinfo=UTC)))
    holidays = {"2024-01-01", "2024-01-15", "2024-03-29", "2024-07-04", "2024-12-25", "2018-12-05", "2012-10-29", "2001-09-11"}
    assert keys & holidays == set()
    assert {"2024-01-02", "2023-11-24", "2001-09-10", "2001-09-17"} <= keys
    assert [k for k in keys if date.fromisoformat(k).weekday() > 4] == []


def test_special_saturdays_of_mumbai_are_partitions_and_the_days_off_for_them_are_not() -> None:
    keys = set(keys_at("XNSE", datetime(2025, 3, 1, tzinfo=UTC)))
    assert {"2024-01-20", "2024-03-02", "2024-05-18", "2025-02-01"} <= keys
    assert keys & {"2024-01-22", "2024-01-26", "2024-05-20", "2024-01-27"} == set()


def test_a_partition_is_one_day_long_even_before_a_weekend() -> None:
    """A window that ran from Friday to Monday would hand a run three days of bars."""
    window = session_partitions("XNYS").time_window_for_partition_key("2024-01-12")
    assert (window.start, window.end) == (datetime(2024, 1, 12, tzinfo=NEW_YORK), datetime(2024, 1, 13, tzinfo=NEW_YORK))


@pytest.mark.parametrize(("mic", "zone", "hour"), [("XNYS", NEW_YORK, 18), ("XNSE", KOLKATA, 19)])
def test_todays_session_is_a_partition_at_the_hour_of_the_nightly_run(mic: str, zone: ZoneInfo, hour: int) -> None:
    """2024-03-05 is an ordinary Tuesday in both cities."""
    keys = keys_at(mic, datetime(2024, 3, 5, hour, tzinfo=zone))
    assert keys[-1] == "2024-03-05"
    assert "2024-03-05" not in keys_at(mic, datetime(2024, 3, 4, hour, tzinfo=zone))


@pytest.mark.parametrize(
    ("mic", "now", "newest"),
    [
        # 2024-01-15 was Martin Luther King's birthday, a Monday; 2024-03-29 Good Friday, on which Mumbai was closed too.
        ("XNYS", "2024-01-13 12:00", "2024-01-12"),
        ("XNYS", "2024-01-14 23:59", "2024-01-12"),
        ("XNYS", "2024-01-15 18:00", "2024-01-12"),
        ("XNYS", "2024-01-16 00:01", "2024-01-16"),
        ("XNYS", "2024-01-16 09:00", "2024-01-16"),
        ("XNYS", "2024-01-16 23:59", "2024-01-16"),
        ("XNSE", "2024-03-29 19:00", "2024-03-28"),
        ("XNSE", "2024-03-31 09:00", "2024-03-28"),
        # Mumbai traded on Saturday, 2024-01-20, and was closed on the Monday after.
        ("XNSE", "2024-01-20 09:00", "2024-01-20"),
        ("XNSE", "2024-01-21 19:00", "2024-01-20"),
        ("XNSE", "2024-01-22 19:00", "2024-01-20"),
        ("XNSE", "2024-01-23 09:00", "2024-01-23"),
    ],
)
def test_nothing_is_recorded_of_a_session_after_today_there(mic: str, now: str, newest: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo={"XNYS": NEW_YORK, "XNSE": KOLKATA}[mic])
    sessions = partition_sessions(mic, now=moment.astimezone(UTC))
    assert max(sessions) == date.fromisoformat(newest)
    assert sessions == {date.fromisoformat(k) for k in keys_at(mic, moment) if k <= newest}


def test_on_a_closed_day_dagster_still_counts_the_next_session_in() -> None:
    """Why there is docs/decisions/0041. Where this fails Dagster has changed: the definition may then be all there is to ask."""
    assert keys_at("XNYS", datetime(2024, 1, 13, 12, tzinfo=NEW_YORK))[-1] == "2024-01-16"
    assert keys_at("XNYS", datetime(2024, 1, 16, 9, tzinfo=NEW_YORK))[-1] == "2024-01-16"


@pytest.fixture(params=["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kolkata"])
def host_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The host's own time zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


def evaluate(mic: str, tick: datetime, calendars: Path | None = None) -> dg.RunRequest | dg.SkipReason:
    """What the schedule answers to a tick."""
    with TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=tick)
        answer = nightly_schedule(mic, calendars)(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def test_the_session_that_closed_today_is_picked_whatever_the_zone_of_the_host(host_zone: str) -> None:
    for mic, tick in {
        "XNYS": datetime(2024, 3, 8, 18, tzinfo=NEW_YORK),
        "XNSE": datetime(2024, 3, 7, 19, tzinfo=KOLKATA),
    }.items():
        request = evaluate(mic, tick.astimezone(UTC))
        assert isinstance(request, dg.RunRequest)
        assert request.partition_key == tick.date().isoformat()
        assert request.run_key == f"{mic}-nightly-{tick.date()}"
        assert request.run_config == {"ops": {f"{mic}__models": {"config": {"rebuild_sessions": False}}}}


def test_a_session_that_somebody_picked_is_built_though_nothing_of_it_changed() -> None:
    """What the UI launches has no config of its own; the schedule's has."""
    assert BuildScope().rebuild_sessions


def test_a_holiday_and_a_weekend_are_skipped_with_their_reason(host_zone: str) -> None:
    closed = {
        ("XNYS", datetime(2024, 1, 15, 18, tzinfo=NEW_YORK)): "2024-01-15 (Monday) is no session of XNYS",
        ("XNYS", datetime(2024, 3, 10, 18, tzinfo=NEW_YORK)): "2024-03-10 (Sunday) is no session of XNYS",
        ("XNSE", datetime(2024, 1, 22, 19, tzinfo=KOLKATA)): (
            "2024-01-22 (Monday) is no session of XNSE (marketlake: NSE circular: public holiday)"
        ),
    }
    for (mic, tick), reason in closed.items():
        skipped = evaluate(mic, tick)
        assert isinstance(skipped, dg.SkipReason)
        assert skipped.skip_message == reason


def test_a_special_saturday_and_a_half_day_run() -> None:
    for mic, tick in (("XNSE", datetime(2024, 3, 2, 19, tzinfo=KOLKATA)), ("XNYS", datetime(2023, 11, 24, 18, tzinfo=NEW_YORK))):
        request = evaluate(mic, tick)
        assert isinstance(request, dg.RunRequest)
        assert request.partition_key == tick.date().isoformat()


def test_a_provisional_session_is_a_partition_and_runs_marked_as_such() -> None:
    known, provisional = (evaluate("XNSE", datetime(*day, 19, tzinfo=KOLKATA)) for day in ((2026, 12, 31), (2027, 1, 4)))
    assert isinstance(known, dg.RunRequest)
    assert isinstance(provisional, dg.RunRequest)
    assert [run.tags["marketlake/session_status"] for run in (known, provisional)] == ["known", "provisional"]
    assert keys_at("XNSE", datetime(2027, 1, 4, 19, tzinfo=KOLKATA))[-2:] == ["2027-01-01", "2027-01-04"]


def test_a_home_s_holiday_is_skipped_with_what_states_it(home) -> None:
    (home.home / "calendars").mkdir()
    (home.home / "calendars" / "XNSE.toml").write_text('[[holiday]]\ndate = 2027-01-04\nsource = "circular"\n', encoding="utf-8")
    skipped = evaluate("XNSE", datetime(2027, 1, 4, 19, tzinfo=KOLKATA), home.calendars)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "2027-01-04 (Monday) is no session of XNSE (calendars/XNSE.toml:1: circular)"
    assert "2027-01-04" not in keys_at("XNSE", datetime(2027, 1, 8, 19, tzinfo=KOLKATA), home.calendars)


def test_an_evening_session_that_is_still_open_waits() -> None:
    """Diwali's Muhurat session of 2021-11-04 closed at 19:15, after the nightly hour."""
    skipped = evaluate("XNSE", datetime(2021, 11, 4, 19, tzinfo=KOLKATA))
    assert isinstance(skipped, dg.SkipReason)
    assert "closes at" in str(skipped.skip_message)


def test_the_schedule_ticks_at_its_hour_in_the_zone_of_the_exchange_across_daylight_saving(host_zone: str) -> None:
    """New York's clocks went forward on 2024-03-10: 18:00 there is 23:00 UTC before and 22:00 UTC after."""
    schedule = nightly_schedule("XNYS")
    # Dagster finds the windows of partitions as it does a schedule's ticks, which it gives out by no public name.
    ticks = dg.TimeWindowPartitionsDefinition(
        start=datetime(2024, 3, 8, 12, tzinfo=UTC),
        fmt="%Y-%m-%d %H:%M",
        timezone=schedule.execution_timezone,
        cron_schedule=str(schedule.cron_schedule),
    )
    keys = ticks.get_partition_keys(datetime(2024, 3, 13, tzinfo=UTC))
    hours = [ticks.start_time_for_partition_key(key).astimezone(UTC).strftime("%d %H:%M") for key in keys]
    assert hours == ["08 23:00", "09 23:00", "10 22:00", "11 22:00"]
    assert (schedule.default_status, schedule.execution_timezone) == (dg.DefaultScheduleStatus.RUNNING, "America/New_York")
