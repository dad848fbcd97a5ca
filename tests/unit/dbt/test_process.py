"""A dbt whose run was killed does not live on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipelines.dbt.process import options

#: Starts the child as a run does, tells its process id, and waits to be killed. The child "runs dbt" for an hour.
RUN = """
import os, subprocess, sys, time
child = "import sys, types, time; fake = types.ModuleType('dbt.cli.main'); fake.cli = lambda: time.sleep(3600); " \\
    "sys.modules['dbt.cli.main'] = fake; from pipelines.dbt.process import main; main()"
process = subprocess.Popen([sys.executable, "-c", child, f"--parent={os.getpid()}", "build"])
print(process.pid, flush=True)
time.sleep(3600)
"""


def test_dbt_ends_when_its_run_is_killed(tmp_path: Path) -> None:
    run = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert run.stdout is not None
    child = int(run.stdout.readline())
    assert alive(child)

    run.send_signal(signal.SIGKILL)
    run.wait()

    deadline = time.monotonic() + 60
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(child)


def test_dbt_goes_on_while_its_run_lives(tmp_path: Path) -> None:
    code = (
        "import sys, types, time; fake = types.ModuleType('dbt.cli.main'); "
        "fake.cli = lambda: (time.sleep(1.5), 7)[1]; sys.modules['dbt.cli.main'] = fake; "
        "from pipelines.dbt.process import main; main()"
    )
    command = [sys.executable, "-c", code, f"--parent={os.getpid()}", "build"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 7


def test_a_run_hands_its_home_to_dbt_and_names_the_database_from_its_folder(tmp_path: Path) -> None:
    """By its name, so that a moved home stays parsed; dbt gets its own words alone."""
    code = (
        "import os, sys, types; NAMES = ['MARKETLAKE_BUILD_DB', 'MARKETLAKE_HOME', 'MARKETLAKE_INDICATORS']; "
        "fake = types.ModuleType('dbt.cli.main'); "
        ""
        "fake.cli = lambda: print(os.getcwd(), *map(os.environ.get, NAMES), *sys.argv[1:]); sys.modules['dbt.cli.main'] = fake; "
        "from pipelines.dbt.process import main; main()"
    )
    given = options(tmp_path / "build" / "XNYS.duckdb", tmp_path, tmp_path / "mine.yml")
    (tmp_path / "build").mkdir()
    command = [sys.executable, "-c", code, *given, "build", "--select", "staging"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    told = [str(tmp_path / "build"), "XNYS.duckdb", str(tmp_path), str(tmp_path / "mine.yml"), "--no-write-json"]
    assert done.stdout.split() == [*told, "build", "--select", "staging"]


def test_the_garbage_collector_looks_seldom_and_not_at_modules(tmp_path: Path) -> None:
    """It is on: what dbt makes for a model refers to itself, and a build of all of history must not keep it."""
    code = (
        "import gc, sys, types; fake = types.ModuleType('dbt.cli.main'); "
        "fake.cli = lambda: print(gc.isenabled(), gc.get_threshold()[0] > 10_000, gc.get_freeze_count() > 0); "
        "sys.modules['dbt.cli.main'] = fake; from pipelines.dbt.process import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "build"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    # A process that ended and that nobody has waited for yet is no longer at work.
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
