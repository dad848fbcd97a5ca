"""What tests of the whole project share: a home of their own, the folder of other people's data, and a pipeline into the lake.

Lives here: the fixtures `home`, `pipeline`, `shared`, `mart`, `made_once`, and the dbt manifest, which every home copies instead of
parsing the project again.
Does not live here: what tests import (`tests/support/`), data of one part's tests (their own conftest or the test itself).
"""

import csv
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import settings as hypothesis_settings

from pipelines.indicators.registry import installed
from pipelines.ingest.suites import Suite, run_suite
from pipelines.market.calendar import calendar
from pipelines.settings import Settings
from tests.support.order import place_of
from tests.support.pipeline import Pipeline, make_home

# A test says what holds, not how fast this machine is.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")

MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, then others with slow tests, so that no worker is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: place_of(item.path, is_slow=item.path in slow))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of other people's data and figures beside the checkout; the test is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder ../shared with other people's data is not here")
    return folder


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Every test leaves the handlers of signals as it found them: what a process ignores, its children ignore too."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def marketlake(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command in this process, as the program runs it: exit code, standard output and standard error."""
    from pipelines.cli.app import main

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["marketlake", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an empty home of this test alone, of the exchange XNYS; the environment names it too."""
    return make_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def suite() -> Suite:
    """What judges the batches of `pipeline`; a module of tests that are not about the gate has a fixture of this name instead."""
    return run_suite


@pytest.fixture
def pipeline(home: Settings, suite: Suite) -> Pipeline:
    return Pipeline(home, suite)


@pytest.fixture(scope="session")
def bars_csv() -> Callable[[Iterable[Sequence[object]]], str]:
    """Text of a file of bars: rows of (symbol, date or local time, open, high, low, close, volume)."""

    def text(rows: Iterable[Sequence[object]]) -> str:
        from io import StringIO

        out = StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["symbol", "date", "open", "high", "low", "close", "volume"])
        writer.writerows(rows)
        return out.getvalue()

    return text


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """`made_once(name, make)`: a folder that `make` filled once for all of pytest's workers; those that need it meanwhile wait."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        found, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(found, ignore_errors=True)
                found.mkdir()
                make(found)
                done.touch()
        return found

    return folder


@pytest.fixture(scope="session")
def dbt_manifest(made_once: MadeOnce) -> Path:
    """Folder of the dbt project's manifest, parsed once."""
    from tests.support.home_project import shipped_project

    return made_once("manifest", lambda folder: shipped_project(folder / ".state").compile(folder))


@pytest.fixture
def mart(dbt_manifest: Path) -> Iterator[Callable[..., pl.DataFrame]]:
    """`mart(name, exchange, frames)`: rows of marts.<name>, its windows being every bar given, or `window` (daily only)."""
    import duckdb

    from pipelines.build.lake_schema import create_lake_schema
    from pipelines.market.closing_auction import closing_auctions
    from pipelines.scanners.registry import load_scanners

    compiled = load_scanners(dbt_manifest / "manifest.json")
    opened = []

    def rows(name: str, exchange: str, frames: Mapping[str, pl.DataFrame], window: pl.DataFrame | None = None) -> pl.DataFrame:
        connection = duckdb.connect()
        opened.append(connection)
        create_lake_schema(connection, installed())
        given = {"sessions": calendar(exchange).frame(), "closing_auctions": closing_auctions(exchange), **frames}
        for table, frame in given.items():
            connection.register("incoming", frame.to_arrow())
            connection.execute(f"insert into lake.{table} by name select * from incoming")
            connection.unregister("incoming")
        if window is not None:
            connection.register("incoming", window.to_arrow())
            connection.execute("insert into lake.window_daily by name select * from incoming")
        for target, bars in (("window_daily", "bars_daily"), ("window_1m", "bars_1m")) if window is None else ():
            connection.execute(
                f"insert into lake.{target} "
                f"select instrument_id, min(session_date), max(session_date), max(session_date) from lake.{bars} group by all"
            )
        for model in compiled.needed([f"marts.{name}"], frozenset()):
            schema = model.relation.split(".")[0]
            connection.execute(f"create schema if not exists {schema}")
            connection.execute(f"create table {model.relation} as {model.sql}")
        return connection.sql(f"from marts.{name}").pl()

    yield rows
    for connection in opened:
        connection.close()


@pytest.fixture
def dagster_pipeline(pipeline: Pipeline, dbt_manifest: Path) -> Pipeline:
    """A pipeline whose home can run Dagster jobs at once: the manifest is in place."""
    shutil.copytree(dbt_manifest, pipeline.settings.state_dir / "dbt" / "manifest")
    return pipeline


@pytest.fixture(scope="module")
def module_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline shared by the tests of one module: for what takes long to set up and is then mostly read."""
    with pytest.MonkeyPatch.context() as patch:
        yield Pipeline(make_home(tmp_path_factory.mktemp("module") / "home", patch))


@pytest.fixture(scope="module")
def module_dagster_pipeline(module_pipeline: Pipeline, dbt_manifest: Path) -> Pipeline:
    """The same, ready to run Dagster jobs at once: the manifest is in place."""
    shutil.copytree(dbt_manifest, module_pipeline.settings.state_dir / "dbt" / "manifest")
    return module_pipeline
