"""`marketlake calendar` as typed: what it prints, what it writes, and one clear line for wrong input."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from pipelines.doctor import examine
from pipelines.ingest.suites import Suite
from pipelines.storage.locks import home_lock
from tests.support.suites import no_expectations

Command = Callable[..., tuple[int, str, str]]
SOURCE = ("--source", 'NSE circular "holidays" of 2027')


@pytest.fixture
def suite() -> Suite:
    """No test here is about the gate."""
    return no_expectations


@pytest.fixture
def marketlake(pipeline, monkeypatch: pytest.MonkeyPatch, marketlake: Command) -> Command:
    monkeypatch.setenv("MARKETLAKE_EXCHANGES", "XNSE,XNYS")
    return partial(marketlake, "calendar")


def written(pipeline) -> Path:
    path: Path = pipeline.settings.home / "calendars" / "XNSE.toml"
    return path


def shown(out: str) -> list[list[str]]:
    return [line.split(None, 4) for line in out.splitlines() if line[:2] == "20"]


def test_show_tells_days_hours_status_and_what_states_each(marketlake: Command) -> None:
    code, out, _ = marketlake("show", "--exchange", "XNSE", "--from", "2026-12-25", "--to", "2027-01-04")

    assert code == 0
    assert "XNSE (Asia/Kolkata): known from 1997-01-01 to 2026-12-31 (exchange_calendars)" in out
    assert "later weekdays, to 2031-12-31, are provisional sessions" in out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "2026-12-25 Fri closed known exchange_calendars" in lines
    assert "2026-12-31 Thu regular 09:15-15:30 known exchange_calendars" in lines
    assert "2027-01-04 Mon regular 09:15-15:30 provisional a weekday" in lines
    assert not any("2027-01-02" in line for line in lines)


def test_show_gives_the_same_to_machines(marketlake: Command) -> None:
    _, out, _ = marketlake("show", "--exchange", "XNSE", "--from", "2024-03-02", "--to", "2024-03-02", "--json")

    told = json.loads(out)
    assert (told["known_until"], told["provisional_until"], told["file"]) == ("2026-12-31", "2031-12-31", None)
    assert told["days"] == [
        {
            "day": "2024-03-02",
            "weekday": "Sat",
            "what": "special",
            "hours": "09:15-10:00 11:30-12:30",
            "status": "known",
            "stated_by": "marketlake: NSE circular: disaster-recovery session in two windows",
        }
    ]


@pytest.mark.slow
@pytest.mark.measured
def test_add_writes_each_kind_of_entry_and_show_names_it(pipeline, marketlake: Command) -> None:
    given = [
        ("holiday", "2027-01-26"),
        ("session", "2027-01-30", "--windows", "09:15-10:00", "--windows", "11:30-12:30"),
        ("hours", "2027-08-02", "--until", "2027-08-31", "--windows", "09:00-16:00"),
        ("known", "2027-12-31"),
    ]
    for entry in given:
        code, out, err = marketlake("add", *entry, *SOURCE, "--exchange", "XNSE")
        assert (code, err) == (0, "")
        assert out.endswith(f": {entry[0]} {entry[1]}\n")

    _, out, _ = marketlake("show", "--from", "2027-01-26", "--to", "2027-08-02", "--json", "--exchange", "XNSE")
    told = json.loads(out)
    days = {day["day"]: (day["what"], day["hours"], day["status"]) for day in told["days"]}
    assert told["known_until_by"] == f"calendars/XNSE.toml:19: {SOURCE[1]}"
    assert days["2027-01-26"] == ("closed", "", "known")
    assert days["2027-01-30"] == ("special", "09:15-10:00 11:30-12:30", "known")
    assert days["2027-08-02"] == ("regular", "09:00-16:00", "known")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("holiday", "2027-01-26"), "--source: say in a text of at most 500 letters what it rests on"),
        (("holiday", "2027-01-26", "--source", "\x1b[31m"), "holds a control character"),
        (("holydays", "2027-01-26", *SOURCE), "'holydays' is none of holiday, session, hours, known"),
        (("holiday", "26-01-2027", *SOURCE), "DATE: '26-01-2027' is no date; write it as YYYY-MM-DD"),
        (("holiday", "2207-01-26", *SOURCE), "2207-01-26 lies outside the calendar of XNSE, 1997-01-01 to 2031-12-31"),
        (("holiday", "2027-01-26", "--windows", "09:15-10:00", *SOURCE), "--windows: a holiday entry has no hours"),
        (("holiday", "2027-01-26", "--until", "2027-01-27", *SOURCE), "--until: only hours have a last day"),
        (("hours", "2027-01-26", *SOURCE), "--windows: say the new hours"),
        (("hours", "2027-01-26", "--windows", "9-10", *SOURCE), "--windows: '9-10' is no stretch of trading"),
        (("session", "2027-01-30", "--kind", "odd", *SOURCE), "--kind: 'odd' is none of regular, half_day, special"),
        (("session", "2027-01-30", "--kind", "half_day", *SOURCE), "--windows: say the hours of the half day"),
        (("holiday", "2027-01-26", "--kind", "half_day", *SOURCE), "--kind: only a session has a kind; this is a holiday entry"),
        (("hours", "2027-01-26", "--kind", "special", "--windows", "09:15-10:00", *SOURCE), "--kind: only a session has a kind"),
        (("known", "2027-12-31", "--kind", "regular", *SOURCE), "--kind: only a session has a kind"),
        (("known", "1996-12-31", *SOURCE), "1996-12-31 lies before the calendar of XNSE, which begins on 1997-01-01"),
        (("holiday", "2027-01-26", *SOURCE, "--exchange", "XLON"), "XLON is not configured"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(pipeline, marketlake: Command, arguments: tuple[str, ...], line: str) -> None:
    code, _, err = marketlake("add", *arguments, *(() if "--exchange" in arguments else ("--exchange", "XNSE")))

    assert code == 2
    assert line in err
    assert err.count("\n") == 1
    assert not written(pipeline).exists()


def test_a_day_in_another_iso_form_is_written_and_told_in_the_usual_one(pipeline, marketlake: Command) -> None:
    code, out, _ = marketlake(
        "add", "session", "20270130", "--kind", "half_day", "--windows", "09:15-12:30", *SOURCE, "--exchange", "XNSE"
    )

    assert (code, out) == (0, f"{written(pipeline)}:3: session 2027-01-30\n")
    assert 'date = 2027-01-30\nkind = "half_day"\nwindows = ["09:15-12:30"]\n' in written(pipeline).read_text(encoding="utf-8")


def test_a_day_stated_twice_is_refused_with_the_line_it_stands_in(pipeline, marketlake: Command) -> None:
    marketlake("add", "holiday", "2027-01-26", *SOURCE, "--exchange", "XNSE")
    before = written(pipeline).read_bytes()
    code, _, err = marketlake("add", "session", "2027-01-26", *SOURCE, "--exchange", "XNSE")

    assert (code, written(pipeline).read_bytes()) == (2, before)
    assert "2027-01-26 is stated in line 3 already; remove one" in err


def test_another_writer_at_work_is_named(pipeline, marketlake: Command) -> None:
    command = [
        sys.executable,
        "-c",
        "from pipelines.cli.app import main; main()",
        "calendar",
        "add",
        "holiday",
        "2027-01-26",
        *SOURCE,
    ]
    with home_lock(pipeline.settings.state_dir, "nightly run of XNSE"):
        process = subprocess.run([*command, "--exchange", "XNSE"], capture_output=True, text=True, check=False)

    assert process.returncode == 1
    assert "nightly run of XNSE" in process.stderr
    assert not written(pipeline).exists()


def test_a_known_end_before_the_one_known_is_warned_of(marketlake: Command) -> None:
    code, _, err = marketlake("add", "known", "2024-03-20", *SOURCE, "--exchange", "XNSE")

    assert code == 0
    assert err == "warning: XNSE was known until 2026-12-31; sessions after 2024-03-20 are provisional from now on\n"


def test_check_of_a_sound_home_tells_the_reach_of_every_exchange(marketlake: Command) -> None:
    code, out, err = marketlake("check", "--json")

    told = json.loads(out)
    assert (code, err) == (0, "")
    assert [(report["exchange"], report["known_until"]) for report in told] == [("XNSE", "2026-12-31"), ("XNYS", "2027-12-31")]
    assert isinstance(told[0]["days_left"], int)
    assert marketlake("check")[1].startswith("XNSE: known until 2026-12-31, ")


def test_check_tells_every_mistake_in_its_own_line_and_ends_with_one(pipeline, marketlake: Command) -> None:
    written(pipeline).parent.mkdir()
    written(pipeline).write_text(
        '[[holiday]]\nday = 1\n[[session]]\ndate = 2027-01-30\nkind = "odd"\nsource = "x"\n', encoding="utf-8"
    )
    (written(pipeline).parent / "NSE.toml").write_text("", encoding="utf-8")
    code, out, err = marketlake("check")

    assert code == 1
    assert [line.partition(": ")[2] for line in err.splitlines()] == [
        f"{written(pipeline).parent / 'NSE.toml'} is no calendar of a configured exchange; a file is called XNSE.toml, for example",
        f"{written(pipeline)}:1: [[holiday]] lacks date",
        f"{written(pipeline)}:1: [[holiday]] lacks source",
        f"{written(pipeline)}:2: day: no key of [[holiday]]; did you mean date?",
        f"{written(pipeline)}:5: kind: 'odd' is none of regular, half_day, special",
    ]
    assert "XNYS: known until" in out


def test_check_names_entries_that_no_calendar_reaches(pipeline, marketlake: Command) -> None:
    written(pipeline).parent.mkdir()
    written(pipeline).write_text('[[holiday]]\ndate = 2099-01-30\nsource = "x"\n', encoding="utf-8")

    code, _, err = marketlake("check", "--exchange", "XNSE")
    assert (code, err) == (1, f"error: {written(pipeline)}:1: 2099-01-30 lies outside 1997-01-01 to 2031-12-31\n")


def test_check_names_a_known_end_before_the_calendar_begins_whether_it_counts_or_not(pipeline, marketlake: Command) -> None:
    early, late = (f'[[known]]\nuntil = {day}\nsource = "x"\n' for day in ("1990-12-31", "2027-12-31"))
    written(pipeline).parent.mkdir()
    written(pipeline).write_text(early + late, encoding="utf-8")
    code, _, err = marketlake("check", "--exchange", "XNSE")
    assert (code, err) == (1, f"error: {written(pipeline)}:1: 1990-12-31 lies outside 1997-01-01 to 2032-12-31\n")

    written(pipeline).write_text(late + early, encoding="utf-8")
    code, _, err = marketlake("check", "--exchange", "XNSE")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith(f"error: {written(pipeline)}:4: until 1990-12-31: no regular session of XNSE lies between ")


def test_check_names_a_folder_that_it_may_not_list(pipeline, marketlake: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(folder))

    written(pipeline).parent.mkdir()
    monkeypatch.setattr(Path, "iterdir", refuse)

    code, _, err = marketlake("check")
    assert (code, err) == (2, f"error: {written(pipeline).parent}: cannot be read: Permission denied; make it readable\n")


def test_any_other_command_names_a_faulty_file_in_one_line(pipeline, marketlake: Command) -> None:
    written(pipeline).parent.mkdir()
    written(pipeline).write_text("[[holiday]]\ndate = soon\n", encoding="utf-8")

    code, _, err = marketlake("show", "--exchange", "XNSE")
    assert code == 2
    assert err.startswith(f"error: {written(pipeline)}:2: not TOML: ")


@pytest.mark.slow
@pytest.mark.measured
def test_bars_of_a_holiday_are_named_by_add_check_and_doctor(pipeline, marketlake: Command, bars_csv) -> None:
    pipeline.ingest(pipeline.deliver("bars.csv", bars_csv([("INFY", date(2024, 3, 4), 10, 11, 9, 10.5, 100)]), mic="XNSE"))

    code, _, added = marketlake("add", "holiday", "2024-03-04", "--source", "list", "--exchange", "XNSE")
    assert code == 0
    code, _, checked = marketlake("check", "--exchange", "XNSE")
    assert code == 1
    settings = pipeline.settings.model_copy(update={"exchanges": ("XNSE",)})
    found = [finding for finding in examine(settings) if finding.check == "calendar XNSE" and not finding.ok]
    fact = "1 bar of 2024-03-04, which was no session of XNSE (calendars/XNSE.toml:3: list)"
    assert fact in added
    assert fact in checked
    assert [(finding.finding, "marketlake withdraw" in finding.advice) for finding in found] == [(fact, True)]


def test_doctor_warns_before_the_known_end_and_names_what_is_provisional_after_it(pipeline) -> None:
    settings = pipeline.settings.model_copy(update={"exchanges": ("XNSE",)})

    def calendar_finding(now: str):
        from datetime import datetime

        return next(f for f in examine(settings, datetime.fromisoformat(now)) if f.check == "calendar XNSE")

    early, soon, after = (calendar_finding(f"{day}T12:00:00+00:00") for day in ("2026-06-01", "2026-12-01", "2027-01-05"))
    assert (early.ok, early.advice) == (True, "")
    assert soon.ok
    assert soon.advice.startswith("state the exchange's list with `marketlake calendar add`")
    assert after.ok
    assert after.finding == (
        "sessions are known until 2026-12-31; later weekdays are provisional sessions; awaited: 2027-01-04, 2027-01-05; "
        "overdue: 2027-01-01"
    )
