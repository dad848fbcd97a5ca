"""What an installation compiles ahead: names that there are, and bytecode that stays."""

import os
import subprocess
import sys
from importlib.util import cache_from_source, find_spec
from pathlib import Path

import pytest

from pipelines.cli.warm import LATE_IMPORTS, warm_modules

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", LATE_IMPORTS)
def test_what_is_imported_ahead_is_there(name: str) -> None:
    assert find_spec(name) is not None


def test_make_keeps_bytecode_though_the_environment_forbids_it() -> None:
    """uv installs none, and without it half of a short command is compiling modules."""
    recipe = f"asked: ; @{sys.executable} -c 'import sys; print(sys.dont_write_bytecode)'"
    forbidding = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    make = ["make", "-s", "-C", str(ROOT), "--no-print-directory", "--eval", recipe, "asked"]
    assert subprocess.run(make, env=forbidding, capture_output=True, text=True, check=True).stdout == "False\n"


def test_modules_of_the_package_have_bytecode_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.cli import warm

    module = tmp_path / "package" / "module.py"
    module.parent.mkdir()
    module.write_text("X = 1\n")
    monkeypatch.setattr(warm, "PACKAGE", module.parent)
    monkeypatch.setattr(warm, "LATE_IMPORTS", ("json",))
    warm_modules()
    assert Path(cache_from_source(str(module))).is_file()


def test_both_halves_of_the_work_are_done_and_a_failure_of_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.cli import warm

    asked: list[list[str]] = []

    class Ended:
        def __init__(self, command: list[str]) -> None:
            asked.append(command[1:])
            self.command = command

        def wait(self) -> int:
            return -9 if self.command[-1] == "kernels" else 0

    monkeypatch.setattr(warm.subprocess, "Popen", Ended)
    monkeypatch.setattr(sys, "argv", ["warm"])
    assert warm.main() == 1
    assert asked == [["-m", "pipelines.cli.warm", part] for part in ("modules", "kernels")]


def test_what_is_compiled_of_a_bootstrap_is_what_a_night_calls() -> None:
    """numba compiles anew for arrays of another layout, and whole rows have another than rows without their last column."""
    import numpy as np

    from pipelines.backtest.signal_performance.intervals import sums_drawn
    from pipelines.backtest.signal_performance.kernel import sums_of_rows
    from pipelines.cli.warm import warm_track_record

    warm_track_record()
    compiled = list(sums_of_rows.signatures)
    sums_drawn(np.ones((50, 4)), 2, "night", 10)
    assert sums_of_rows.signatures == compiled
