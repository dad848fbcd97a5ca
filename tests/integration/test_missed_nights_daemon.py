"""The real daemon after three nights without it, killed amid the run that makes up for them: nothing is lost or doubled."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.cli.dagster_process import command, environment
from pipelines.market.calendar import calendar
from pipelines.orchestration.instance import PID_TAG, open_instance
from pipelines.orchestration.jobs import nightly_job_name
from pipelines.orchestration.schedules import NIGHT_TAG

pytestmark = pytest.mark.slow

#: The daemon was down for so many nights; and how far back its last look at the schedule lies.
MISSED, DOWN_FOR = 3, timedelta(days=8)
#: After the run that counts: time for a second one to show itself.
QUIET_SECONDS = 100


class Daemon:
    """Dagster's daemon on a home, as a process that can be killed with all that it started."""

    def __init__(self, home: Any, market: Any) -> None:
        self.home, self.market = home, market
        self.log = home.folder / "daemon.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command("dagster-daemon", "run"),
                cwd=self.home.folder,
                env={**environment(self.home.settings), **self.home.environment(DAGSTER_HOME=str(self.home.settings.dagster_home))},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def runs(self) -> list[dg.DagsterRun]:
        """The schedule's runs, the oldest first."""
        with open_instance(self.home.settings) as instance:
            records = instance.get_run_records(dg.RunsFilter(job_name=nightly_job_name(self.home.mic)))
        return [record.dagster_run for record in reversed(records) if NIGHT_TAG in record.dagster_run.tags]

    def wait_for(self, status: dg.DagsterRunStatus, seconds: float = 400) -> dg.DagsterRun:
        def found() -> dg.DagsterRun | None:
            matching = [run for run in self.runs() if run.status is status and PID_TAG in run.tags]
            return matching[-1] if matching else None

        run: dg.DagsterRun = self.market.wait_until(found, lambda: self.log.read_text()[-3000:], seconds)
        return run


def has_schedules(database: Path) -> bool:
    """Whether the daemon has recorded the nightly schedule's state."""
    if not database.is_file():
        return False
    with closing(sqlite3.connect(database)) as connection:
        bodies = [body for (body,) in connection.execute("SELECT instigator_body FROM instigators")]
    return any("XNYS_nightly_schedule" in body for body in bodies)


def backdate_schedules(database: Path, by: timedelta) -> int:
    """Let the schedules' state in Dagster's database say that they were looked at so much earlier; returns how many there are."""
    changed = 0
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in (("jobs", "job_body"), ("instigators", "instigator_body")):
            for number, body in connection.execute(f"SELECT id, {column} FROM {table}").fetchall():
                state = json.loads(body)
                data = state.get("job_specific_data") or {}
                for name in ("start_timestamp", "last_iteration_timestamp"):
                    if data.get(name):
                        data[name] -= by.total_seconds()
                        changed += 1
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", (json.dumps(state), number))
        connection.execute("DELETE FROM job_ticks")
    return changed


def lines(sessions: list[date]) -> list[str]:
    """Daily bars of two shares that rise a little."""
    return [
        f"{symbol},{day},{100 + n},{102 + n},{99 + n},{101 + n},{1000 + day.day}"
        for symbol in ("AAA", "BBB")
        for day in sessions
        for n in (day.toordinal() % 7,)
    ]


def test_three_missed_nights_are_made_up_for_once_though_the_daemon_is_killed_again(
    new_home: Any, market: Any, tmp_path: Path
) -> None:
    now, days = datetime.now(UTC), calendar("XNYS")
    last = days.latest_closed(now).session_date
    sessions = [session.session_date for session in days.between(last - timedelta(days=70), last)]
    before = market.write(tmp_path / "before.csv", lines(sessions[:-MISSED]))
    missed = market.write(tmp_path / "missed.csv", lines(sessions[-MISSED:]))
    home, undisturbed = new_home("missed"), new_home("undisturbed")
    for one in (home, undisturbed):
        one.ingest(before, received=now)
        one.nightly()
    undisturbed.ingest(missed, received=now)
    undisturbed.nightly()

    daemon = Daemon(home, market)
    database = home.settings.dagster_home / "schedules" / "schedules.db"
    try:
        daemon.start()
        market.wait_until(lambda: has_schedules(database), lambda: daemon.log.read_text()[-2000:])
        daemon.kill()
        assert daemon.runs() == []
        assert backdate_schedules(database, DOWN_FOR)
        home.ingest(missed, received=now)

        daemon.start()
        first = daemon.wait_for(dg.DagsterRunStatus.STARTED)
        daemon.kill()
        daemon.start()
        good = daemon.wait_for(dg.DagsterRunStatus.SUCCESS)
        time.sleep(QUIET_SECONDS)
    finally:
        daemon.kill()
    runs = daemon.runs()
    assert [run.status for run in runs] == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    assert [run.run_id for run in runs] == [first.run_id, good.run_id]
    assert first.tags[NIGHT_TAG] == good.tags[NIGHT_TAG]
    counts = Counter(home.rows("indicators_daily")["session_date"].to_list())
    assert counts == Counter(dict.fromkeys(sessions, 2))
    names = ("bars_daily", "indicators_daily", "scanner_signals", "backtest_runs")
    assert home.fingerprints(names, without=("known_at",)) == undisturbed.fingerprints(names, without=("known_at",))
    assert len(home.releases()) == len(undisturbed.releases())
