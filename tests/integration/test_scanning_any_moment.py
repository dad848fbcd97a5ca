"""`marketlake scan` on a released home: history gives the nightly rows, from the release and from raw bars; lists narrow it; a
changed rule leaves no row of the old one.
"""

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.market.calendar import Session, calendar

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUN = "import sys; from pipelines.cli import main; sys.argv[0] = 'marketlake'; main()"
FIRST = date(2024, 1, 2)
RULE = """
scanners:
  strong_close:
    when: close > previous(close) + {least} and relative_volume > 0.5
    side: BUY
  morning_rise:
    when: close > open
    side: BUY
    evaluates: intraday
    moments: ["09:50"]
"""


class Home:
    """A home of two shares: fifty sessions of days, minutes of the last one, and rules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rules = folder / "scanners.yml"
        self._env = {
            **os.environ,
            "MARKETLAKE_HOME": str(folder),
            "MARKETLAKE_EXCHANGES": "XNYS",
            "MARKETLAKE_SCANNERS": self.rules.name,
            "MARKETLAKE_UNIVERSES": "lists",
            "DAGSTER_HOME": str(folder / ".state" / "dagster"),
            "PYTHONPATH": str(ROOT),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", RUN, *arguments]
        return subprocess.run(command, cwd=self.folder, env=self._env, capture_output=True, text=True, check=False)

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def rows(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.ok("sql", query, "--format", "json"))
        return found

    def scan(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ok("scan", "--json", *arguments))
        return found


def _sessions() -> list[Session]:
    return calendar("XNYS").between(FIRST, FIRST + timedelta(days=100))[:50]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Fifty days of AAA and BBB; AAA rises by 2 every tenth session, BBB in the last one; minutes of the last session."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.rules.write_text(RULE.format(least=1))
    (home.folder / "lists").mkdir()
    (home.folder / "lists" / "held.csv").write_text("BBB\n")
    lines = ["symbol,date,open,high,low,close,volume"]
    close = {"AAA": 50.0, "BBB": 80.0}
    for number, session in enumerate(_sessions()):
        for symbol, at in close.items():
            jumps = number % 10 == 9 if symbol == "AAA" else number == 49
            close[symbol] = at + (2.0 if jumps else 0.25 if number % 2 else -0.25)
            now = close[symbol]
            lines.append(f"{symbol},{session.session_date},{at},{max(at, now) + 0.5},{min(at, now) - 0.5},{now},{1000 + number}")
    (home.folder / "days.csv").write_text("\n".join(lines) + "\n")
    home.ok("ingest", "days.csv", "--source", "csv")
    minutes = ["symbol,timestamp,open,high,low,close,volume"]
    opens = _sessions()[-1].opens_at
    for minute in range(60):
        ts = (opens + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%S+00:00")
        for symbol, start, step in (("AAA", 60.0, 0.05), ("BBB", 80.0, -0.05)):
            price = start + minute * step
            minutes.append(f"{symbol},{ts},{price:.2f},{price + 0.02:.2f},{price - 0.02:.2f},{price:.2f},10")
    (home.folder / "minutes.csv").write_text("\n".join(minutes) + "\n")
    home.ok("ingest", "minutes.csv", "--source", "csv")
    home.ok("nightly")
    return home


def _key(rows: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(row["signal_id"], row["symbol"], row["scanner_name"]) for row in rows}


def test_a_scan_of_history_issues_the_nightly_ids_and_raw_bars_give_the_same(home: Home) -> None:
    closes = [session.session_date for session in _sessions()]
    for day in (closes[39], closes[49]):
        night = home.rows(f"select * from scanner_signals where session_date = '{day}' and scanner_name <> 'morning_rise'")
        assert any(row["scanner_name"] == "strong_close" for row in night)
        names = [argument for name in sorted({"strong_close", "breakout_20d"}) for argument in ("--scanner", name)]
        wanted = _key([row for row in night if row["scanner_name"] in ("strong_close", "breakout_20d")])
        for more in ([], ["--raw"]):
            (found,) = home.scan("--at", str(day), *names, *more)["scans"]
            assert _key(found["signals"]) == wanted


def test_as_of_a_minute_the_intraday_rule_is_on_record_and_closed_ones_speak_of_yesterday(home: Home) -> None:
    last = _sessions()[-1].session_date
    (found,) = home.scan("--at", f"{last} 09:50", "--scanner", "morning_rise", "--scanner", "strong_close")["scans"]

    runs = {run["scanner_name"]: run for run in found["runs"]}
    assert runs["strong_close"]["session_date"] == str(_sessions()[-2].session_date)
    # No session before has minutes, so that none is expected: the one that is judged makes the universe.
    assert runs["morning_rise"]["instruments_scanned"] == 2
    nightly = home.rows("select * from scanner_signals where scanner_name = 'morning_rise'")
    assert _key([s for s in found["signals"] if s["scanner_name"] == "morning_rise"]) == _key(nightly)
    assert [row["symbol"] for row in nightly] == ["AAA"]


def test_parameters_and_lists_change_what_is_found_and_nothing_is_written(home: Home) -> None:
    last = str(_sessions()[-1].session_date)
    scan = ("--at", last, "--scanner", "strong_close")
    before = home.rows("select count(*) as n from scanner_runs")

    (usual,) = home.scan(*scan)["scans"]
    assert {s["symbol"] for s in usual["signals"]} == {"AAA", "BBB"}
    (held,) = home.scan(*scan, "--universe", "held")["scans"]
    assert [s["symbol"] for s in held["signals"]] == ["BBB"]
    assert (held["runs"][0]["universe_size"], held["runs"][0]["status"]) == (1, "complete")
    (home.folder / "watch.txt").write_text("AAA\nZZZ\n")
    (watched,) = home.scan(*scan, "--watchlist", "watch.txt")["scans"]
    assert [s["symbol"] for s in watched["signals"]] == ["AAA"]
    (far,) = home.scan(*scan, "--param", "strong_close.stop_atr=5")["scans"]
    assert {s["symbol"] for s in far["signals"]} == {"AAA", "BBB"}
    assert not _key(far["signals"]) & _key(usual["signals"])
    wrong = home.run("scan", *scan, "--param", "strong_close.stop_atr=500")
    assert (wrong.returncode, wrong.stderr.splitlines()[-1]) == (
        2,
        "error: strong_close: stop_atr = 500 lies outside 0.0 … 100.0",
    )
    unknown = home.run("scan", "--scanner", "strong_clos")
    assert unknown.returncode == 2
    assert "did you mean strong_close?" in unknown.stderr
    assert home.rows("select count(*) as n from scanner_runs") == before


def test_what_is_asked_to_be_kept_is_kept_once(home: Home) -> None:
    last = str(_sessions()[-1].session_date)
    keys = {home.scan("--at", last, "--scanner", "strong_close", "--record")["recorded"] for _ in range(2)}
    assert len(keys) == 1

    from pipelines.market.tables import TABLES
    from pipelines.storage.delta import LakeTable
    from pipelines.storage.location import Lake

    lake = Lake(str(home.folder / "lake"))
    kept = LakeTable(lake.table_uri("XNYS", "signals_live"), TABLES["signals_live"]).read()
    runs = LakeTable(lake.table_uri("XNYS", "scanner_runs"), TABLES["scanner_runs"]).read().filter(mode="history")
    assert sorted(kept["symbol"]) == ["AAA", "BBB"]
    assert kept["mode"].to_list() == ["history", "history"]
    assert runs["scanner_name"].to_list() == ["strong_close"]


def test_a_day_has_two_phases_a_shortlist_before_the_open_and_a_scan_at_the_cut_off(home: Home) -> None:
    last, before = _sessions()[-1].session_date, _sessions()[-2].session_date
    early = home.scan("--at", f"{last} 09:00", "--shortlist", "--save", "short.csv")
    assert (early["shortlist_of"], early["scans"]) == (str(before), [])

    after_close = home.scan("--at", f"{last} 20:00", "--shortlist", "--top", "1")
    assert after_close["shortlist_of"] == str(last)
    (first,) = after_close["shortlist"]
    assert (first["rank"], first["side"]) == (1, "BUY")
    assert "strong_close" in first["scanners"]

    at_cut_off = home.scan("--at", f"{last} 09:50", "--shortlist", "--scanner", "morning_rise")
    assert [found["universe"] for found in at_cut_off["scans"]] == ["watchlist", "each scanner's own"]
    assert (home.folder / "short.csv").read_text().startswith("rank,instrument_id,symbol,side")


def test_a_day_that_is_not_in_the_release_is_told(home: Home) -> None:
    done = home.run("scan")
    assert done.returncode == 1
    assert "nothing is known of XNYS on" in done.stderr
    assert f"ends with {_sessions()[-1].session_date}" in done.stderr
    early = home.run("scan", "--at", "1900-01-01")
    assert early.returncode == 2
    assert "Traceback" not in early.stderr
    missing = home.run("scan", "--at", "2025-06-02 09:00", "--shortlist")
    assert missing.returncode == 1
    assert "the signals of 2025-05-30 are not released" in missing.stderr


def test_a_changed_rule_rebuilds_and_no_row_of_the_old_one_stays(home: Home) -> None:
    before = home.rows(
        "select count(*) as n, count(distinct scanner_version) as v from scanner_signals where scanner_name = 'strong_close'"
    )
    others = home.rows("select * from scanner_signals where scanner_name <> 'strong_close' order by signal_id")
    home.rules.write_text(RULE.format(least=1.9))
    home.ok("nightly")

    after = home.rows(
        "select count(*) as n, count(distinct scanner_version) as v from scanner_signals where scanner_name = 'strong_close'"
    )
    assert after == before
    assert home.rows("select * from scanner_signals where scanner_name <> 'strong_close' order by signal_id") == others
    old = home.rows(
        "select count(distinct scanner_version) as v from scanner_signals_superseded where scanner_name = 'strong_close'"
    )
    assert old == [{"v": 1}]
