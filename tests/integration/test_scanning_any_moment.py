"""`marketlake scan` on a released home: history gives the nightly rows, from the release and from raw bars; lists narrow it; a
changed rule leaves no row of the old one.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import main
from pipelines.market.calendar import calendar
from pipelines.market.session import Session
from pipelines.scanners.extensions.plugins import load_plugins

pytestmark = [pytest.mark.slow, pytest.mark.measured]

ROOT = Path(__file__).parents[2]
RUN = "import sys; from pipelines.cli.app import main; sys.argv[0] = 'marketlake'; main()"
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


GUIDE = (ROOT / "docs" / "how-to-add-a-scanner.md").read_text(encoding="utf-8")
#: Checks of the guide's scanner in Dagster, after a nightly run: name and whether it passed.
CHECKS = """
import json
import dagster as dg
from pipelines.definitions import build_definitions
from pipelines.orchestration.instance import open_instance
from pipelines.settings import Settings

settings = Settings()
key = dg.AssetKey(["XNYS", "scanners", "acme_strong_day"])
graph = build_definitions(settings).resolve_asset_graph()
keys = sorted(check.name for check in graph.asset_check_keys if check.asset_key == key)
with open_instance(settings) as instance:
    records = {name: instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, name), 1) for name in keys}
print(json.dumps({name: found[0].status.value for name, found in records.items()}))
"""


def _install_the_guides_package(site: Path) -> None:
    """What pip would leave of it, with its scanner in Python alone."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    site.mkdir()
    (site / "acme_scanners.py").write_text(code.replace('[Path(__file__).parent / "models", STRONG_DAY]', "STRONG_DAY"))
    about = site / "acme_scanners-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-scanners\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[marketlake.scanners]\nacme = acme_scanners:scanners\n")


#: Signals of the other scanners; a catalogue's rows bear the release besides.
_OTHERS = "select * exclude (release_id) from scanner_signals where scanner_name <> 'strong_close' order by signal_id"


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
            "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]),
        }

    def run(self, *arguments: str, code: str = RUN) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, cwd=self.folder, env=self._env, capture_output=True, text=True, check=False)

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def here(self, *arguments: str) -> tuple[int, str, str]:
        """A command that reads, in this process: exit code, standard output and error."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            for name, value in self._env.items():
                patch.setenv(name, value)
            patch.syspath_prepend(str(self.folder / "site"))
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["marketlake", *arguments])
            load_plugins.cache_clear()
            with pytest.raises(SystemExit) as ended:
                main()
        load_plugins.cache_clear()
        return int(ended.value.code or 0), out.getvalue(), err.getvalue()

    def rows(self, query: str) -> list[dict[str, Any]]:
        code, out, err = self.here("sql", query, "--format", "json")
        assert code == 0, err
        found: list[dict[str, Any]] = json.loads(out)
        return found

    def scan(self, *arguments: str) -> dict[str, Any]:
        code, out, err = self.here("scan", "--json", *arguments)
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    def refused(self, *arguments: str) -> tuple[int, str]:
        """Exit code and the one line of a scan that cannot be done."""
        code, out, err = self.here("scan", *arguments)
        lines = [line for line in err.splitlines() if not line.startswith("scanning")]
        assert (out, len(lines)) == ("", 1)
        return code, lines[0].removeprefix("error: ")


def _sessions() -> list[Session]:
    return calendar("XNYS").between(FIRST, FIRST + timedelta(days=100))[:50]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Fifty days of AAA and BBB; AAA rises by 2 every tenth session, BBB in the last one; minutes of the last session."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.rules.write_text(RULE.format(least=1))
    _install_the_guides_package(home.folder / "site")
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
    minutes = ["symbol,timestamp,open,high,low,close,volume"]
    opens = _sessions()[-1].opens_at
    for minute in range(60):
        ts = (opens + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%S+00:00")
        for symbol, start, step in (("AAA", 60.0, 0.05), ("BBB", 80.0, -0.05)):
            price = start + minute * step
            minutes.append(f"{symbol},{ts},{price:.2f},{price + 0.02:.2f},{price - 0.02:.2f},{price:.2f},10")
    (home.folder / "minutes.csv").write_text("\n".join(minutes) + "\n")
    home.ok("ingest", "days.csv", "minutes.csv", "--source", "csv")
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


def test_a_scanner_of_a_package_has_rows_and_checks_like_a_built_in_one(home: Home) -> None:
    runs = home.rows(
        "select count(*) as n, cast(sum(signals) as bigint) as signals from scanner_runs where scanner_name = 'acme_strong_day'"
    )
    assert runs[0]["n"] == 50
    assert runs[0]["signals"] > 0
    last = str(_sessions()[-1].session_date)
    (found,) = home.scan("--at", last, "--scanner", "acme_strong_day")["scans"]
    night = home.rows(f"select * from scanner_signals where scanner_name = 'acme_strong_day' and session_date = '{last}'")
    assert _key(found["signals"]) == _key(night)

    checks = home.run(code=CHECKS)
    assert checks.returncode == 0, checks.stderr[-2000:]
    assert json.loads(checks.stdout.splitlines()[-1]) == dict.fromkeys(("coverage", "look_ahead", "parity"), "SUCCEEDED")


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
    (home.folder / "watch.txt").write_text("AAA\n")
    (watched,) = home.scan(*scan, "--watchlist", "watch.txt")["scans"]
    assert [s["symbol"] for s in watched["signals"]] == ["AAA"]
    (home.folder / "watch.txt").write_text("AAA\n# sold\nZZZ\n")
    code, refusal = home.refused(*scan, "--watchlist", "watch.txt")
    assert (code, refusal.startswith("watch.txt:3: no instrument of XNYS has or ever had the name 'ZZZ'")) == (2, True)
    (far,) = home.scan(*scan, "--param", "strong_close.stop_atr=5")["scans"]
    assert {s["symbol"] for s in far["signals"]} == {"AAA", "BBB"}
    assert not _key(far["signals"]) & _key(usual["signals"])
    assert home.refused(*scan, "--param", "strong_close.stop_atr=500") == (
        2,
        "strong_close: stop_atr = 500 lies outside 0.0 … 100.0",
    )
    code, told = home.refused("--scanner", "strong_clos")
    assert code == 2
    assert "did you mean strong_close?" in told
    assert home.rows("select count(*) as n from scanner_runs") == before


def test_the_best_signals_come_first_and_what_was_left_out_has_its_reason(home: Home) -> None:
    last = str(_sessions()[-1].session_date)
    (whole,) = home.scan("--at", last)["scans"]
    scores = [s["confidence_score"] for s in whole["signals"]]
    assert scores == sorted(scores, reverse=True)
    assert whole["signals_total"] == len(scores) > 1
    (best,) = home.scan("--at", last, "--top", "1")["scans"]
    assert (best["signals"], best["signals_total"]) == (whole["signals"][:1], len(scores))

    left = {(row["scanner_name"], row["symbol"]): row["reason"] for row in whole["left_out"]}
    assert left["breakout_52w", "AAA"].startswith(
        "203 of the 252 regular sessions before have no bar; the first bar is of 2024-01-02"
    )
    runs = {run["scanner_name"]: run for run in whole["runs"]}
    assert runs["breakout_52w"]["withheld_because"] == ("0 of 2 instruments could be judged (0 %); below 50 % no signal is issued")
    assert runs["strong_close"]["withheld_because"] == ""
    code, shown, _ = home.here("scan", "--at", last, "--scanner", "breakout_52w")
    assert code == 0
    assert "not judged or not issued because" in shown


def test_a_break_of_the_opening_range_shows_while_it_holds(home: Home) -> None:
    last = _sessions()[-1].session_date
    names = ("--scanner", "opening_range_15", "--scanner", "opening_range_30")
    night = {row["signal_id"]: row for row in home.rows("select * from scanner_signals where scanner_name like 'opening_range_%'")}

    content = home.scan("--at", f"{last} 10:20", *names)
    (found,) = content["scans"]
    # AAA climbs and BBB falls from the first minute on; both left their ranges long before 10:20, and have not come back.
    assert {(s["scanner_name"], s["symbol"], s["signal_type"]) for s in found["signals"]} == {
        (name, symbol, side)
        for name in ("opening_range_15", "opening_range_30")
        for symbol, side in (("AAA", "BUY"), ("BBB", "SELL"))
    }
    assert {s["signal_id"] for s in found["signals"]} == set(night)
    assert [run["signals_of_earlier_minutes"] for run in found["runs"]] == [2, 2]
    assert content["needed"] == []


def test_a_moment_beyond_the_known_minutes_says_which_are_needed(home: Home) -> None:
    last = _sessions()[-1].session_date
    content = home.scan("--at", f"{last} 12:00", "--scanner", "opening_range_15")

    assert content["needed"] == [f"one-minute bars of {last} from 10:30 to 12:00"]
    assert content["note"].startswith(f"needed are one-minute bars of {last} from 10:30 to 12:00: ingest files that hold them")


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
    (best,) = home.rows(
        f"select * from confluence where session_date = '{last}' and agreeing > disagreeing "
        "and as_of_ts = (select max(as_of_ts) from confluence) order by combined_score desc, symbol limit 1"
    )
    assert first["score"] == best["combined_score"]
    assert (first["rank"], first["side"]) == (1, "BUY")
    assert "strong_close" in first["scanners"]

    at_cut_off = home.scan("--at", f"{last} 09:50", "--shortlist", "--scanner", "morning_rise")
    assert [found["universe"] for found in at_cut_off["scans"]] == ["shortlist", "each scanner's own"]
    assert (home.folder / "short.csv").read_text().startswith("rank,instrument_id,symbol,side")


def test_a_day_that_is_not_in_the_release_is_told(home: Home) -> None:
    code, told = home.refused()
    assert code == 1
    assert told.startswith("nothing is known of XNYS on")
    assert f"ends with {_sessions()[-1].session_date}" in told
    assert "needed are daily bars of" in told
    code, told = home.refused("--at", "2025-06-02 11:00")
    assert (code, "needed are daily bars of 2025-05-30 and one-minute bars of 2025-06-02 from 09:30 to 11:00: " in told) == (
        1,
        True,
    )
    code, told = home.refused("--at", "2020-06-02")
    assert (code, f"begins with {FIRST}; needed are daily bars of 2020-06-02: " in told) == (1, True)
    assert home.refused("--at", "1900-01-01")[0] == 2
    code, told = home.refused("--at", "2025-06-02 09:00", "--shortlist")
    assert code == 1
    assert told.startswith("the signals of 2025-05-30 are not released")


def test_a_changed_rule_rebuilds_and_no_row_of_the_old_one_stays(home: Home) -> None:
    before = home.rows(
        "select count(*) as n, count(distinct scanner_version) as v from scanner_signals where scanner_name = 'strong_close'"
    )
    others = home.rows(_OTHERS)
    home.rules.write_text(RULE.format(least=1.9))
    home.ok("nightly")

    after = home.rows(
        "select count(*) as n, count(distinct scanner_version) as v from scanner_signals where scanner_name = 'strong_close'"
    )
    assert after == before
    assert home.rows(_OTHERS) == others
    old = home.rows(
        "select count(distinct scanner_version) as v from scanner_signals_superseded where scanner_name = 'strong_close'"
    )
    assert old == [{"v": 1}]
