"""Provisional sessions: never refused, counted once something traded on them, taken back by a later list of holidays."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.build.prepare import open_build
from pipelines.ingest.freshness import NoBarsError, measure_freshness, require_bars
from pipelines.ingest.restated_sessions import BarsOnHolidaysError, are_restated, contradictions, require_no_contradiction
from pipelines.ingest.suites import Suite
from pipelines.ingest.traded_sessions import provisional_days, traded_calendar
from pipelines.scanners.build_configuration import configure_build
from pipelines.scanners.project import HomeProject
from tests.support.suites import no_expectations

#: Known until Wednesday; Friday of that week and Monday are provisional.
END = date(2024, 3, 20)
THU, FRI, MON, TUE, WED = (date(2024, 3, day) for day in (21, 22, 25, 26, 27))
DELAY = timedelta(days=3)
State = Callable[..., Path]


@pytest.fixture
def suite() -> Suite:
    """No test here is about the gate."""
    return no_expectations


@pytest.fixture
def state(pipeline) -> State:
    """Writes the home's calendar of XNSE: known until a day, and holidays."""

    def write(until: date = END, *holidays: date) -> Path:
        path: Path = pipeline.settings.home / "calendars" / "XNSE.toml"
        path.parent.mkdir(exist_ok=True)
        entries = [f'[[known]]\nuntil = {until}\nsource = "moved"\n']
        entries += [f'[[holiday]]\ndate = {day}\nsource = "list"\n' for day in holidays]
        path.write_text("".join(entries), encoding="utf-8")
        return path

    write()
    return write


@pytest.fixture
def deliver(pipeline, bars_csv) -> Callable[..., dict[str, dict[str, int]]]:
    """Ingests a bar of one share for each of some days."""

    def bars(*days: date, name: str = "bars.csv") -> dict[str, dict[str, int]]:
        text = bars_csv([("INFY", day, 10, 11, 9, 10.5, 100 + day.day) for day in days])
        return pipeline.ingest(pipeline.deliver(name, text, mic="XNSE"))

    return bars


def days_of(pipeline) -> list[date]:
    return [s.session_date for s in traded_calendar(pipeline.lake, "XNSE").between(END, WED)]


@pytest.mark.slow
@pytest.mark.measured
def test_a_bar_beyond_the_known_calendar_is_accepted_and_named(pipeline, state: State, bars_csv) -> None:
    delivery = pipeline.deliver("bars.csv", bars_csv([("INFY", THU, 10, 11, 9, 10.5, 100)]), mic="XNSE")
    staged = pipeline.stage(delivery)

    assert staged.tables["bars_daily"]["session_date"].to_list() == [THU]
    assert staged.quarantine.is_empty()
    assert staged.files[0].reason == (
        "2024-03-21 is a provisional session: the calendar of XNSE is known until 2024-03-20; `marketlake calendar add` states more"
    )


def test_a_minute_of_a_provisional_session_is_placed_in_regular_hours(pipeline, state: State, bars_csv) -> None:
    rows = [("INFY", f"{THU}T{at}+05:30", 10, 11, 9, 10.5, 100) for at in ("09:14:00", "09:15:00", "15:29:00")]
    staged = pipeline.stage(pipeline.deliver("minutes.csv", bars_csv(rows), mic="XNSE"))

    assert staged.tables["bars_1m"].height == 2
    assert staged.tables["bars_1m_extended"]["segment"].to_list() == ["pre"]


def test_a_weekend_and_a_day_beyond_all_provisional_ones_are_still_refused(pipeline, state: State, bars_csv) -> None:
    rows = [("INFY", day, 10, 11, 9, 10.5, 100) for day in (date(2024, 3, 23), date(2032, 1, 1))]
    staged = pipeline.stage(pipeline.deliver("bars.csv", bars_csv(rows), mic="XNSE"))

    assert sorted(staged.quarantine["rule"]) == ["beyond_calendar", "not_a_session"]


def test_without_bars_every_provisional_session_counts(pipeline, state: State) -> None:
    assert days_of(pipeline) == [END, THU, FRI, MON, TUE, WED]


def test_days_without_bars_before_the_newest_ones_are_left_out(pipeline, state: State, deliver) -> None:
    deliver(END, THU, TUE)

    assert days_of(pipeline) == [END, THU, TUE, WED]
    numbers = [s.number for s in traded_calendar(pipeline.lake, "XNSE").between(END, WED)]
    assert numbers == list(range(numbers[0], numbers[0] + 4))


@pytest.mark.slow
@pytest.mark.measured
def test_a_file_that_comes_late_is_taken_and_its_day_counts_again(pipeline, state: State, deliver) -> None:
    deliver(END, THU, TUE)
    figures = deliver(FRI, name="late.csv")

    assert (figures["bars_daily"]["accepted"], pipeline.quarantined("XNSE")) == (1, [])
    assert days_of(pipeline) == [END, THU, FRI, TUE, WED]


@pytest.mark.slow
@pytest.mark.measured
def test_a_pinned_version_counts_the_days_that_it_holds(pipeline, state: State, deliver) -> None:
    deliver(END, THU)
    versions = {"bars_daily": pipeline.table("bars_daily", "XNSE").version()}
    deliver(TUE, name="more.csv")

    assert traded_calendar(pipeline.lake, "XNSE", versions).get(FRI) is not None
    assert traded_calendar(pipeline.lake, "XNSE", {}).get(FRI) is not None
    assert traded_calendar(pipeline.lake, "XNSE").get(FRI) is None


def test_what_the_lake_shows_is_told_by_how_long_a_file_is_waited_for(pipeline, state: State, deliver) -> None:
    deliver(END, THU, MON)

    on_tuesday = provisional_days(pipeline.lake, "XNSE", TUE, DELAY)
    assert (on_tuesday.with_bars, on_tuesday.confirmed) == ([THU, MON], [])
    assert (on_tuesday.awaited, on_tuesday.taken_for_holidays, on_tuesday.overdue) == ([TUE], [FRI], [])
    on_monday = provisional_days(pipeline.lake, "XNSE", MON, DELAY)
    assert (on_monday.awaited, on_monday.taken_for_holidays) == ([FRI], [])
    later = provisional_days(pipeline.lake, "XNSE", date(2024, 4, 2), DELAY)
    assert later.overdue == [TUE, WED, date(2024, 3, 28), date(2024, 3, 29)]


@pytest.mark.slow
@pytest.mark.measured
def test_a_file_of_the_whole_market_confirms_its_day_and_one_of_a_share_does_not(pipeline, state: State, deliver) -> None:
    deliver(FRI)
    head = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,\n"
    line = f"INFY,EQ,10,11,9,10.5,10.5,10,100,,{THU:%d-%b-%Y},7,,\n"
    pipeline.ingest(pipeline.deliver(f"cm{THU:%d%b%Y}bhav.csv", head + line, source="nse_bhavcopy", mic="XNSE"))

    found = provisional_days(pipeline.lake, "XNSE", FRI, DELAY)
    assert (found.confirmed, found.with_bars) == ([THU], [FRI])
    statuses = {s.session_date: s.status for s in traded_calendar(pipeline.lake, "XNSE").between(THU, MON)}
    assert statuses == {THU: "confirmed", FRI: "provisional", MON: "provisional"}


@pytest.mark.slow
@pytest.mark.measured
def test_a_list_that_takes_a_day_back_names_its_bars_and_stops_the_build(pipeline, state: State, deliver) -> None:
    deliver(END, THU)
    deliver(MON, name="stray.csv")
    batch = pipeline.rows("bars_daily", "XNSE").sort("session_date")["batch_id"][-1]
    state(date(2024, 12, 31), MON)

    (found,) = contradictions(pipeline.lake, "XNSE")
    assert (found.day, found.rows, found.batches) == (MON, 1, (batch,))
    assert found.describe() == "1 bar of 2024-03-25, which was no session of XNSE (calendars/XNSE.toml:4: list)"
    assert f"`marketlake withdraw {batch[:12]} --exchange XNSE --reason …`" in found.advice()
    with pytest.raises(BarsOnHolidaysError, match=r"2024-03-25.*marketlake withdraw"):
        open_build(
            pipeline.lake,
            "XNSE",
            pipeline.settings.state_dir,
            configure_build(["XNSE"], HomeProject.from_settings(pipeline.settings)),
        )


@pytest.mark.slow
@pytest.mark.measured
def test_sessions_behind_are_all_counted_where_the_newest_bars_are_of_a_day_that_was_taken_back(
    pipeline, state: State, deliver
) -> None:
    deliver(END, THU, FRI)
    now = datetime(2024, 3, 26, 12, tzinfo=UTC)
    before = measure_freshness(pipeline.lake, "XNSE", now, limit=3)
    state(END, FRI)
    after = measure_freshness(pipeline.lake, "XNSE", now, limit=3)

    assert (before.newest, before.expected, before.behind, before.provisional) == (FRI, TUE, 2, 2)
    assert (after.newest, after.expected, after.behind, after.provisional) == (FRI, TUE, 2, 2)


def test_a_newer_package_that_takes_a_counted_day_back_is_noticed_as_well(pipeline, state: State, deliver) -> None:
    deliver(END, THU, MON)
    state(date(2024, 12, 31))  # the bundled calendar knows 2024-03-25 as a holiday

    assert contradictions(pipeline.lake, "XNSE") == []
    with pytest.raises(BarsOnHolidaysError, match="exchange_calendars"):
        require_no_contradiction(pipeline.lake, "XNSE", [END, THU, MON])


@pytest.mark.slow
@pytest.mark.measured
def test_sessions_are_restated_where_one_up_to_the_newest_bars_differs(pipeline, state: State) -> None:
    counted = pipeline.lake.calendar("XNSE").frame()
    state(THU)
    assert not are_restated(counted, pipeline.lake.calendar("XNSE"), WED)  # the same days, one of them known by now

    state(END, FRI)
    assert not are_restated(counted, pipeline.lake.calendar("XNSE"), THU)
    assert are_restated(counted, pipeline.lake.calendar("XNSE"), FRI)


@pytest.mark.slow
def test_real_files_of_the_whole_market_confirm_their_days_and_a_copy_on_good_friday_does_not(
    pipeline, state: State, shared: Path
) -> None:
    state(date(2024, 3, 27))
    files = [shared / "data" / "nse_bhavcopy" / f"sec_bhavdata_full_{day}.zip" for day in ("28032024", "29032024", "01042024")]
    pipeline.ingest(*(pipeline.deliver(f.name, f.read_bytes(), source="nse_bhavcopy", mic="XNSE") for f in files))
    found = provisional_days(pipeline.lake, "XNSE", date(2024, 4, 5), DELAY)
    sessions = traded_calendar(pipeline.lake, "XNSE").between(date(2024, 3, 27), date(2024, 4, 2))

    assert "beyond_calendar" not in {rule for _, rule in pipeline.quarantined("XNSE")}
    assert found.confirmed == [date(2024, 3, 28), date(2024, 4, 1)]
    assert found.taken_for_holidays == [date(2024, 3, 29)]
    assert [(s.session_date, s.status) for s in sessions] == [
        (date(2024, 3, 27), "known"),
        (date(2024, 3, 28), "confirmed"),
        (date(2024, 4, 1), "confirmed"),
        (date(2024, 4, 2), "provisional"),
    ]
    (pipeline.settings.home / "calendars" / "XNSE.toml").unlink()
    known = pipeline.lake.calendar("XNSE").between(date(2024, 3, 27), date(2024, 4, 2))
    assert [(s.session_date, s.number, s.windows) for s in sessions] == [(s.session_date, s.number, s.windows) for s in known]


def test_nothing_is_built_without_bars_or_without_those_of_a_session_that_was_asked_for(pipeline, state: State, deliver) -> None:
    with pytest.raises(NoBarsError, match="XNSE has no bars, so nothing was built and nothing released: "):
        require_bars(pipeline.lake, "XNSE")
    deliver(END)
    require_bars(pipeline.lake, "XNSE")
    require_bars(pipeline.lake, "XNSE", [END])
    with pytest.raises(NoBarsError, match=rf"XNSE has no bars of {THU} \(its newest session is {END}\)"):
        require_bars(pipeline.lake, "XNSE", [END, THU])
