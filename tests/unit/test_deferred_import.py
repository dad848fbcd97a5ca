"""A part of a library that is loaded at its first use, and not by those who import it."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.deferred_import import defer_import

_USES = """
import sys
from pipelines.deferred_import import defer_import
defer_import("library.part")
from library import part
print("loaded" in sys.modules)
print(part.ANSWER, part is sys.modules["library.part"], "loaded" in sys.modules)
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A package whose part imports the module `loaded`."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "__init__.py").touch()
    (tmp_path / "library" / "part.py").write_text("import loaded\nANSWER = 42\n")
    (tmp_path / "loaded.py").touch()
    return tmp_path


def test_a_part_is_loaded_when_something_looks_into_it(library: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _USES],
        check=False,
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
    )
    assert run.stdout == "False\n42 True True\n", run.stderr


def test_a_part_that_is_loaded_stays_as_it_is() -> None:
    import importlib.util

    before = importlib.util
    defer_import("importlib.util")
    assert sys.modules["importlib.util"] is before


@pytest.mark.parametrize("name", ["json.nowhere", "json_nowhere"])
def test_a_part_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=name):
        defer_import(name)


@pytest.mark.slow
def test_an_ingest_s_gate_does_not_load_scipy_s_statistics() -> None:
    """GX imports them for expectations that no suite has; they are a third of the time that GX takes to import."""
    judging = (
        "import sys, polars as pl\n"
        "from pipelines.ingest.suites import run_suite\n"
        "from pipelines.market.tables import TABLES\n"
        "from pipelines.market.tables.profiles import profile_schema\n"
        "from pipelines.storage.delta import empty_frame\n"
        "run_suite('bars_daily', empty_frame(profile_schema(TABLES['bars_daily'])))\n"
        "print('great_expectations' in sys.modules, 'scipy.stats._stats_py' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", judging], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert run.stdout == "True False\n", run.stderr
