"""`marketlake dbt` as typed, and plain dbt in `dbt_project/`: what they need, what they end with, and what they say without it."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.dbt.run import run_dbt_command
from pipelines.package_data import shipped
from pipelines.settings import Settings
from tests.support.dbt_connections import close_connections

Command = Callable[..., tuple[int, str, str]]
DAY = date(2024, 1, 2)


def test_wrong_input_is_one_line_and_leaves_the_folder_alone(home: Settings, marketlake: Command) -> None:
    run = ("--", "build", "-s", "staging")
    asked: dict[tuple[str, ...], tuple[int, str]] = {
        (): (2, "say what dbt is to do, for example `marketlake dbt -- build -s staging`, or give --prepare"),
        ("--full", "--session", str(DAY), *run): (2, "give either --session or --full, not both"),
        ("--exchange", "XNSE", *run): (2, "XNSE is not configured"),
        ("--exchange", "XXXX", *run): (2, "XXXX"),
        ("--session", "2024-01-01", *run): (2, "is no session of XNYS"),
        ("--session", "yesterday", *run): (2, "'yesterday' is no date"),
        run: (1, "nothing of XNYS is released yet: run `marketlake nightly --exchange XNYS` first"),
        run[1:]: (1, "nothing of XNYS is released yet"),
    }
    for arguments, (code, line) in asked.items():
        ended, out, err = marketlake("dbt", *arguments)
        assert (ended, out, err.count("\n")) == (code, "", 1), arguments
        assert err.startswith("error: "), arguments
        assert line in err, arguments
    assert list(home.home.iterdir()) == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one model that works and one that does not."""
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    shutil.copy(shipped("dbt_project") / "profiles.yml", folder)
    (folder / "dbt_project.yml").write_text("name: small\nprofile: marketlake\nconfig-version: 2\n")
    (folder / "models" / "good.sql").write_text("select 1 as one")
    (folder / "models" / "bad.sql").write_text("select 1 as one from nowhere")
    return folder


@pytest.mark.slow
def test_it_ends_with_the_exit_code_of_dbt(tmp_path: Path, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    places = {"build_db": tmp_path / "x.duckdb", "target_dir": tmp_path / "target", "project_dir": project, "indicators": None}
    codes = [run_dbt_command(words, **places) for words in (["run", "-s", "good"], ["run", "-s", "bad"], ["ruin"])]
    assert codes == [0, 1, 2]
    assert "nowhere" in capfd.readouterr().out


@pytest.mark.slow
def test_plain_dbt_needs_no_variable_and_works_on_what_prepare_left(
    released: Settings, marketlake: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a checkout: the home is the folder above the project."""
    copy = released.home / "dbt_project"
    shutil.copytree(shipped("dbt_project"), copy, ignore=shutil.ignore_patterns("target", "logs"))
    for name in ("MARKETLAKE_HOME", "MARKETLAKE_BUILD_DB"):
        monkeypatch.delenv(name, raising=False)

    def plain(*arguments: str) -> tuple[int, str]:
        from dbt.cli.main import cli

        monkeypatch.chdir(copy)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(args=[*arguments], prog_name="dbt")
        close_connections()
        return code_of(ended.value), capfd.readouterr().out

    assert plain("compile", "--quiet")[0] == 0
    code, out = plain("build", "-s", "stg_bars_daily")
    assert code == 1
    assert "has no table lake.bars_daily: make it from the latest release with `marketlake dbt --prepare`" in " ".join(out.split())

    monkeypatch.chdir(released.home)
    code, out, _ = marketlake("dbt", "--prepare")
    assert (code, "release r00001" in out, "session 2024-01-02" in out) == (0, True, True)
    code, out = plain("build", "-s", "staging")
    assert code == 0, out
    assert "ERROR=0" in out


def code_of(end: Any) -> int:
    return int(end.code or 0)
