"""Where compiled kernels are kept, and that they can be compiled ahead."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.indicators.jit import cache_dir


def test_the_cache_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert cache_dir().parent == tmp_path


def test_the_cache_lies_in_the_users_cache_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir().parent == tmp_path / "marketlake" / "numba"


def test_the_registry_loads_without_numba():
    root = Path(__file__).parents[3]
    code = "import sys, pipelines.indicators.registry; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.slow
def test_warming_compiles_into_the_cache_and_says_so_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pipelines.indicators.warm"]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"indicator kernels compiled into {cache_dir()}"]
    assert any(cache_dir().rglob("*.nbc"))
