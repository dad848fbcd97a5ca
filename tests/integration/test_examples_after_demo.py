"""After `marketlake demo` the examples of the README and of every help text work as they are printed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from pipelines.cli.app import app

pytestmark = pytest.mark.slow

README = Path(__file__).parents[2] / "README.md"
FENCED = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: Examples that name the reader's own files, folders, addresses, shares or runs, run until they are interrupted, or take away what
#: others show; `demo` is run first.
_NOT_HERE = tuple(
    f"marketlake {name}"
    for name in (
        *("ingest ", "instruments split ", "ui", "docs", "demo", "nightly", "withdraw"),
        *("backtest show ", "backtest compare ", "backup ", "restore ", "alerts "),
    )
)


def of_helps(group: object, name: str = "") -> list[str]:
    commands = getattr(group, "commands", {})
    texts = [getattr(group, "help", None) or ""]
    own = [match.strip() for text in texts for match in re.findall(r"Example: (marketlake [^\n]+)", text)]
    return own + [example for key, command in commands.items() for example in of_helps(command, key)]


def of_readme() -> list[str]:
    lines = [line.strip() for block in FENCED.findall(README.read_text(encoding="utf-8")) for line in block.splitlines()]
    return [line for line in lines if line.startswith("marketlake ")]


EXAMPLES = [e for e in dict.fromkeys([*of_helps(typer.main.get_command(app)), *of_readme()]) if not e.startswith(_NOT_HERE)]


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("50% Börse daten")
    ended = run(home, ["demo"])
    assert ended.returncode == 0, ended.stderr
    return home


def run(home: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MARKETLAKE_")}
    command = [str(Path(sys.executable).with_name("marketlake")), *arguments]
    return subprocess.run(
        command, env={**environment, "MARKETLAKE_HOME": str(home)}, capture_output=True, text=True, check=False, timeout=600
    )


def test_there_are_examples_to_try() -> None:
    assert len(EXAMPLES) > 12
    assert any(example.startswith("marketlake quarantine show") for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_works_as_printed(demo_home: Path, example: str) -> None:
    ended = run(demo_home, shlex.split(example)[1:])
    # `doctor` may find that the demo's bars, which end in 2021, are old.
    allowed = {0, 1} if example == "marketlake doctor" else {0}
    assert ended.returncode in allowed, ended.stderr
    assert ended.stdout.strip()
    assert "Traceback" not in ended.stderr
