"""A home of two exchanges from nothing: an empty night, bars of New York and Mumbai, their nights, and questions to the catalogue.

Everything through the command, in this process. Mumbai's bars include the special Saturday of 2024-03-02.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.cli.app import main
from pipelines.doctor import examine
from pipelines.market.calendar import calendar

pytestmark = pytest.mark.slow

FIRST, LAST = date(2024, 1, 2), date(2024, 3, 4)
SYMBOLS = {"XNSE": ("INFY", "TCS"), "XNYS": ("AAPL", "IBM")}


@pytest.fixture(scope="module")
def house(module_dagster_pipeline) -> SimpleNamespace:
    """The home's pipeline and the command on it."""

    def command(*arguments: str) -> SimpleNamespace:
        from contextlib import redirect_stderr, redirect_stdout
        from io import StringIO

        out, err = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setenv("MARKETLAKE_EXCHANGES", "XNSE,XNYS")
            patch.setattr(sys, "argv", ["marketlake", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        assert "Traceback" not in out.getvalue() + err.getvalue()
        return SimpleNamespace(code=int(ended.value.code or 0), out=out.getvalue(), err=err.getvalue())

    settings = module_dagster_pipeline.settings.model_copy(update={"exchanges": ("XNSE", "XNYS")})
    return SimpleNamespace(pipeline=module_dagster_pipeline, settings=settings, command=command)


@pytest.fixture(scope="module")
def empty_night(house: SimpleNamespace) -> SimpleNamespace:
    """A nightly run of Mumbai before there is a single bar."""
    return house.command("nightly", "--exchange", "XNSE", "--json")


@pytest.fixture(scope="module")
def built(house: SimpleNamespace, empty_night: SimpleNamespace, bars_csv: Callable[..., str]) -> SimpleNamespace:
    """Both exchanges' bars ingested and built, New York first."""
    nights, reports = {}, {}
    for mic in ("XNYS", "XNSE"):
        days = [s.session_date for s in calendar(mic).between(FIRST, LAST)]
        rows = [(symbol, day, 100 + n, 102 + n, 99 + n, 101 + n, 1000) for symbol in SYMBOLS[mic] for n, day in enumerate(days)]
        path = house.settings.home / f"{mic}.csv"
        path.write_text(bars_csv(rows))
        reports[mic] = house.command("ingest", str(path), "--source", "csv", "--exchange", mic, "--json")
        nights[mic] = house.command("nightly", "--exchange", mic, "--json")
    return SimpleNamespace(nights=nights, reports=reports)


def one(house: SimpleNamespace, query: str, *options: str) -> list[dict[str, object]]:
    ended = house.command("sql", query, "--format", "json", *options)
    assert (ended.code, ended.err) == (0, "")
    rows: list[dict[str, object]] = json.loads(ended.out)
    return rows


def test_a_night_without_bars_fails_and_says_what_to_do(empty_night: SimpleNamespace) -> None:
    assert (empty_night.code, empty_night.out) == (1, "")
    assert "XNSE has no bars, so nothing was built and nothing released" in empty_night.err
    assert "marketlake ingest PATH --source NAME --exchange XNSE" in empty_night.err


def test_both_exchanges_go_in_and_are_released(house: SimpleNamespace, built: SimpleNamespace) -> None:
    for mic in ("XNYS", "XNSE"):
        assert (built.reports[mic].code, built.nights[mic].code) == (0, 0), built.nights[mic].err
        figures = json.loads(built.reports[mic].out)["tables"]["bars_daily"]
        assert figures["accepted"] == figures["read"] == 2 * len(calendar(mic).between(FIRST, LAST))
        night = json.loads(built.nights[mic].out)
        assert night["new_release"] is True
        days = calendar(mic).between(FIRST, LAST)
        assert (night["new"]["sessions"], night["new"]["last_session"]) == (len(days), str(LAST))


def test_the_catalogue_shows_both_and_neither_takes_the_others_rows(house: SimpleNamespace, built: SimpleNamespace) -> None:
    for table in ("bars_daily", "indicators_daily"):
        rows = one(house, f"select exchange, count(*) as n, max(session_date) as last from {table} group by all order by 1")
        assert [(r["exchange"], r["n"]) for r in rows] == [
            (mic, 2 * len(calendar(mic).between(FIRST, LAST))) for mic in ("XNSE", "XNYS")
        ]
        assert {str(r["last"])[:10] for r in rows} == {str(LAST)}


def test_the_special_saturday_has_its_bars_in_mumbai_only(house: SimpleNamespace, built: SimpleNamespace) -> None:
    rows = one(house, "select distinct exchange from bars_daily where session_date = date '2024-03-02'")
    assert rows == [{"exchange": "XNSE"}]


def test_an_average_of_twenty_is_right_in_both(house: SimpleNamespace, built: SimpleNamespace) -> None:
    """Closes rise by one a session, so the average of the last twenty lies 9.5 below the last."""
    rows = one(
        house,
        "select b.exchange, b.close - i.sma_20 as below from bars_daily b join indicators_daily i "
        f"using (exchange, instrument_id, session_date) where session_date = date '{LAST}'",
    )
    assert [r["below"] for r in rows] == pytest.approx([9.5] * 4)


def test_another_night_with_nothing_new_publishes_nothing_new(house: SimpleNamespace, built: SimpleNamespace) -> None:
    before = json.loads(house.command("releases", "--json").out)
    night = house.command("nightly", "--exchange", "XNSE", "--json")
    assert night.code == 0
    assert json.loads(night.out)["new_release"] is False
    assert json.loads(house.command("releases", "--json").out) == before


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("selct 1", r"Parser Error: .*selct"),
        ("select * from bars_dayly", r"bars_dayly does not exist.*Did you mean \"?\w*bars_daily"),
        ("select clse from bars_daily", r"\"clse\" not found"),
        ("select 1; select 2", r"one statement at a time, these are 2"),
        ("", r"the query is empty"),
        ("copy bars_daily to 'stolen.csv'", r"COPY is not a query; the catalogue is read-only"),
        ("explain analyze copy bars_daily to 'stolen.csv'", r"COPY is not a query; the catalogue is read-only"),
        ("create table mine as select 1", r"CREATE is not a query; the catalogue is read-only"),
        ("delete from bars_daily", r"DELETE is not a query; the catalogue is read-only"),
        ("attach 'other.duckdb'", r"ATTACH is not a query; the catalogue is read-only"),
        ("select * from read_csv('/etc/passwd')", r"Permission Error|disabled"),
    ],
)
def test_a_question_that_cannot_be_answered_gets_one_line(
    house: SimpleNamespace, built: SimpleNamespace, query: str, told: str
) -> None:
    ended = house.command("sql", query)
    assert (ended.code, ended.out) == (1, "")
    assert re.fullmatch(r"error: [^\n]+\n", ended.err)
    assert re.search(told, ended.err), ended.err
    assert not (house.settings.home / "stolen.csv").exists()


def test_an_unknown_release_is_named_and_the_known_ones_answer(house: SimpleNamespace, built: SimpleNamespace) -> None:
    ended = house.command("sql", "select 1", "--release", "nonesuch")
    assert ended.code == 1
    assert "nonesuch" in ended.err
    known = [r["release_id"] for r in json.loads(house.command("releases", "--json").out)]
    counts = [one(house, "select count(*) as n from bars_daily", "--release", release)[0]["n"] for release in reversed(known)]
    assert counts == sorted(counts)
    assert counts[-1] == 2 * sum(len(calendar(mic).between(FIRST, LAST)) for mic in SYMBOLS)


def test_doctor_finds_nothing_wrong_while_the_calendars_reach_far_enough(house: SimpleNamespace, built: SimpleNamespace) -> None:
    from datetime import UTC, datetime

    findings = examine(house.settings, datetime(2026, 3, 5, 12, tzinfo=UTC))
    assert [f for f in findings if not f.ok] == []
    fresh = {f.check: f.finding for f in findings}
    assert fresh["freshness XNYS"].startswith(f"released up to {LAST}, ")


def test_doctor_sees_a_catalogue_that_leads_nowhere(house: SimpleNamespace, built: SimpleNamespace) -> None:
    link = house.settings.catalogue_link
    target = link.readlink()
    link.unlink()
    try:
        findings = {f.check: f for f in examine(house.settings)}
        assert not findings["catalogue"].ok
        assert "marketlake sql" in findings["catalogue"].advice
        assert one(house, "select 1 as n") == [{"n": 1}]
        assert link.exists()
    finally:
        link.unlink(missing_ok=True)
        link.symlink_to(target)


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (("sql", "select count(distinct exchange) as n from bars_daily", "--format", "csv"), 0, "n\n2\n", ""),
        (("sql", "selct 1"), 1, "", r"error: Parser Error: [^\n]+\n"),
        (("ingest", "XNYS.csv", "--source", "csv", "--exchange", "XNYS", "--json"), 0, None, ""),
    ],
    ids=["query", "query with an error", "ingest of what is there"],
)
def test_the_program_leaves_both_streams_clean(
    house: SimpleNamespace, built: SimpleNamespace, arguments: tuple[str, ...], code: int, out: str | None, err: str
) -> None:
    """Nothing of a library's own at the end of the process either: bindings that count leaks, progress bars, warnings."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "MARKETLAKE_EXCHANGES": "XNSE,XNYS"}
    starter = "import sys; sys.argv[0] = 'marketlake'; from pipelines.cli.app import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", starter, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=house.settings.home,
        check=False,
        timeout=900,
    )
    assert ended.returncode == code, ended.stderr
    assert re.fullmatch(err, ended.stderr), ended.stderr
    if out is None:
        assert json.loads(ended.stdout)["tables"]["bars_daily"]["accepted"] == 0
    else:
        assert ended.stdout == out
