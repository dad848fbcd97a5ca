"""The Makefile's own promises. What its targets do is not tested here: `.ci/run` runs them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_bytecode_is_kept_for_the_next_process_even_where_the_environment_says_not_to() -> None:
    command = ["make", "--no-print-directory", "--eval", "probe: ; @echo $${PYTHONDONTWRITEBYTECODE-unset}", "probe"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    told = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["unset"]
