"""`marketlake ingest` as typed: what it says of wrong input in one line, of what went in and of what stayed out."""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command_end import Ended

#: What takes long to import.
_HEAVY = {"dagster", "great_expectations", "polars", "pandas", "deltalake", "duckdb", "exchange_calendars", "numba", "pandera"}
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


def test_a_file_that_does_not_exist_is_named(marketlake: Command) -> None:
    ended = marketlake("ingest", "nowhere/bars.csv", "--source", "csv")
    assert (ended.code, ended.complaint) == (2, "nowhere/bars.csv does not exist")


def test_a_folder_without_files_for_the_source_is_named(marketlake: Command, home) -> None:
    (home.home / "empty").mkdir()
    ended = marketlake("ingest", "empty", "--source", "csv")
    assert (ended.code, ended.complaint) == (2, "empty holds no file that source csv reads; name the files or another source")


def test_a_mistyped_source_gets_the_right_one_suggested(marketlake: Command, good: Path) -> None:
    ended = marketlake("ingest", str(good), "--source", "laen")
    assert ended.code == 2
    assert "unknown source 'laen'" in ended.complaint
    assert "did you mean lean?" in ended.complaint
    assert "csv, lean" in ended.complaint


@pytest.mark.parametrize(
    ("mic", "told"),
    [
        ("XNYX", "unknown exchange 'XNYX': not a market identifier code with a calendar; did you mean XNYS?"),
        ("XLON", "XLON is not configured: add it to MARKETLAKE_EXCHANGES (now XNYS)"),
    ],
)
def test_an_exchange_that_is_unknown_or_not_configured_is_told_apart(marketlake: Command, good: Path, mic: str, told: str) -> None:
    ended = marketlake("ingest", str(good), "--source", "csv", "--exchange", mic)
    assert (ended.code, ended.complaint) == (2, told)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--session", "2024-13-01", "--session: '2024-13-01' is no date; write it as YYYY-MM-DD"),
        ("--session", "02.01.2024", "--session: '02.01.2024' is no date; write it as YYYY-MM-DD"),
        (
            "--received-at",
            "2024-01-31 18:30",
            "--received-at: '2024-01-31 18:30' has no offset; write it as 2024-01-31T18:30:00+05:30",
        ),
        ("--received-at", "soon", "--received-at: 'soon' is no moment; write it as 2024-01-31T18:30:00+05:30"),
        (
            "--timezone",
            "Mars/Olympus",
            "time zone 'Mars/Olympus' is not known; use an IANA name such as Asia/Kolkata or America/New_York",
        ),
        ("--option", "dmy", "--option: 'dmy' is not name=value"),
    ],
)
def test_an_option_that_cannot_be_read_says_how_to_write_it(
    marketlake: Command, good: Path, option: str, value: str, told: str
) -> None:
    ended = marketlake("ingest", str(good), "--source", "csv", option, value)
    assert (ended.code, ended.complaint) == (2, told)


@pytest.mark.slow
def test_files_that_cannot_be_used_are_refused_one_by_one_and_the_good_one_goes_in(
    marketlake: Command, dagster_pipeline, good: Path
) -> None:
    """Eight damaged files and a good one in one command: each refusal names file and fault, and the good bar is in the lake."""
    folder = dagster_pipeline.settings.home / "in"
    folder.mkdir()
    header = GOOD.splitlines()[0]
    damaged = {
        "empty.csv": ("", r"empty|no rows|nothing"),
        "header.csv": (header + "\n", r"no (data )?row|only a header|header"),
        "cut.csv": (GOOD + "MSFT,2024-01-02,10,11,9", r"row 3: .*middle of the row"),
        "ambiguous.csv": (header + "\nAAPL,03/04/2024,10,11,9,10,1\n", r"date_order"),
        "letter.csv": ("Dear Sir,\nplease find attached\n", r"header|column"),
        "baddate.csv": (header + "\nAAPL,yesterday,10,11,9,10,1\n", r"'yesterday'"),
    }
    for name, (text, _) in damaged.items():
        (folder / name).write_text(text)
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 this is no archive")
    with zipfile.ZipFile(folder / "whole.zip", "w") as archive:
        archive.writestr("inside.csv", GOOD)
    whole = (folder / "whole.zip").read_bytes()
    (folder / "whole.zip").unlink()
    (folder / "half.zip").write_bytes(whole[: len(whole) // 2])

    ended = marketlake("ingest", str(good), str(folder), "--source", "csv", "--json")

    assert "Traceback" not in ended.out + ended.err
    report = json.loads(ended.out)
    found = {Path(f["path"]).name: f for f in report["files"]}
    assert {name: f["status"] for name, f in found.items()} == {
        **dict.fromkeys([*damaged, "broken.zip", "half.zip"], "refused"),
        "good.csv": "accepted",
    }
    for name, (_, told) in damaged.items():
        assert name in found[name]["reason"]
        assert re.search(told, found[name]["reason"]), found[name]["reason"]
    for name in ("broken.zip", "half.zip"):
        assert re.search(r"zip|archive", found[name]["reason"].replace(name, "")), found[name]["reason"]
    assert all("\n" not in f.get("reason", "") for f in found.values())
    assert ended.code == report["exit_code"] == 1
    assert dagster_pipeline.rows("bars_daily")["symbol"].to_list() == ["AAPL"]

    # The same for people: a line a file on standard output.
    again = marketlake("ingest", str(folder / "cut.csv"), "--source", "csv")
    assert again.code == 1
    assert re.search(r"^refused: \S*cut\.csv, row 3: .+$", again.out, re.MULTILINE)
    assert "Traceback" not in again.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere.csv", "--source", "csv"), "nowhere.csv does not exist"),
        (("{good}", "--source", "scv"), "unknown source 'scv'"),
        (("{good}", "--source", "csv", "--exchange", "XNYX"), "unknown exchange 'XNYX'"),
        (("{good}", "--source", "csv", "--exchange", "XLON"), "XLON is not configured"),
        (("{good}", "--source", "csv", "--option", "intervall=1d"), "did you mean interval?"),
        (("{good}", "--source", "csv", "--option", "interval=1h"), "must be one of 1d, 1m"),
        (("{good}", "--source", "csv", "--session", "2024-13-01"), "is no date"),
        (("{good}", "--source", "csv", "--timezone", "Mars/Olympus"), "time zone 'Mars/Olympus' is not known"),
        (("{good}", "--source", "csv", "--received-at", "soon"), "is no moment"),
    ],
)
def test_a_wrong_option_of_ingest_is_found_before_anything_heavy_is_imported(
    good: Path, arguments: tuple[str, ...], told: str
) -> None:
    script = (
        "import sys\nfrom pipelines.cli.app import main\nsys.argv[0] = 'marketlake'\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    print(ended.code)\n"
        f"print(sorted({sorted(_HEAVY)!r} & sys.modules.keys()))"
    )
    given = [argument.format(good=good) for argument in arguments]
    ended = subprocess.run([sys.executable, "-c", script, "ingest", *given], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["2", "[]"]
    assert told in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.measured
def test_a_dry_run_of_the_command_leaves_the_home_as_it_was(marketlake: Command, home, good: Path) -> None:
    before = sorted(home.home.rglob("*"))
    tried = marketlake("ingest", str(good), "--source", "csv", "--dry-run")
    assert tried.code == 0
    assert "dry run: nothing was written" in tried.out
    assert sorted(home.home.rglob("*")) == before


@pytest.mark.slow
def test_ingest_tells_what_became_of_every_row_and_what_to_do_next(marketlake: Command, dagster_pipeline, good: Path) -> None:
    """Half of the second file is broken: what is right is in the lake, the code is 1, and each rule has its count."""
    bad = good.with_name("bad.csv")
    bad.write_text(GOOD.replace("AAPL", "IBM") + "IBM,2024-01-03,10,9,11,10,5\n")

    fine = marketlake("ingest", str(good), "--source", "csv")
    assert fine.code == 0
    assert re.search(r"^publish what is new:  marketlake nightly --exchange XNYS$", fine.out, re.MULTILINE)
    shown = [line.split()[0] for line in fine.out.splitlines() if re.search(r" 0 .* 0$", line)]
    assert shown, fine.out
    assert "bars_1m" not in fine.out, "a table without rows is no news"

    tried = marketlake("ingest", str(bad), "--source", "csv", "--dry-run")
    done = marketlake("ingest", str(bad), "--source", "csv")
    assert tried.code == done.code == 1
    assert "dry run: nothing was written" in tried.out
    for ended in (tried, done):
        assert re.search(
            r"bad\.csv: 1 of 2 rows are in quarantine \(50\.0%\), more than MARKETLAKE_MAX_QUARANTINED_SHARE", ended.out
        )
        assert re.search(r"^bars_daily +high_below_low +1 +1 +[0-9a-f]{12} 3 *$", ended.out, re.MULTILINE)
    assert re.search(r"^why a row stayed out:  marketlake quarantine show [0-9a-f]{12} 3 --exchange XNYS$", done.out, re.MULTILINE)
    assert sorted(dagster_pipeline.rows("bars_daily")["symbol"]) == ["AAPL", "IBM"]

    again = marketlake("ingest", str(good), "--source", "csv")
    assert again.code == 0
    assert "nothing is new: the lake holds all of it already" in again.out


def test_what_stayed_out_and_what_the_gate_only_noticed_is_said_with_the_next_command(
    marketlake: Command, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session of two is in quarantine; the report is made up, so that no run is needed."""
    import polars as pl

    from pipelines.ingest.accounting import Account
    from pipelines.orchestration.ingest_run import IngestReport

    counts = {"accepted": 390, "unchanged": 0, "restated": 0, "duplicates": 0}
    of = {"table": "bars_1m", "session": "2024-01-03", "path": "good.csv", "rows": 390}
    account = Account(
        rules=[
            {"table": "bars_1m", "rule": "out_of_line", "rows": 390, "sessions": 1, "batch_id": "0123456789ab", "row_number": 7}
        ],
        sessions=[{**of, "rules": ["out_of_line"]}],
        warnings=[{"table": "bars_1m", "expectation": "range_is_usual", "rows": 2, "sample": "session=2024-01-02"}],
    )
    traded = {"read": 780, **counts, "quarantined": 390}
    tables = {"bars_1m": traded, "bars_daily": dict.fromkeys(traded, 0)}
    files = [{"path": "good.csv", "status": "accepted", "rows": 780, "reason": None}]
    report = IngestReport(files, tables, {}, "run", pl.DataFrame(), account, 1.0)
    monkeypatch.setattr("pipelines.orchestration.ingest_run.ingest", lambda settings, request: report)
    ended = marketlake("ingest", str(good), "--source", "csv")

    assert ended.code == 1
    assert "out: good.csv: all 390 rows of 2024-01-03 in bars_1m: out_of_line" in ended.out
    assert "noticed: bars_1m: range_is_usual: 2 cases, such as session=2024-01-02" in ended.out
    assert re.search(r"^bars_1m +out_of_line +390 +1 +0123456789ab 7 *$", ended.out, re.MULTILINE)
    assert "why a row stayed out:  marketlake quarantine show 0123456789ab 7 --exchange XNYS" in ended.out
    assert "publish what is new:  marketlake nightly --exchange XNYS" in ended.out
    assert "bars_daily" not in ended.out
