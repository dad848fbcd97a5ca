"""Live batches under the real Dagster daemon: each is scanned once, however it got there, and as the nightly run would."""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pipelines.cli.dagster_process import command, environment
from pipelines.live.inbox import run_key
from pipelines.live.scan import scan_batch
from pipelines.market.calendar import calendar
from pipelines.market.tables import TABLES
from pipelines.orchestration.instance import open_instance
from pipelines.orchestration.jobs import live_scan_job_name
from pipelines.scanners.engine.runner import ScanEngine, ScanInputs
from pipelines.scanners.project import HomeProject
from pipelines.scanners.registry import load_scanners
from pipelines.sources.limits import Limits
from pipelines.storage.fingerprint import fingerprint

pytestmark = pytest.mark.slow

#: The end of the first batch: noon in New York.
NOON = datetime(2014, 6, 5, 16, tzinfo=UTC)
#: What a live signal says, without how it came about.
SAID = ["signal_id", "symbol", "session_date", "ts", "signal_type", "entry_price", "target_price", "stop_loss", "confidence_score"]


#: How long a file must be unchanged before the daemon takes it.
SETTLE_SECONDS = 6
#: The slow writer's pauses, much shorter than that, and its lines, which take longer than that in all.
PAUSE_SECONDS, SLOW_LINES = 0.5, 24


class Feed:
    """A home with its inbox, and the daemon that watches it."""

    def __init__(self, home: Any, market: Any) -> None:
        self.home, self.market = home, market
        self.inbox = home.settings.inbox_dir / home.mic
        self.inbox.mkdir(parents=True)
        self.log = home.folder / "daemon.log"
        self.daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # The databases are made here, not by the daemon and a test at the same moment.
        with open_instance(self.home.settings):
            pass
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                command("dagster-daemon", "run"),
                cwd=self.home.folder,
                env={
                    **environment(self.home.settings),
                    **self.home.environment(
                        DAGSTER_HOME=str(self.home.settings.dagster_home), MARKETLAKE_INBOX_SETTLE_SECONDS=str(SETTLE_SECONDS)
                    ),
                },
                stdout=log,
                stderr=log,
                # A group of its own: the servers that it starts end with it.
                start_new_session=True,
            )

    def stop(self) -> None:
        if self.daemon is None:
            return
        group = self.daemon.pid
        self.daemon.terminate()
        try:
            self.daemon.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.market.kill(self.daemon)
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self.daemon = None

    def drop(self, name: str, lines: list[str]) -> Path:
        """A batch as a feed drops it: written under a hidden name, renamed when complete."""
        hidden = self.market.write(self.inbox / f".{name}", lines)
        return hidden.rename(self.inbox / name)

    def runs(self) -> list[tuple[str, str]]:
        """(batch, status) of every live run, oldest first."""
        with open_instance(self.home.settings) as instance:
            found = instance.get_run_records(dg.RunsFilter(job_name=live_scan_job_name(self.home.mic)), ascending=True)
        return [(r.dagster_run.tags["marketlake/batch"], r.dagster_run.status.value) for r in found]

    def wait_for(self, *expected: tuple[str, str], apart_from: frozenset[str] = frozenset()) -> None:
        """Wait until these are the runs, those of the batches `apart_from` left out; another one that ended fails it at once."""

        def told() -> str:
            return f"{sorted(expected)}; found {self.runs()}; {self.tail()}"

        def are_all() -> bool:
            runs = Counter(run for run in self.runs() if run[0] not in apart_from)
            others = [run for run in runs - Counter(expected) if run[1] in ("SUCCESS", "FAILURE", "CANCELED")]
            assert not others, f"{others} beside {told()}"
            return runs == Counter(expected)

        self.market.wait_until(are_all, told, seconds=900)

    def ticks(self) -> int:
        """How often the sensor has looked into the inbox."""
        with open_instance(self.home.settings) as instance:
            state = next((s for s in instance.all_instigator_state() if s.name.endswith("_live_inbox")), None)
            return 0 if state is None else len(instance.get_ticks(state.instigator_origin_id, state.selector_id))

    def wait_for_ticks(self, more: int) -> None:
        before = self.ticks()
        self.market.wait_until(lambda: self.ticks() >= before + more, f"{more} more ticks of the sensor", seconds=600)

    def failure(self, batch: str) -> str:
        """Why the run of a batch failed, as the UI shows it."""
        with open_instance(self.home.settings) as instance:
            (record,) = instance.get_run_records(
                dg.RunsFilter(tags={"marketlake/batch": batch}, statuses=[dg.DagsterRunStatus.FAILURE])
            )
            events = instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
            error = events[0].dagster_event.step_failure_data.error
            while error.cause:
                error = error.cause
            return str(error.message)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-800:] if self.log.exists() else ""


@pytest.fixture(scope="module")
def batches(tape: Any, market: Any) -> tuple[list[str], list[str]]:
    """AAPL's minutes of a session until noon and after it, raised from 11:00 on so that they break out on a large volume."""
    found = []
    for line in tape.minutes(market.SESSIONS[0]):
        symbol, moment, *prices, volume = line.split(",")
        if not "09:30" <= moment[-5:] <= "15:59":
            continue
        rise = 1.05 if moment[-5:] >= "11:00" else 1.0
        found.append(",".join([symbol, moment, *(f"{float(p) * rise:.4f}" for p in prices), str(int(volume) * 12)]))
    morning = [line for line in found if line.split(",")[1][-5:] < "12:00"]
    return morning, found[len(morning) :]


@pytest.fixture(scope="module")
def feed(based_home: Any, market: Any) -> Any:
    made = Feed(based_home("live"), market)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def scanned(feed: Feed, batches: Any) -> Feed:
    """Both batches dropped, one after the other, and scanned."""
    morning, afternoon = batches
    feed.drop("morning.csv", morning)
    feed.wait_for(("morning.csv", "SUCCESS"))
    feed.drop("afternoon.csv", afternoon)
    feed.wait_for(("morning.csv", "SUCCESS"), ("afternoon.csv", "SUCCESS"))
    return feed


def test_the_daemon_writes_what_a_scan_in_process_writes(scanned: Feed, new_home: Any, market: Any) -> None:
    other = new_home("in_process")
    # Neither the journal nor live signals: the daemon wrote those, and versions() leaves them out.
    for table in scanned.home.versions():
        shutil.copytree(scanned.home.folder / "lake" / "XNYS" / table, other.folder / "lake" / "XNYS" / table)
    shutil.copytree(scanned.home.folder / "lake" / "releases", other.folder / "lake" / "releases")
    for name in ("morning.csv", "afternoon.csv"):
        path = scanned.inbox / name
        scan_batch(
            other.lake, "XNYS", path, HomeProject.from_settings(other.settings), limits=Limits(), run_key=run_key("XNYS", path)
        )

    for table in ("bars_1m_live", "signals_live"):
        ours, theirs = (fingerprint(h.rows(table), TABLES[table]) for h in (other, scanned.home))
        assert ours == theirs, table
    live = pl.col("mode") == "live"
    runs = [h.rows("scanner_runs").filter(live).select("as_of_ts", "signals").sort("as_of_ts") for h in (other, scanned.home)]
    assert runs[0].equals(runs[1])
    assert scanned.home.rows("bars_1m_live").height == 390


def test_the_live_signal_is_that_of_the_same_minutes_in_the_lake(scanned: Feed, based_home: Any, market: Any, batches: Any) -> None:
    session = market.SESSIONS[0]
    later = based_home("later")
    minutes = market.write(later.folder / "minutes.csv", [*batches[0], *batches[1]])
    later.ingest(minutes, received=market.arrival(1))
    history = ScanInputs(
        sessions=calendar("XNYS").frame().filter(pl.col("session_date").is_between(market.BASE[0], session)),
        **{name: later.rows(name) for name in ("instruments", "bars_daily", "bars_1m", "corporate_actions", "indicators_daily")},
    )

    due = scanned.home.rows("scanner_runs").filter((pl.col("mode") == "live") & (pl.col("as_of_ts") == NOON))["scanner_name"]
    assert {"breakout_20d", "relative_volume", "opening_range_15"} <= set(due)
    with ScanEngine(load_scanners(HomeProject.from_settings(later.settings).manifest()), history) as engine:
        found = engine.run(NOON, due.unique().to_list(), mode="history").signals

    live = scanned.home.rows("signals_live").filter(pl.col("ts") == NOON)
    in_order = ["scanner_name", "symbol"]
    assert live.select("scanner_name", *SAID).sort(in_order).equals(found.select("scanner_name", *SAID).sort(in_order))
    live = live.filter(pl.col("scanner_name") == "breakout_20d")
    # Bought above the highest price of the twenty sessions before, at the last minute's close.
    assert (live["symbol"].item(), live["signal_type"].item()) == ("AAPL", "BUY")
    assert live["entry_price"].item() == float(batches[0][-1].split(",")[5])
    highest = later.rows("bars_daily").filter(pl.col("symbol") == "AAPL").sort("session_date").tail(20)["high"].max()
    assert live["entry_price"].item() > highest


def test_the_same_bytes_again_and_a_new_daemon_start_no_run(scanned: Feed, batches: Any) -> None:
    before = scanned.runs()
    scanned.drop("again.csv", batches[0])
    # It is looked at until it has settled.
    scanned.wait_for_ticks(4)
    assert scanned.runs() == before

    scanned.stop()
    scanned.start()
    scanned.wait_for_ticks(2)

    assert scanned.runs() == before


def test_a_torn_file_fails_by_name_and_its_completed_form_is_scanned(scanned: Feed, batches: Any) -> None:
    before, rows = scanned.runs(), scanned.home.rows("bars_1m_live")
    signals = scanned.home.rows("signals_live")
    whole = scanned.inbox / "torn.csv"
    lines = [line.replace("AAPL", "IBM") for line in batches[0][:30]]
    text = "\n".join(["symbol,date,open,high,low,close,volume", *lines]) + "\n"
    whole.write_text(text[: len(text) - 40], encoding="utf-8")
    scanned.wait_for(*before, ("torn.csv", "FAILURE"))
    assert "torn.csv" in scanned.failure("torn.csv")
    assert scanned.home.rows("bars_1m_live").equals(rows)
    assert scanned.home.rows("signals_live").equals(signals)

    whole.write_text(text, encoding="utf-8")
    scanned.wait_for(*before, ("torn.csv", "FAILURE"), ("torn.csv", "SUCCESS"))

    assert scanned.home.rows("bars_1m_live").filter(pl.col("symbol") == "IBM").height == 30


def test_a_file_that_is_no_table_of_bars_fails_by_name_and_stops_nothing_behind_it(scanned: Feed, batches: Any) -> None:
    before = scanned.runs()
    (scanned.inbox / "no_bars.csv").write_text("hello,world\n1,2\n", encoding="utf-8")
    scanned.drop("spy.csv", [line.replace("AAPL", "SPY") for line in batches[0][:5]])

    scanned.wait_for(*before, ("no_bars.csv", "FAILURE"), ("spy.csv", "SUCCESS"))

    assert "no_bars.csv" in scanned.failure("no_bars.csv")


def test_files_copied_moved_mirrored_written_slowly_and_two_at_once_are_each_scanned_once(scanned: Feed, batches: Any) -> None:
    before, outbox = scanned.runs(), scanned.home.folder / "outbox"

    def made(name: str, minute: int, changed_ago: float) -> Path:
        """A batch of one minute beside the inbox, last changed that many seconds ago."""
        path = scanned.market.write(outbox / name, [batches[1][minute].replace("AAPL", "SPY")])
        os.utime(path, (time.time() - changed_ago,) * 2)
        return path

    copied, moved, mirrored, future = (
        made(f"{name}.csv", minute, ago)
        for minute, (name, ago) in enumerate([("copied", 3600), ("moved", 86_400), ("mirrored", 7_200), ("future", -1e8)])
    )
    subprocess.run(["cp", "-p", copied, future, scanned.inbox], check=True)
    subprocess.run(["mv", moved, scanned.inbox], check=True)
    _mirror(mirrored, scanned.inbox)
    first, second = made("first.csv", 4, 0), made("second.csv", 5, 0)
    first.rename(scanned.inbox / "first.csv")
    second.rename(scanned.inbox / "second.csv")
    slow, minutes, interrupted = _written_slowly(scanned.inbox, [line.replace("AAPL", "SPY") for line in batches[1][6:]])

    names = ("copied.csv", "future.csv", "moved.csv", "mirrored.csv", "first.csv", "second.csv", slow)
    scanned.wait_for(*before, *((name, "SUCCESS") for name in names), apart_from=interrupted)
    scanned.wait_for_ticks(4)

    after = [run for run in scanned.runs() if run[0] not in interrupted]
    assert len(after) == len(before) + len(names)
    arrived = scanned.home.rows("bars_1m_live").filter(pl.col("symbol") == "SPY")
    assert {line.split(",")[1][-5:] for line in [*batches[1][:6], *minutes]} <= set(
        arrived["ts"].dt.convert_time_zone("America/New_York").dt.strftime("%H:%M")
    )


def _written_slowly(inbox: Path, lines: list[str]) -> tuple[str, list[str], frozenset[str]]:
    """A file that takes longer than the settle time in all, and never that long without a line: its name and lines.

    A machine that stood still makes the writer pause for longer, and what was there of its file is rightly scanned; then it writes
    other lines under another name. Also returns the files that were written so.
    """
    interrupted: set[str] = set()
    for attempt in range(4):
        name, some = f"slow{attempt}.csv", lines[attempt * SLOW_LINES :][:SLOW_LINES]
        longest, since = 0.0, time.monotonic()
        with (inbox / name).open("w", encoding="utf-8") as slow:
            for line in ["symbol,date,open,high,low,close,volume", *some]:
                started = time.monotonic()
                slow.write(line + "\n")
                slow.flush()
                longest, since = max(longest, time.monotonic() - since), started
                time.sleep(PAUSE_SECONDS)
        if longest < SETTLE_SECONDS / 2:
            return name, some, frozenset(interrupted)
        interrupted.add(name)
    raise AssertionError(f"this machine stood still for {longest:.1f} s while it wrote each of {sorted(interrupted)}")


def _mirror(path: Path, folder: Path) -> None:
    """`rsync -a`, or what it does: a hidden file of the original's time, which gets its name at the end."""
    if shutil.which("rsync"):
        subprocess.run(["rsync", "-a", path, folder], check=True)
        return
    hidden = folder / f".{path.name}.Xq3Zt1"
    shutil.copy2(path, hidden)
    hidden.rename(folder / path.name)
