"""Ctrl-C, as a terminal sends it: to the command and to every process that it started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.bundled import bundled_folder

pytestmark = pytest.mark.slow


def test_ctrl_c_in_mid_run_ends_with_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("marketlake"))
    command = [program, "ingest", str(bundled_folder() / "lean"), "--source", "lean", "--exchange", "XNYS"]
    home = {**os.environ, "MARKETLAKE_HOME": str(tmp_path), "MARKETLAKE_EXCHANGES": "XNYS"}
    # A shell without job control starts background processes with the signal ignored.
    running = subprocess.Popen(
        command,
        env=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - one thread here
    )
    assert running.stderr is not None
    assert running.stderr.readline().startswith("ingesting ")
    time.sleep(1)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert (running.returncode, out, err) == (130, "", "error: interrupted\n")

    again = subprocess.run(command, env=home, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "bars_daily" in again.stdout
