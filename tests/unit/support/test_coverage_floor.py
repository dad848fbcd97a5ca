"""The floor of coverage: functions below it are named, and a total below it fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.coverage_floor import functions_below, main, total

MODULE = """
def reached(x):
    return x + 1


class Thing:
    def half(self, x):
        if x:
            return 1
        y = 2
        return y


def never():
    return 3


reached(1)
Thing().half(1)
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What coverage writes of a module of which one function is reached whole, one in part, one not at all."""
    pytest.importorskip("coverage")
    folder = tmp_path_factory.mktemp("measured")
    (folder / "module.py").write_text(MODULE)
    for words in (["run", "--branch", "module.py"], ["json", "--quiet"]):
        subprocess.run([sys.executable, "-m", "coverage", *words], cwd=folder, env={}, check=True)
    return folder / "coverage.json"


def test_functions_below_the_floor_are_named_worst_first(report: Path) -> None:
    found = functions_below(json.loads(report.read_text()), 92)
    # Of half: two of four statements and one of two branches; of never: none of one.
    assert [(f.name, f.reached, f.there) for f in found] == [("module.py:Thing.half", 3, 6), ("module.py:never", 0, 1)]


@pytest.mark.parametrize(("floor", "code"), [(99.0, 1), (50.0, 0)])
def test_only_a_total_below_the_floor_fails(report: Path, capsys: pytest.CaptureFixture[str], floor: float, code: int) -> None:
    assert main([str(report), "--floor", str(floor)]) == code
    lines = capsys.readouterr().out.splitlines()
    # Statements: 4 definitions, 2 calls, 1 + 4 + 1 in functions; branches: 2. Missing: 2 statements of half, 1 of never, 1 branch.
    assert lines[-1] == f"71.43 % of 14 statements and branches reached; the floor is {floor:g} %"
    assert lines[-2] == f"{len(lines) - 2} functions below {floor:g} %"
    assert lines[0].split() == ["50.0", "%", "3", "of", "6", "missing", "module.py:Thing.half"] or floor == 50.0


def test_functions_are_held_against_a_goal_that_the_total_need_not_reach(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(report), "--floor", "71.4", "--goal", "60"]) == 0
    *named, counted, _ = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in named] == ["module.py:Thing.half", "module.py:never"]
    assert counted == "2 functions below 60 %"


def test_a_report_without_branches_is_refused(report: Path) -> None:
    without = json.loads(report.read_text())
    without["meta"]["branch_coverage"] = False
    with pytest.raises(ValueError, match="no branches"):
        total(without)
