"""A home that was copied or moved works at its new place, and what lies at the old one is not touched."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.build.derived_tables import versions_of
from pipelines.maintenance.moved_home import publish_release, renew_moved_home
from pipelines.orchestration.home_config import prepare_home
from pipelines.orchestration.release import release_tables
from pipelines.settings import Settings
from pipelines.storage.home_place import is_in_place, note_place, noted_place
from pipelines.storage.releases import record_release

Command = Callable[..., tuple[int, str, str]]
COUNT = "select count(*) as n from bars_daily"


def files_of(home: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.lstat().st_mtime_ns, path.read_bytes()) for path in sorted(home.rglob("*")) if path.is_file()}


@pytest.fixture
def released(pipeline: Any, bars_csv: Callable[..., str]) -> Settings:
    """A home with a bar, a release, its catalogue, and Dagster's configuration."""
    pipeline.ingest(pipeline.deliver("a.csv", bars_csv([("AAPL", "2024-01-02", 100, 101, 99, 100, 1000)])))
    versions = versions_of(pipeline.lake, "XNYS", release_tables(pipeline.lake))
    record_release(pipeline.lake, "XNYS", versions, code_version="1", config={}, sessions=["2024-01-02", "2024-01-02", 1])
    settings: Settings = pipeline.settings
    publish_release(pipeline.lake, settings.state_dir, settings.catalogue_link)
    prepare_home(settings)
    return settings


@pytest.fixture(params=["copied", "copied, links followed", "moved"])
def elsewhere(request: Any, released: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "Дом # ü: 1%" / "home"
    if request.param == "moved":
        home.parent.mkdir()
        released.home.rename(home)
    else:
        shutil.copytree(released.home, home, symlinks=request.param == "copied")
    monkeypatch.setenv("MARKETLAKE_HOME", str(home))
    return home


@pytest.mark.slow
@pytest.mark.measured
def test_it_answers_from_its_own_files_and_the_original_stays(
    elsewhere: Path, released: Settings, pipeline: Any, bars_csv: Callable[..., str], marketlake: Command
) -> None:
    before = files_of(released.home)
    code, out, err = marketlake("sql", COUNT, "--format", "json")
    assert (code, json.loads(out)) == (0, [{"n": 1}])
    assert f"was copied or moved from {released.home / 'lake'}: its catalogue was made anew" in err
    assert (elsewhere / "marketlake.duckdb").is_symlink()
    assert str(released.home).encode() + b"/lake" not in (elsewhere / "marketlake.duckdb").read_bytes()
    code, _, err = marketlake("sql", COUNT)
    assert (code, "moved" in err) == (0, False)
    assert "catalogue" not in {f["check"] for f in json.loads(marketlake("doctor", "--json")[1]) if not f["ok"]}
    assert files_of(released.home) == before


def test_dagsters_history_is_its_own(elsewhere: Path, released: Settings) -> None:
    from pipelines.orchestration.instance import open_instance

    before = files_of(released.home)
    with open_instance(Settings(home=elsewhere)) as instance:
        assert instance.get_runs_count() == 0
    assert [*(elsewhere / ".state" / "dagster" / "history").glob("*.db")]
    assert files_of(released.home) == before


def test_an_edited_configuration_keeps_what_was_edited(elsewhere: Path) -> None:
    path = elsewhere / ".state" / "dagster" / "dagster.yaml"
    path.write_text(path.read_text().replace("max_concurrent_runs: 4", "max_concurrent_runs: 2"))
    prepare_home(Settings(home=elsewhere))
    assert "max_concurrent_runs: 2" in path.read_text()
    assert f'base_dir: "{elsewhere}/.state/dagster/history"' in path.read_text()


def test_the_database_of_dbt_is_made_anew(released: Settings, tmp_path: Path) -> None:
    record = released.state_dir / "dbt" / "release.json"
    record.parent.mkdir()
    record.write_text("{}")
    home = tmp_path / "copy"
    shutil.copytree(released.home, home, symlinks=True)
    copy = Settings(home=home)
    assert renew_moved_home(lake_of(copy), copy.state_dir, copy.catalogue_link) == released.lake_root
    assert not (copy.state_dir / "dbt" / "release.json").exists()
    assert record.exists()


def test_a_home_without_a_note_is_recognised_by_its_catalogue(released: Settings, tmp_path: Path) -> None:
    """Homes that earlier versions made have none."""
    (released.state_dir / "lake_root").unlink()
    home = tmp_path / "copy"
    shutil.copytree(released.home, home, symlinks=True)
    assert renew_moved_home(lake_of(released), released.state_dir, released.catalogue_link) is None
    assert noted_place(released.state_dir) == released.lake_root
    copy = Settings(home=home)
    assert renew_moved_home(lake_of(copy), copy.state_dir, copy.catalogue_link) == "another folder"


def test_one_home_by_two_paths_is_not_moved(released: Settings, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(released.home)
    assert is_in_place(released.state_dir, str(link / "lake"))
    before = files_of(released.home)
    assert renew_moved_home(lake_of(Settings(home=link)), link / ".state", link / "marketlake.duckdb") is None
    assert files_of(released.home) == before


def test_a_folder_without_state_is_left_as_it_is(home: Settings) -> None:
    assert renew_moved_home(lake_of(home), home.state_dir, home.catalogue_link) is None
    assert not home.state_dir.exists()
    home.state_dir.mkdir()
    note_place(home.state_dir, "/elsewhere")
    assert not is_in_place(home.state_dir, home.lake_root)


def lake_of(settings: Settings) -> Any:
    from pipelines.storage.location import Lake

    return Lake.from_settings(settings)
