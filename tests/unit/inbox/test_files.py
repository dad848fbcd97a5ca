"""What lies in a folder of an inbox: hostile names, links and special files are named with their fault and stop nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.inbox.files import find, look


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "inbox"
    made.mkdir()
    (made / "good.csv").write_text("x")
    return made


def faults(folder: Path, **options: object) -> dict[str, str | None]:
    return {file.shown: file.fault for file in look(folder, **options)}  # type: ignore[arg-type]


def test_a_name_that_is_no_utf8_or_holds_a_line_end_is_refused_in_one_printable_line(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/latin\xe9.csv")).write_text("x")
    (folder / "two\nlines.csv").write_text("x")
    (folder / "red\x1b[31m.csv").write_text("x")
    found = faults(folder)
    assert found.pop("good.csv") is None
    assert set(found) == {"latin\\xe9.csv", "two\\nlines.csv", "red\\x1b[31m.csv"}
    assert all(fault is not None and "rename it" in fault for fault in found.values())
    assert all(len(file.identity) == 16 for file in look(folder))


def test_names_in_any_language_are_taken(folder: Path) -> None:
    (folder / "Kurse für März %41 ₹.csv").write_text("x")
    assert faults(folder)["Kurse für März %41 ₹.csv"] is None


def test_links_out_of_the_folder_in_a_circle_or_to_nothing_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("x")
    (folder / "out.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "parent").symlink_to(tmp_path)
    (folder / "circle.csv").symlink_to(folder / "circle.csv")
    (folder / "nowhere.csv").symlink_to(folder / "gone.csv")
    (folder / "within.csv").symlink_to(folder / "good.csv")
    found = faults(folder, deep=True)
    assert found.pop("within.csv") is None
    assert found.pop("good.csv") is None
    assert set(found) == {"out.csv", "parent", "circle.csv", "nowhere.csv"}
    assert None not in found.values()


def test_a_pipe_is_refused_without_being_opened_and_a_large_file_without_being_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    with (folder / "huge.csv").open("wb") as stream:
        stream.truncate(3 << 30)
    found = faults(folder, max_bytes=256 << 20)
    assert found["pipe.csv"] == "is no regular file"
    assert "3,072 MiB" in str(found["huge.csv"])
    assert found["good.csv"] is None


def test_unfinished_names_are_left_alone_and_folders_looked_into_where_wanted(folder: Path) -> None:
    for name in (".hidden.csv", "a.csv.part", "b.csv.tmp", "c.csv.filepart"):
        (folder / name).write_text("x")
    (folder / "2024" / ".rsync").mkdir(parents=True)
    (folder / "2024" / "day.csv").write_text("x")
    (folder / "2024" / ".rsync" / "day.csv").write_text("x")
    assert list(faults(folder)) == ["good.csv"]
    assert list(faults(folder, deep=True)) == ["2024/day.csv", "good.csv"]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert look(tmp_path / "absent", deep=True) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_listed_is_named(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0)
    assert "permissions" in str(faults(folder, deep=True)["closed"])


def test_a_file_is_found_again_by_name_within_its_folder_only(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("x")
    (folder / "parent").symlink_to(tmp_path)
    assert find(folder, "good.csv") == look(folder)[0]
    assert find(folder, "../secret.csv") is None
    assert find(folder, "parent/secret.csv") is None
    assert find(folder, "gone.csv") is None
