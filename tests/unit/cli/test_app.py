"""The command with wrong input: one clear line, no traceback, exit code 1 (nothing done, bad data) or 2 (wrong usage).

Most tests call `main` in this process, as the program does; one starts the program itself.
"""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from tests.support.command_end import Ended

SOURCES = [
    "actions",
    "candles",
    "csv",
    "lean",
    "nse_bhavcopy",
    "nse_delivery",
    "nse_derivatives",
    "nse_indices",
    "nse_ticks",
    "parquet",
]
GOOD = "symbol,date,open,high,low,close,volume\nAAPL,2024-01-02,10,11,9,10,100\n"

Command = Callable[..., Ended]


@pytest.fixture
def marketlake(home, marketlake: Callable[..., tuple[int, str, str]]) -> Command:
    """The command in this process, on an empty home."""

    def run(*arguments: str) -> Ended:
        return Ended(*marketlake(*arguments))

    return run


@pytest.fixture
def good(home) -> Path:
    path = home.home / "good.csv"
    path.write_text(GOOD)
    return path


# --- sql and releases, before anything is released


@pytest.mark.parametrize("query", ["select 1", "select * from bars_daily"])
def test_a_query_before_the_first_release_says_how_to_make_one(marketlake: Command, query: str) -> None:
    ended = marketlake("sql", query)
    assert ended.code == 1
    assert "marketlake nightly" in ended.complaint
    assert "marketlake demo" in ended.complaint


def test_a_release_that_does_not_exist_is_named(marketlake: Command) -> None:
    ended = marketlake("sql", "select 1", "--release", "r_unknown")
    assert ended.code == 1
    assert "r_unknown" in ended.complaint


def test_a_format_that_does_not_exist_lists_those_that_do(marketlake: Command) -> None:
    ended = marketlake("sql", "select 1", "--format", "xlsx")
    assert (ended.code, ended.complaint) == (2, "unknown format 'xlsx'; choose one of table, csv, json, parquet")


def test_no_release_is_no_error(marketlake: Command) -> None:
    ended = marketlake("releases")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "no release yet; run `marketlake nightly` or `marketlake demo`\n"
    assert json.loads(marketlake("releases", "--json").out) == []


# --- nightly, doctor, ui, sources


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--session", "2024-01-15"), "2024-01-15 (Monday) is no session of XNYS"),
        (("--session", "15/01/2024"), "--session: '15/01/2024' is no date; write it as YYYY-MM-DD"),
        (("--session", "1970-01-02"), "1970-01-02 lies outside the XNYS calendar, which is known from 1990-01-02 to 2027-12-31"),
        (("--from", "2024-01-13", "--to", "2024-01-15"), "no session of XNYS lies between 2024-01-13 and 2024-01-15"),
        (("--from", "2024-01-02"), "--from and --to go together"),
        (("--session", "2024-01-02", "--from", "2024-01-02"), "give either --session or --from and --to, not both"),
        (("--exchange", "xnys"), "unknown exchange 'xnys': not a market identifier code with a calendar"),
    ],
)
def test_a_nightly_run_of_days_that_are_none_does_not_start(
    marketlake: Command, home, arguments: tuple[str, ...], told: str
) -> None:
    ended = marketlake("nightly", *arguments)
    assert ended.code == 2
    assert ended.complaint.startswith(told)
    assert not home.state_dir.exists()


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--full",)], ids=" ".join)
def test_a_nightly_run_in_a_folder_that_is_no_home_makes_none(
    marketlake: Command, home, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO())
    ended = marketlake("nightly", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.complaint.startswith(f"{home.home} is no marketlake home")
    assert "--yes" in ended.complaint
    assert list(home.home.iterdir()) == []


def test_a_checkouts_lake_with_only_its_readme_is_no_home(marketlake: Command, home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO())
    (home.home / "lake").mkdir()
    (home.home / "lake" / "README.md").write_text("The default lake.")
    assert marketlake("nightly").code == 2
    assert not home.state_dir.exists()


def test_at_a_terminal_a_folder_that_is_no_home_is_asked_about(marketlake: Command, home, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    asked = []

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("typer.confirm", confirm)
    ended = marketlake("nightly")
    assert (ended.code, ended.complaint) == (2, "nothing was made or run")
    assert asked == [f"{home.home} is no marketlake home: it has neither lake nor state. Make it one?"]
    assert not home.state_dir.exists()


@pytest.mark.parametrize("arguments", [("doctor",), ("nightly",), ("releases",)], ids=" ".join)
def test_a_configured_exchange_that_is_none_is_one_line(
    marketlake: Command, home, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MARKETLAKE_EXCHANGES", "XNYS,XNSEE")
    ended = marketlake(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.complaint.startswith("MARKETLAKE_EXCHANGES: unknown exchange 'XNSEE'")
    assert "did you mean XNSE?" in ended.complaint


def test_doctor_looks_at_one_exchange_and_answers_a_mistyped_one_in_a_line(
    marketlake: Command, home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLAKE_EXCHANGES", "XNSE,XNYS")
    checks = {f["check"] for f in json.loads(marketlake("doctor", "--exchange", "XNSE", "--json").out)}
    assert "freshness XNSE" in checks
    assert "freshness XNYS" not in checks
    ended = marketlake("doctor", "--exchange", "XNSEE")
    assert (ended.code, ended.out) == (2, "")
    assert ended.complaint.startswith("unknown exchange 'XNSEE'")


def test_doctor_of_an_empty_home_says_what_is_missing_and_ends_with_one(marketlake: Command) -> None:
    ended = marketlake("doctor", "--json")
    findings = {f["check"]: f for f in json.loads(ended.out)}
    assert ended.code == 1
    assert [name for name, f in findings.items() if not f["ok"]] == ["release"]
    assert "marketlake demo" in findings["release"]["advice"]
    assert marketlake("doctor").out.count("!!") == 1


@pytest.mark.parametrize(("severity", "code"), [("warning", 0), ("error", 1)])
def test_doctor_ends_with_one_for_what_needs_action_and_not_for_a_warning(
    marketlake: Command, monkeypatch: pytest.MonkeyPatch, severity: str, code: int
) -> None:
    from pipelines.doctor import Finding

    finding = Finding("calendar XNYS", severity, "sessions are known until 2027-12-31 only, 34 days from now", "do this")  # type: ignore[arg-type]
    monkeypatch.setattr("pipelines.doctor.examine", lambda *_, **__: [Finding("disk", "ok", "enough"), finding])
    ended = marketlake("doctor")
    assert ended.code == code
    assert "34 days from now" in ended.out


def test_a_nightly_run_says_what_is_new_before_its_totals(marketlake: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import date

    from pipelines.reports.news import News

    new = News("r2", "r1", is_new=True, sessions=(date(2024, 1, 2),), signals={"BUY": 3}, withdrawn=0, findings={"price_spike": 1})
    monkeypatch.setattr("pipelines.orchestration.nightly_run.nightly", lambda *_, **__: None)
    summary = {"release_id": None, "signals": 4_711, "checks_failed": [], "new": new}
    monkeypatch.setattr("pipelines.orchestration.nightly_run.nightly_summary", lambda *_: summary)
    lines = marketlake("nightly", "--yes").out.splitlines()
    assert lines[0] == "new in r2 since r1: 1 session (2024-01-02), 3 signals (3 BUY), 1 finding (1 price_spike)"
    assert re.search(r"^signals +4,711", "\n".join(lines[1:]), re.MULTILINE)


def test_a_port_that_is_taken_ends_the_ui_before_anything_is_started(marketlake: Command, home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = marketlake("ui", "--port", str(port))
    assert ended.code == 1
    assert ended.complaint.startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use; name another port with --port")
    assert not home.dagster_home.exists()


def test_sources_are_listed_for_people_and_machines(marketlake: Command) -> None:
    assert [s["name"] for s in json.loads(marketlake("sources", "--json").out)] == SOURCES
    assert {line.split()[0] for line in marketlake("sources").out.splitlines()[1:] if line[0] != " "} == set(SOURCES)


# --- every command


@pytest.mark.parametrize("command", ["demo", "ingest", "sources", "nightly", "sql", "releases", "doctor", "calendar", "ui"])
def test_every_command_explains_itself_with_an_example(marketlake: Command, command: str) -> None:
    ended = marketlake(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"Example: marketlake {command}" in " ".join(ended.out.split())


@pytest.mark.parametrize(
    "arguments",
    [("ingest",), ("ingest", "x.csv"), ("sql",), ("nightlyy",), ("ui", "--port", "0"), ("doctor", "--verbose")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_two_and_says_where_help_is(marketlake: Command, arguments: tuple[str, ...]) -> None:
    ended = marketlake(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "--help" in ended.err
    assert "Traceback" not in ended.err


def test_a_setting_that_cannot_be_read_names_its_variable(marketlake: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETLAKE_WAIT_SECONDS", "soon")
    ended = marketlake("releases")
    assert ended.code == 2
    assert ended.complaint.startswith("settings: MARKETLAKE_WAIT_SECONDS: Input should be a valid number")


def test_the_program_itself_keeps_its_streams_clean(home, good: Path) -> None:
    """The result goes to standard output, complaints to standard error, and nothing else of any library to either."""

    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        starter = "import sys; sys.argv[0] = 'marketlake'; from pipelines.cli.app import main; main()"
        return subprocess.run(
            [sys.executable, "-c", starter, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=120
        )

    listed = program("releases", "--json")
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "[]\n", "")
    wrong = program("ingest", str(good), "--source", "scv")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert re.fullmatch(r"error: unknown source 'scv'[^\n]+\n", wrong.stderr)


def test_a_shell_completes_commands(home) -> None:
    asked = {"_MARKETLAKE_COMPLETE": "complete_bash", "COMP_WORDS": "marketlake with", "COMP_CWORD": "1"}
    starter = "import sys; sys.argv[0] = 'marketlake'; from pipelines.cli.app import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **asked}
    ended = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, env=environment, check=True)
    assert ended.stdout.split() == ["withdraw"]


def test_files_cannot_arrive_in_the_future(marketlake: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("date,open,high,low,close,volume\n2024-01-02,1,2,1,2,5\n")
    ended = marketlake("ingest", str(tmp_path / "a.csv"), "--source", "csv", "--received-at", "2999-01-01T00:00:00Z")
    assert ended.code == 2
    assert "--received-at: 2999-01-01T00:00:00Z lies in the future" in ended.err
