"""The page of dbt's documentation stays until what it shows has changed. dbt is a stand-in that writes a page."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.build import release_docs
from pipelines.build.release_build import ReleaseDatabase, release_database_path
from pipelines.build.release_docs import docs_path, document_release
from pipelines.dbt.run import DbtError

DATABASE = ReleaseDatabase("XNYS", "r00001", "2024-01-02")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with a database; dbt writes a page that says how often it was run, and to the database, as DuckDB may."""
    database = release_database_path(tmp_path)
    database.parent.mkdir()
    database.write_bytes(b"made")
    runs: list[list[str]] = []

    def run_dbt(arguments: list[str], *, build_db: Path, target_dir: Path, project_dir: Path) -> list[dict[str, Any]]:
        runs.append(arguments)
        target_dir.mkdir(exist_ok=True)
        (target_dir / "static_index.html").write_text(f"page {len(runs)} of {project_dir.name}")
        build_db.write_bytes(b"opened")
        return []

    monkeypatch.setattr(release_docs, "run_dbt", run_dbt)
    return tmp_path


def page(state: Path) -> str:
    return docs_path(state).read_text()


def test_a_page_is_kept_until_release_models_or_database_change(state: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    assert document_release(DATABASE, state, project, "1")
    assert not document_release(DATABASE, state, project, "1")
    assert page(state) == "page 1 of project"

    assert document_release(DATABASE, state, project, "2"), "a model was edited"
    assert document_release(ReleaseDatabase("XNYS", "r00002", "2024-01-03"), state, project, "2"), "a newer release"
    assert not document_release(ReleaseDatabase("XNYS", "r00002", "2024-01-03"), state, project, "2")
    release_database_path(state).write_bytes(b"with a model that dbt built")
    assert document_release(ReleaseDatabase("XNYS", "r00002", "2024-01-03"), state, project, "2"), "dbt built a model"
    assert page(state) == "page 4 of project"


def test_a_page_that_dbt_cannot_make_leaves_the_last_one_and_is_tried_again(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_release(DATABASE, state, tmp_path, "1")

    def fails(*_: Any, **__: Any) -> list[dict[str, Any]]:
        raise DbtError("dbt docs failed")

    with monkeypatch.context() as broken:
        broken.setattr(release_docs, "run_dbt", fails)
        with pytest.raises(DbtError):
            document_release(DATABASE, state, tmp_path, "2")
    assert page(state).startswith("page 1")
    assert document_release(DATABASE, state, tmp_path, "2")
    assert page(state).startswith("page 2")


def test_the_page_is_one_file_without_leftovers(state: Path, tmp_path: Path) -> None:
    document_release(DATABASE, state, tmp_path, "1")
    assert sorted(path.name for path in docs_path(state).parent.iterdir()) == ["index.html", "made_of.json"]
