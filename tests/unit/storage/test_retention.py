"""Which releases are kept: 90 days all of them, then the last of each month, the held, the marked and the newest."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.storage.errors import DamagedTableError
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release, UnknownReleaseError, record_release
from pipelines.storage.retention import (
    ExpiredReleaseError,
    HeldVersions,
    Mark,
    Retention,
    find_kept_release,
    keep_release,
    pin_releases,
    read_retention,
    write_retention,
)

NOW = datetime(2026, 6, 30, 20, tzinfo=UTC)
MARK = Mark(NOW, "asha", "basis of a report")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def made(number: int, created_at: datetime) -> Release:
    return Release(f"r{number:05d}-0", number, created_at, "", {}, "1", {}, {}, None)


def daily(first: datetime, days: int) -> list[Release]:
    return [made(number, first + timedelta(days=number)) for number in range(days)]


def test_a_year_of_nights_keeps_90_days_and_the_ends_of_earlier_months() -> None:
    nights = daily(NOW - timedelta(days=364), 365)
    pinned = pin_releases(nights, Retention(), None, NOW)
    by_day = {release.created_at.date().isoformat(): pinned.get(release.release_id) for release in nights}
    kept = [day for day, reason in by_day.items() if reason]
    # 2026-04-01 is 90 days before; from July to March the last day of each month.
    ends = ["07-31", "08-31", "09-30", "10-31", "11-30", "12-31"]
    assert kept[:9] == [*(f"2025-{end}" for end in ends), "2026-01-31", "2026-02-28", "2026-03-31"]
    assert (kept[9], len(kept[9:])) == ("2026-04-01", 91)
    assert (by_day["2026-06-30"], by_day["2026-03-31"]) == ("the newest", "the last of its month")


def test_the_last_release_of_a_month_without_a_last_day_stays() -> None:
    nights = [made(1, datetime(2025, 1, 8, tzinfo=UTC)), made(2, datetime(2025, 1, 19, tzinfo=UTC)), made(3, NOW)]
    assert pin_releases(nights, Retention(), None, NOW) == {"r00002-0": "the last of its month", "r00003-0": "the newest"}


def test_the_newest_stays_however_old_and_so_do_the_held_and_the_marked() -> None:
    nights = daily(datetime(2025, 1, 1, tzinfo=UTC), 10)
    pinned = pin_releases(nights, Retention({"r00002-0": MARK}), "r00004-0", NOW)
    assert pinned == {
        "r00002-0": "marked by `marketlake releases keep`",
        "r00004-0": "held by a rollback",
        "r00009-0": "the newest",
    }


def test_what_has_expired_stays_expired_and_is_no_end_of_a_month() -> None:
    nights = [*daily(datetime(2025, 1, 1, tzinfo=UTC), 3), made(9, NOW)]
    gone = Retention({"r00002-0": MARK}, {"r00002-0": NOW})
    assert pin_releases(nights, gone, "r00002-0", NOW) == {"r00001-0": "the last of its month", "r00009-0": "the newest"}


def test_a_mark_is_recorded_and_taken_away(lake: Lake) -> None:
    first, _ = record_release(lake, "XNYS", {}, code_version="1", config={}, sessions=[])
    assert read_retention(lake) == Retention()
    keep_release(lake, first, MARK)
    assert read_retention(lake) == Retention({first.release_id: MARK})
    keep_release(lake, first, None)
    assert read_retention(lake) == Retention()


def test_an_expired_release_is_refused_by_name(lake: Lake) -> None:
    first, _ = record_release(lake, "XNYS", {}, code_version="1", config={}, sessions=[])
    assert find_kept_release(lake, "r00001") == first
    write_retention(lake, Retention(expired={first.release_id: NOW}))
    for ask in (lambda: find_kept_release(lake, "r00001"), lambda: keep_release(lake, first, MARK)):
        with pytest.raises(ExpiredReleaseError, match=f"release {first.release_id} of .* expired on 2026-06-30"):
            ask()
    with pytest.raises(UnknownReleaseError, match="no release 'r9'"):
        find_kept_release(lake, "r9")


def test_versions_that_a_clean_up_left_are_known(lake: Lake) -> None:
    retention = Retention(tables={"XNYS/bars_daily": HeldVersions(7, (2, 4))})
    write_retention(lake, retention)
    assert read_retention(lake) == retention
    assert [v for v in range(10) if retention.holds("XNYS", "bars_daily", v)] == [2, 4, 7, 8, 9]
    assert retention.holds("XNYS", "bars_1m", 0)


@pytest.mark.parametrize("content", ["", "[]", '{"marked": {}}', '{"marked": {"r": {}}, "expired": {}, "tables": {}}'])
def test_a_record_that_cannot_be_read_is_named_with_the_way_out(lake: Lake, content: str) -> None:
    Path(lake.root).mkdir(parents=True)
    Path(lake.root, "retention.json").write_text(content, encoding="utf-8")
    with pytest.raises(DamagedTableError, match=r"retention.json, which says what releases are kept, is damaged: move it away"):
        read_retention(lake)
