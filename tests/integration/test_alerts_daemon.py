"""The real daemon tells of a run of the command line that failed, and that the next one succeeded."""

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.dagster_process import command, environment

pytestmark = pytest.mark.slow


def test_a_failed_run_of_the_command_line_is_told_by_the_daemon_and_its_end(
    new_home: Any, tape: Any, market: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = new_home("alerts")
    told = tmp_path / "told.jsonl"
    monkeypatch.setenv("MARKETLAKE_ALERT_URLS", f"json://127.0.0.1:1/T0ps3cret file://{told}")
    code, output = home.run("doctor", "--json")
    log = home.folder / "daemon.log"
    home.settings.state_dir.mkdir(exist_ok=True)
    with log.open("ab") as stream:
        daemon = subprocess.Popen(
            command("dagster-daemon", "run"),
            cwd=home.folder,
            env={**environment(home.settings), **home.environment(DAGSTER_HOME=str(home.settings.dagster_home))},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        market.wait_until(lambda: "alert_failed_runs" in log.read_text(), lambda: log.read_text()[-2000:])
        code, output = home.run("nightly", "--yes")
        assert (code, "XNYS has no bars" in output) == (1, True)
        market.wait_until(told.exists, lambda: log.read_text()[-3000:], seconds=180)
        home.ingest(*tape.base(tmp_path / "inbound"), received=market.arrival(0))
        code, output = home.run("nightly")
        assert code == 0, output[-2000:]
        market.wait_until(lambda: told.read_text().count("\n") >= 2, lambda: log.read_text()[-3000:], seconds=180)
    finally:
        daemon.terminate()
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            daemon.wait(timeout=30)
        with suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)
    failed, over = (json.loads(line) for line in told.read_text().splitlines())
    assert (failed["title"], over["title"]) == ("XNYS_nightly failed", "over: XNYS_nightly failed")
    assert "XNYS has no bars, so nothing was built and nothing released" in failed["body"]
    assert "exchange: XNYS" in failed["body"]
    assert "the alert could not be sent to target 1 (json://)" in log.read_text()
    # In no file of the home: neither logs nor Dagster's history.
    assert not [path for path in home.folder.rglob("*") if path.is_file() and b"T0ps3cret" in path.read_bytes()]
