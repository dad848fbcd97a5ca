"""Small files are written whole: who reads one meanwhile sees what was there, and a killed writer leaves it as it was."""

import hashlib
import os
from pathlib import Path

import pytest

from pipelines.whole_files import hash_file, write_whole


def test_text_and_bytes_are_written_with_their_folder_and_nothing_is_left_beside(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    write_whole(path, "Börse")
    assert path.read_text(encoding="utf-8") == "Börse"
    write_whole(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_does_not_end_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    write_whole(path, "before")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "after")
    assert path.read_text(encoding="utf-8") == "before"


def test_a_hash_is_of_the_content_and_there_is_none_without_a_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert hash_file(path) is None
    write_whole(path, "<html>")
    assert hash_file(path) == hashlib.sha256(b"<html>").hexdigest()
