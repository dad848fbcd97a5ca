"""Homes that process a small market, for tests of what must survive: crashes, readers, restatements, live batches.

Lives here: the fixtures `market` and `tape`, and `new_home`, `based_home` and `one_night_later`, which make homes that run the real
jobs.
Does not live here: the market and the commands on a home (`tests/support/small_market.py`), what is expected of them (the tests).
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pipelines.build.prepare import current_plan
from pipelines.bundled import bundled_folder
from pipelines.scanners.project import HomeProject
from tests.support import small_market
from tests.support.small_market import MIC, SESSIONS, SmallHome, Tape, arrival, copy_home


@pytest.fixture(scope="session")
def market() -> ModuleType:
    """The small market's names."""
    return small_market


@pytest.fixture(scope="session")
def tape() -> Tape:
    return Tape(bundled_folder() / "lean" / "equity" / "usa")


@pytest.fixture(scope="module", autouse=True)
def _environment_of_homes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Opening a home's Dagster instance names it in the environment; take that back after each module.

    A module that is about checks of past sessions says so by `CHECKS_PAST_SESSIONS`; the others leave them out, for their time.
    """
    names = ("DAGSTER_HOME", "MARKETLAKE_HOME", "MARKETLAKE_BUILD_DB", "MARKETLAKE_CHECKED_PAST_SESSIONS")
    before = {name: os.environ.get(name) for name in names}
    if not getattr(request.module, "CHECKS_PAST_SESSIONS", False):
        os.environ["MARKETLAKE_CHECKED_PAST_SESSIONS"] = "0"
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def dbt_parsed(made_once: Callable[..., Path]) -> Callable[[str], Path]:
    """Folder of the project as parsed for the builds of an exchange, once for all homes, as an installation leaves it."""
    from pipelines.build.database import build_path
    from pipelines.dbt.run import run_dbt
    from pipelines.package_data import shipped

    def parsed(mic: str) -> Path:
        def parse(target: Path) -> None:
            run_dbt(["parse"], build_db=Path(build_path(target, mic).name), target_dir=target, project_dir=shipped("dbt_project"))

        return made_once(f"parsed_{mic}", parse)

    return parsed


@pytest.fixture(scope="session")
def new_home(
    tmp_path_factory: pytest.TempPathFactory, dbt_manifest: Path, dbt_parsed: Callable[[str], Path]
) -> Callable[..., SmallHome]:
    """Makes an empty home whose dbt project is parsed already."""

    def make(name: str, mic: str = MIC) -> SmallHome:
        return _prepare(SmallHome(tmp_path_factory.mktemp(name), mic), dbt_manifest, dbt_parsed)

    return make


@pytest.fixture(scope="session")
def based_home(
    new_home: Callable[..., SmallHome],
    made_once: Callable[..., Path],
    dbt_manifest: Path,
    dbt_parsed: Callable[[str], Path],
    tape: Tape,
) -> Callable[..., SmallHome]:
    """Makes a home that has taken in and released the base; it was built once and is copied."""

    def build(folder: Path) -> None:
        home = _prepare(SmallHome(folder), dbt_manifest, dbt_parsed)
        home.ingest(*tape.base(folder / "inbound"), received=arrival(0))
        home.nightly()

    def make(name: str) -> SmallHome:
        return copy_home(SmallHome(made_once("based_home", build)), new_home(name))

    return make


@pytest.fixture(scope="session")
def one_night_later(
    based_home: Callable[..., SmallHome],
    new_home: Callable[..., SmallHome],
    made_once: Callable[..., Path],
    dbt_manifest: Path,
    dbt_parsed: Callable[[str], Path],
    tape: Tape,
) -> Callable[..., SmallHome]:
    """Makes a home that went on from the base with the first session and a nightly run; that was done once, and is copied."""

    def build(folder: Path) -> None:
        home = copy_home(based_home("one_night"), _prepare(SmallHome(folder), dbt_manifest, dbt_parsed))
        home.ingest(*tape.delivery(folder / "inbound", SESSIONS[0]), received=arrival(1))
        home.nightly()
        assert not current_plan(home.settings.state_dir, home.mic)["full"]

    def make(name: str) -> SmallHome:
        return copy_home(SmallHome(made_once("one_night_later", build)), new_home(name))

    return make


def _prepare(home: SmallHome, dbt_manifest: Path, dbt_parsed: Callable[[str], Path]) -> SmallHome:
    """Lay the parsed project into a home, as its first run would."""
    from pipelines.orchestration.assets.models import build_target

    shutil.copytree(dbt_manifest, HomeProject.from_settings(home.settings).manifest_dir)
    shutil.copytree(dbt_parsed(home.mic), build_target(home.settings.state_dir, home.mic))
    return home
