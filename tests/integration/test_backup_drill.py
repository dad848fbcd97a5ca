"""The restore drill: backups of a home while an ingest and a nightly run write to it; each is a home as a crash leaves it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.maintenance.backups.folder import BackupFolder
from pipelines.maintenance.backups.make import Made, make_backup
from tests.support.small_market import SmallHome, answer, arrival, kill

pytestmark = pytest.mark.slow

_RUN = "from pipelines.cli.app import main; main()"


def back_up_during(home: Any, folder: BackupFolder, process: "subprocess.Popen[str]") -> list[Made]:
    """Backups one after the other until a process ends."""
    made = []
    while process.poll() is None:
        made.append(make_backup(home.settings, folder, datetime.now(UTC)))
    output = process.stdout.read() if process.stdout else ""
    assert process.returncode == 0, output[-2000:]
    return made


def restore(folder: BackupFolder, home: Path, backup_id: str) -> SmallHome:
    """`marketlake restore` as a process; the home that it made."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, "restore", str(folder.folder), "--to", str(home), "--backup", backup_id, "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder.folder.parent,
        env={**os.environ, "MARKETLAKE_EXCHANGES": "XNYS"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["home"] == str(home)
    return SmallHome(home)


def errors_of(home: SmallHome) -> list[str]:
    """What `doctor --deep` says needs action."""
    code, output = home.run("doctor", "--deep", "--json")
    findings = json.loads(output[output.index("[") :])
    found = [f"{f['check']}: {f['finding']}" for f in findings if not f["ok"]]
    assert code == (1 if found else 0)
    return found


def published(home: SmallHome) -> Any:
    """What a reader of the catalogue sees."""
    with duckdb.connect(str(home.settings.catalogue_link), read_only=True) as connection:
        return answer(connection)


def is_under_way(part: Path) -> bool:
    """Whether a file is half-written; it may be complete, and under its own name, a moment later."""
    with suppress(FileNotFoundError):
        return part.stat().st_size > 1 << 20
    return False


def test_backups_during_an_ingest_and_a_nightly_run_are_homes_that_go_on(based_home: Any, tape: Any, tmp_path: Path) -> None:
    home, folder = based_home("drill"), BackupFolder(tmp_path / "backups")
    session = tape.delivery(tmp_path / "inbound", datetime(2014, 6, 5, tzinfo=UTC).date())
    words = ("ingest", *map(str, session), "--source", "csv", "--received-at", arrival(1).isoformat())
    before = published(home)
    first = make_backup(home.settings, folder, datetime.now(UTC))
    assert make_backup(home.settings, folder, datetime.now(UTC)).copied_files == 0
    during = back_up_during(home, folder, home.start(*words))
    during += back_up_during(home, folder, home.start("nightly"))
    last = make_backup(home.settings, folder, datetime.now(UTC))
    after = published(home)
    assert before != after
    heads = [made.backup.tables for made in (first, *during, last)]
    changed = [made for made, one, other in zip(during, heads, heads[1:], strict=False) if one != other]
    assert len(changed) >= 3, "none fell between two commits"
    # Every content was copied once.
    assert sum(made.copied_bytes for made in (first, *during, last)) == sum(folder.contents().values())
    assert folder.verify()[2] == []

    middle = changed[len(changed) // 2].backup
    for name, backup in (("до", first.backup), ("in the middle", middle), ("after", last.backup)):
        again = restore(folder, tmp_path / name / "дом ü", backup.backup_id)
        assert published(again) == (after if backup.published == last.backup.published else before)
        assert errors_of(again) == []

    # From the middle of a run it goes on as after a crash, and ends as the undisturbed home.
    wanted = home.fingerprints(("bars_daily", "bars_1m", "indicators_daily", "scanner_signals", "backtest_runs"))
    again = SmallHome(tmp_path / "in the middle" / "дом ü")
    for command in (words, ("nightly",)):
        code, output = again.run(*command)
        assert code == 0, output[-2000:]
    assert again.fingerprints(tuple(wanted)) == wanted
    assert errors_of(again) == []


def test_a_backup_that_is_killed_leaves_the_one_before(based_home: Any, tmp_path: Path) -> None:
    home, folder = based_home("killed"), BackupFolder(tmp_path / "backups")
    # A delivery that takes a moment to copy.
    content = bytes(256 << 20)
    digest = hashlib.sha256(content).hexdigest()
    raw = Path(home.lake.root) / home.mic / "raw" / digest[:2] / digest
    raw.parent.mkdir(exist_ok=True)
    raw.write_bytes(content)
    process = home.start("backup", str(folder.folder))
    while process.poll() is None and not any(is_under_way(part) for part in folder.folder.glob("objects/*.part")):
        time.sleep(0.002)
    kill(process)
    assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"
    assert [*folder.folder.glob("objects/*.part")]
    assert folder.backups() == []
    code, output = home.run("backup", str(folder.folder), "--verify", "--json")
    assert code == 0, output
    told = json.loads(output[output.index("{") :])
    assert 0 < told["copied_files"] < told["files"]
    assert not [*folder.folder.glob("objects/*.part")]
    again = restore(folder, tmp_path / "home", folder.backups()[0])
    assert published(again) == published(home)
