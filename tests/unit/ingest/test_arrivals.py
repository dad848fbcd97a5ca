"""From paths to an order: what is found in folders, what is left out, and that one bad file does not stop the others."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.ingest.arrivals import Collected, NoFilesError, collect, delivered_name
from pipelines.sources.registry import source
from pipelines.storage.location import Lake

_WHEN = datetime(2025, 3, 1, tzinfo=UTC)


def gather(tmp_path: Path, *paths: Path) -> Collected:
    return collect(Lake(str(tmp_path / "lake")), "XNYS", paths, source("csv"), received_at=_WHEN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "inbound"
    made.mkdir()
    (made / "good.csv").write_text("date,open,high,low,close\n2024-01-02,1,2,1,2\n")
    return made


def names(collected: Collected) -> list[str]:
    return [Path(d.name).name for d in collected.order.deliveries]


def test_a_link_out_of_the_folder_is_not_followed_and_said_one_within_counts_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "more.csv").write_text("x")
    (folder / "out.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "others").symlink_to(tmp_path / "other")
    (folder / "again.csv").symlink_to(folder / "good.csv")
    (folder / "up").symlink_to(folder)
    (folder / "nowhere.csv").symlink_to(folder / "gone.csv")
    done = gather(tmp_path, folder)
    assert names(done) == ["good.csv"]
    assert [(Path(f.name).name, f.refused) for f in done.left_out] == [("others", False), ("out.csv", False)]
    assert all("link" in f.reason for f in done.left_out)


def test_a_link_that_was_named_itself_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(folder / "good.csv")
    assert names(gather(tmp_path, tmp_path / "link.csv")) == ["good.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_or_folder_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.csv").write_text("x")
    (folder / "bad.csv").chmod(0)
    (folder / "closed").mkdir(mode=0)
    done = gather(tmp_path, folder)
    assert names(done) == ["good.csv"]
    assert [(Path(f.name).name, f.refused) for f in done.left_out] == [("closed", True), ("bad.csv", True)]
    assert all("Permission denied" in f.reason for f in done.left_out)


def test_a_file_that_fails_to_read_is_refused_and_the_others_go_on(folder: Path, tmp_path: Path, monkeypatch) -> None:
    from pipelines.ingest import arrivals

    (folder / "bad.csv").write_text("x")
    real = arrivals.store_raw

    def store(lake: Lake, mic: str, path: Path, **known: object):
        if path.name == "bad.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return real(lake, mic, path, **known)  # type: ignore[arg-type]

    monkeypatch.setattr(arrivals, "store_raw", store)
    done = gather(tmp_path, folder)
    assert names(done) == ["good.csv"]
    assert [(f.refused, f.reason) for f in done.left_out] == [(True, "cannot be read (Permission denied)")]


def test_what_is_no_file_is_neither_read_nor_waited_for(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    assert names(gather(tmp_path, folder)) == ["good.csv"]
    with pytest.raises(NoFilesError, match="no regular file"):
        gather(tmp_path, Path("/dev/zero"))


def test_files_that_the_source_does_not_claim_are_counted_in_one_line(folder: Path, tmp_path: Path) -> None:
    for n in range(13):
        (folder / f"note{n:02}.pdf").write_text("x")
    (line,) = gather(tmp_path, folder).left_out
    assert line.name.startswith("13 other files, such as")
    assert "note00.pdf" in line.name
    assert not line.refused


def test_a_name_that_is_no_utf_8_is_written_out(folder: Path, tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.csv"))).write_text("date,open,high,low,close\n2024-01-02,1,2,1,3\n")
    assert "caf\\xe9.csv" in names(gather(tmp_path, folder))


def test_a_name_is_the_whole_path_or_says_that_it_was_cut() -> None:
    assert delivered_name(Path("/inbound/README.md")) == "/inbound/README.md"
    assert delivered_name(Path("/a/b/c/d/e/f.csv")) == "/a/b/c/d/e/f.csv"
    assert delivered_name(Path("/top/a/b/c/d/e/f.csv")) == "…/a/b/c/d/e/f.csv"
