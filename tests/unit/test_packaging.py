"""What a wheel carries, what the locks pin, and that files that repeat the settings say the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from pipelines import package_data
from pipelines.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-bench.lock")
MADE_BY_RUNS = {"__pycache__", "target", "logs", "_shipped"}


def files_below(folder: str) -> list[PurePosixPath]:
    """Files of the checkout, relative to it, apart from what a run or an editor leaves there."""
    found = (path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file())
    kept = (path for path in found if not any(part in MADE_BY_RUNS or part.startswith(".") for part in path.parts))
    return sorted(PurePosixPath(path.as_posix()) for path in kept)


def entries(lock: str) -> list[str]:
    """One line a package: its pin, the environments that it is for, and the hashes of its files."""
    lines = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    return [line for line in lines if not line.startswith("#")]


def pins(lock: str) -> dict[str, str]:
    """Package to version."""
    return dict(re.split(" ;| --hash", line)[0].strip().split("==") for line in entries(lock))


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=\[; ]", name)[0]).lower()


class TestWheel:
    def test_every_data_file_of_the_package_is_package_data(self):
        globs = PROJECT["tool"]["setuptools"]["package-data"]["*"]
        endings = tuple(glob.removeprefix("**/*") for glob in globs)
        left_out = [str(path) for path in files_below("pipelines") if path.suffix != ".py" and not path.name.endswith(endings)]
        assert left_out == []

    def test_every_folder_with_code_is_a_package(self):
        folders = {path.parent for path in files_below("pipelines") if path.suffix == ".py"}
        assert [str(folder) for folder in sorted(folders) if not (ROOT / folder / "__init__.py").is_file()] == []

    @pytest.mark.slow
    def test_a_wheel_holds_every_file_and_finds_it_from_an_empty_folder(self, tmp_path):
        wheel = build_wheel(tmp_path)
        with zipfile.ZipFile(wheel) as archive:
            held = {name for name in archive.namelist() if ".dist-info/" not in name}
            archive.extractall(tmp_path / "site")
        shipped = [
            *files_below("dbt_project"),
            *files_below("expectations"),
            *map(PurePosixPath, ("requirements.lock", "workspace.yaml")),
        ]
        expected = {str(path) for path in files_below("pipelines")} | {f"pipelines/_shipped/{path}" for path in shipped}
        assert held == expected

        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        script = (
            "from pipelines import package_data; from pipelines.bundled import bundled_folder\n"
            "print(package_data.code_version(), package_data.shipped('dbt_project') / 'dbt_project.yml', "
            "package_data.shipped('expectations') / 'bars_daily.json', bundled_folder() / 'NOTICE.md', sep='\\n')"
        )
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
        printed = subprocess.run(
            [sys.executable, "-c", script], cwd=elsewhere, env=environment, check=True, capture_output=True, text=True
        ).stdout.splitlines()
        assert printed[0] == package_data.code_version()
        assert all(Path(line).is_file() and Path(line).is_relative_to(tmp_path / "site") for line in printed[1:])


def build_wheel(folder: Path) -> Path:
    """A wheel of a copy of the checkout, so that the build leaves nothing in it."""
    source = folder / "source"
    copied = [*files_below("pipelines"), *files_below("dbt_project"), *files_below("expectations")]
    named = [path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".")]
    for path in (*copied, *(PurePosixPath(path.name) for path in named)):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, source / path)
    (source / "README.md").touch()
    # What a run leaves in the dbt project must stay out of the wheel.
    (source / "dbt_project" / "target").mkdir()
    (source / "dbt_project" / "target" / "manifest.json").write_text("{}", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True, cwd=folder)
    (wheel,) = folder.glob("marketlake-*.whl")
    return wheel


class TestCodeVersion:
    @pytest.fixture
    def copy(self, tmp_path):
        """A tiny installation whose version can be asked for again and again."""
        (tmp_path / "pipelines").mkdir()
        (tmp_path / "pipelines" / "code.py").write_text("x = 1\n", encoding="utf-8")
        (tmp_path / "dbt_project").mkdir()
        (tmp_path / "dbt_project" / "model.sql").write_text("select 1\n", encoding="utf-8")
        (tmp_path / "expectations").mkdir()
        (tmp_path / "requirements.lock").write_text("numpy==2.4.6\n", encoding="utf-8")
        yield tmp_path
        package_data.code_version.cache_clear()

    def version(self, copy: Path) -> str:
        package_data.code_version.cache_clear()
        return package_data.code_version(copy / "pipelines")

    def test_is_the_same_in_a_checkout_and_in_a_wheel(self, copy):
        before = self.version(copy)
        for name in ("dbt_project", "expectations", "requirements.lock"):
            (copy / "pipelines" / "_shipped").mkdir(exist_ok=True)
            shutil.move(copy / name, copy / "pipelines" / "_shipped" / name)
        assert self.version(copy) == before

    @pytest.mark.parametrize("name", ["pipelines/code.py", "dbt_project/model.sql", "requirements.lock"])
    def test_changes_with_what_a_result_depends_on(self, copy, name):
        before = self.version(copy)
        (copy / name).write_text("changed\n", encoding="utf-8")
        assert self.version(copy) != before

    @pytest.mark.parametrize("name", ["pipelines/__pycache__/code.py", "dbt_project/target/run.sql", "dbt_project/.user.yml"])
    def test_stays_when_a_run_leaves_something_behind(self, copy, name):
        before = self.version(copy)
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("left behind\n", encoding="utf-8")
        assert self.version(copy) == before

    def test_a_file_that_moves_between_folders_is_a_change(self, copy):
        before = self.version(copy)
        shutil.move(copy / "dbt_project" / "model.sql", copy / "expectations" / "model.sql")
        assert self.version(copy) != before

    def test_an_incomplete_installation_says_what_is_missing(self, copy):
        shutil.rmtree(copy / "expectations")
        with pytest.raises(FileNotFoundError, match="expectations"):
            self.version(copy)


class TestLocks:
    @pytest.mark.parametrize("lock", LOCKS)
    def test_names_no_host(self, lock):
        text = (ROOT / lock).read_text(encoding="utf-8")
        assert "://" not in text
        assert "--index" not in text

    @pytest.mark.parametrize("lock", LOCKS)
    def test_pins_exactly_one_version_each_with_the_hashes_of_its_files(self, lock):
        entry = re.compile(r"[a-z0-9][a-z0-9.-]*==[A-Za-z0-9.+!]+( ; .+?)?(\s+--hash=sha256:[0-9a-f]{64})+")
        assert [line for line in entries(lock) if not entry.fullmatch(line)] == []
        names = [line.split("==")[0] for line in entries(lock)]
        assert len(names) == len(set(names))

    def test_the_dev_lock_only_adds_to_the_other(self):
        assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()

    def test_hold_every_requirement_of_the_project(self):
        runtime, dev = PROJECT["project"]["dependencies"], PROJECT["project"]["optional-dependencies"]["dev"]
        assert {canonical(name) for name in runtime} <= pins("requirements.lock").keys()
        assert {canonical(name) for name in dev} <= pins("requirements-dev.lock").keys()


class TestEnvironmentExample:
    TEXT = (ROOT / ".env.example").read_text(encoding="utf-8")

    def test_documents_exactly_the_settings(self):
        documented = set(re.findall(r"^# MARKETLAKE_([A-Z_]+)=", self.TEXT, flags=re.MULTILINE))
        assert documented == {name.upper() for name in Settings.model_fields}

    def test_shows_the_defaults(self, monkeypatch, tmp_path):
        for name in Settings.model_fields:
            monkeypatch.delenv(f"MARKETLAKE_{name.upper()}", raising=False)
        shown = {
            name.lower(): value
            for name, value in re.findall(r"^# MARKETLAKE_([A-Z_]+)=(.+)$", self.TEXT, flags=re.MULTILINE)
            if name != "HOME"  # its default is a place, not a value
        }
        example = tmp_path / ".env"
        example.write_text("".join(f"MARKETLAKE_{name.upper()}={value}\n" for name, value in shown.items()), encoding="utf-8")
        read, default = Settings(_env_file=example), Settings(_env_file=None)
        assert {name: getattr(read, name) for name in shown} == {name: getattr(default, name) for name in shown}
