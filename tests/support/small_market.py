"""A small market and homes that process it, for tests of what must survive: crashes, readers, restatements, live batches.

Lives here: `Tape` (bundled bars as one file a session), `SmallHome` (a home with the commands on it), copying and comparing homes,
and waiting for what a process does.
Does not live here: the fixtures that make such homes (`tests/integration/conftest.py`), what is expected of them (the tests).
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipelines.build.derived_tables import DERIVED as BUILT
from pipelines.ingest.arrivals import make_request
from pipelines.market.tables import TABLES
from pipelines.settings import Settings
from pipelines.sources.registry import source
from pipelines.storage.catalogue import publish_catalogue
from pipelines.storage.delta import LakeTable
from pipelines.storage.fingerprint import fingerprint
from pipelines.storage.location import Lake
from pipelines.storage.releases import Release, releases
from tests.support.indicator_tables import INDICATOR_TABLES

MIC = "XNYS"
#: The first day of the small market, and the last that the base of every home holds.
BASE = (date(2013, 6, 3), date(2014, 6, 4))
#: The sessions that the tests deliver one by one. AAPL has minutes on the first three, and on the third its split 7:1.
SESSIONS = tuple(date(2014, 6, day) for day in (5, 6, 9, 10, 11))
SYMBOLS = ("AAPL", "IBM", "SPY")
HEADER = "symbol,date,open,high,low,close,volume"
#: What a home publishes for people; `known_at` and releases are told apart by the tests that need them.
DERIVED = (
    *BUILT,
    *("backtest_runs", "backtest_trades", "backtest_equity", "backtest_verdicts", "risk_var"),
    *("signal_outcomes", "scanner_performance"),
)
INGESTED = tuple(
    name for name in TABLES if name.startswith(("bars_", "corporate_actions", "instrument")) and name != "bars_1m_live"
)
_SCHEMAS = {**TABLES, **INDICATOR_TABLES}
_RUN = "import sys; from pipelines.cli.app import main; sys.argv[0] = 'marketlake'; main()"


@dataclass(frozen=True)
class Tape:
    """Bars of the bundled LEAN files as lines of csv; prices in dollars, times in New York."""

    folder: Path

    def daily(self, first: date, last: date, symbols: Sequence[str] = SYMBOLS) -> list[str]:
        """One line a symbol and session."""
        found = []
        for symbol in symbols:
            for line in self._lines(f"daily/{symbol.lower()}.zip"):
                moment, *values = line.split(",")
                day = datetime.strptime(moment, "%Y%m%d %H:%M").replace(tzinfo=UTC).date()
                if first <= day <= last:
                    found.append(f"{symbol},{day},{_dollars(values)}")
        return found

    def minutes(self, session: date, symbol: str = "AAPL") -> list[str]:
        """One line a minute of a session whose minutes are bundled; none for the others."""
        name = f"minute/{symbol.lower()}/{session:%Y%m%d}_trade.zip"
        if not (self.folder / name).is_file():
            return []
        midnight = datetime.combine(session, datetime.min.time(), tzinfo=UTC)
        found = []
        for line in self._lines(name):
            milliseconds, *values = line.split(",")
            wall = midnight + timedelta(milliseconds=int(milliseconds))
            found.append(f"{symbol},{wall:%Y-%m-%d %H:%M},{_dollars(values)}")
        return found

    def delivery(self, folder: Path, session: date) -> list[Path]:
        """The files of one session: everybody's daily bar, and the minutes where there are any."""
        files = [write(folder / f"daily-{session}.csv", self.daily(session, session))]
        if minutes := self.minutes(session):
            files.append(write(folder / f"minutes-{session}.csv", minutes))
        return files

    def base(self, folder: Path) -> list[Path]:
        """One file of everybody's daily bars before the sessions that are delivered one by one."""
        return [write(folder / "base.csv", self.daily(*BASE))]

    def _lines(self, name: str) -> list[str]:
        with zipfile.ZipFile(self.folder / name) as archive:
            return archive.read(archive.namelist()[0]).decode().splitlines()


def _dollars(values: Sequence[str]) -> str:
    *prices, volume = values
    return ",".join([*(str(int(price) / 10_000) for price in prices), volume])


def write(path: Path, lines: Sequence[str]) -> Path:
    """A csv of these lines under the usual header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True)
class SmallHome:
    """A home and the commands on it: in this process as the command line calls them, or as processes of their own."""

    folder: Path
    mic: str = MIC

    @property
    def settings(self) -> Settings:
        return Settings(home=self.folder, exchanges=(self.mic,))

    @property
    def lake(self) -> Lake:
        return Lake.from_settings(self.settings)

    def ingest(self, *paths: Path, received: datetime, reader: str = "csv", symbol: str | None = None) -> Any:
        """`marketlake ingest` in this process; returns its report."""
        from pipelines.orchestration.ingest_run import ingest

        order = make_request(self.lake, self.mic, paths, source(reader), received_at=received, symbol=symbol)
        return ingest(self.settings, order)

    def nightly(self, *, full: bool = False) -> dict[str, Any]:
        """`marketlake nightly` in this process; returns its summary."""
        from pipelines.definitions import build_definitions
        from pipelines.orchestration.nightly_run import nightly, nightly_summary

        return nightly_summary(self.settings, self.mic, nightly(self.settings, self.mic, build_definitions, full=full))

    def withdraw(self, name: str, at: datetime) -> Any:
        """`marketlake withdraw` of the delivery with this file name, in this process; returns what it did."""
        from pipelines.ingest.withdrawal import Withdrawal, withdraw_delivery

        (batch,) = self.rows("raw_files").filter(pl.col("name").str.ends_with(name))["batch_id"]
        withdrawal = Withdrawal(batch, "sent in error", "tester", at)
        return withdraw_delivery(self.lake, self.mic, withdrawal, self.settings.state_dir, timedelta(0))

    def environment(self, **extra: str) -> dict[str, str]:
        """Environment of a process that works on this home."""
        left_out = {"DAGSTER_HOME", "MARKETLAKE_CRASH_AT"}
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        return {**kept, "MARKETLAKE_HOME": str(self.folder), "MARKETLAKE_EXCHANGES": self.mic, **extra}

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """`marketlake …` as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", _RUN, *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """`marketlake …` to its end: exit code (negative: the signal that killed it) and what it printed."""
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=600)
        return process.returncode, output

    def rows(self, table: str) -> pl.DataFrame:
        """A table's newest rows."""
        return self.table(table).read()

    def table(self, name: str) -> LakeTable:
        """A table of the lake."""
        return LakeTable(self.lake.table_uri(self.mic, name), _SCHEMAS[name])

    def versions(self) -> dict[str, int]:
        """Newest version of every table that there is."""
        found = {name: self.table(name).version() for name in (*INGESTED, *DERIVED, "raw_files", "quarantine", "sessions")}
        return {name: version for name, version in found.items() if version is not None}

    def releases(self) -> list[Release]:
        """All releases, oldest first."""
        return releases(self.lake)

    def fingerprints(self, names: Sequence[str], without: Sequence[str] = ()) -> dict[str, str]:
        """Fingerprint of each table, the columns of `without` blanked."""
        return {name: self._fingerprint(name, without) for name in names}

    def _fingerprint(self, name: str, without: Sequence[str]) -> str:
        table, rows = self.table(name), self.rows(name)
        blank = [c for c in without if c in rows.columns and c not in table.schema.key]
        return fingerprint(rows.with_columns(pl.lit(None, rows.schema[c]).alias(c) for c in blank), table.schema)

    def runs(self) -> dict[str, str]:
        """Status of every Dagster run by its id, as a new process finds them after it opened the instance."""
        import dagster as dg

        from pipelines.orchestration.instance import open_instance

        with open_instance(self.settings) as instance:
            return {r.dagster_run.run_id: r.dagster_run.status.value for r in instance.get_run_records(dg.RunsFilter())}


#: Everything that a mixture of two releases would show: how much there is of each table, and its newest rows.
ANSWER = """
SELECT (SELECT max(release_id) FROM releases) AS release_id,
       (SELECT count(*) FROM bars_daily) AS bars,
       (SELECT max(session_date) FROM bars_daily) AS last_bar,
       (SELECT max(session_date) FROM indicators_daily) AS last_indicator,
       (SELECT max(session_date) FROM bars_daily_latest) AS last_trimmed,
       (SELECT count(*) FROM indicators_daily) AS indicators,
       (SELECT count(*) FROM indicators_1m) AS minutes,
       (SELECT count(*) FROM backtest_equity) AS equity,
       (SELECT hash(list(release_id ORDER BY signal_id)) FROM scanner_signals) AS signals
"""


def answer(connection: duckdb.DuckDBPyConnection) -> tuple[Any, ...]:
    """One reader's answer about everything that was published."""
    return connection.execute(ANSWER).fetchall()[0]


def copy_home(of: SmallHome, into: SmallHome) -> SmallHome:
    """Copy lake and dbt's parsed project; what is derived and knows its own path stays behind."""
    shutil.copytree(of.folder / "lake", into.folder / "lake")
    shutil.copytree(of.settings.state_dir / "dbt", into.settings.state_dir / "dbt", dirs_exist_ok=True)
    last, schemas = into.releases()[-1], {name: schema for name, schema in _SCHEMAS.items() if name != "releases"}
    publish_catalogue(into.lake, last, schemas, into.releases(), into.settings.state_dir, into.settings.catalogue_link)
    return into


def arrival(day: int) -> datetime:
    """When the delivery of a day of the test arrives: long after every bar, one day after another."""
    return datetime(2025, 3, 1, 12, tzinfo=UTC) + timedelta(days=day)


def kill(process: "subprocess.Popen[Any]") -> None:
    """End a process that a test started, without giving it a chance to clean up."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)


def wait_until(true: Callable[[], Any], what: str | Callable[[], str], seconds: float = 600.0) -> Any:
    """Ask until the answer is true and return it; AssertionError with `what`, asked for only then, after the deadline."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.2)
    return found
