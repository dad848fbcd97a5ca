"""When a file of an inbox is complete, and that it is taken once whatever its time, its name and the order of arrival."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.inbox.files import InboxFile, look
from pipelines.inbox.watch import Watch, read_cursor, recall, remember

SETTLE = 10.0


@dataclass
class Watcher:
    """A sensor's loop over a folder, with a clock of its own; the watch goes through a cursor between two looks."""

    folder: Path
    now: float = 1_000_000.0
    cursor: str | None = None
    taken: list[str] = field(default_factory=list)

    def tick(self, seconds: float = 5.0, together: bool = False) -> list[str]:
        self.now += seconds
        watch, files = Watch.from_json(read_cursor(self.cursor)), look(self.folder)
        choose = watch.settled_together if together else watch.settled
        settled = choose(files, self.now, SETTLE)
        self.cursor = json.dumps(watch.after(files, settled, self.now).to_json())
        names = [file.shown for file in settled]
        self.taken += names
        return names

    def rest(self) -> list[str]:
        """Several looks, longer than any file has to wait."""
        return [name for _ in range(5) for name in self.tick()]


@pytest.fixture
def watcher(tmp_path: Path) -> Watcher:
    (tmp_path / "inbox").mkdir()
    return Watcher(tmp_path / "inbox")


def drop(watcher: Watcher, name: str, content: str = "x", mtime: float | None = None) -> Path:
    path = watcher.folder / name
    path.write_text(content)
    if mtime is not None:
        os.utime(path, (mtime, mtime))
    return path


def test_a_file_is_taken_once_after_it_was_found_unchanged_for_the_settle_time(watcher: Watcher) -> None:
    drop(watcher, "a.csv")
    assert [watcher.tick() for _ in range(5)] == [[], [], ["a.csv"], [], []]


@pytest.mark.parametrize("mtime", [0, 1_000_000_000, 4_000_000_000], ids=["1970", "2001", "2096"])
def test_the_time_of_change_of_a_copy_hides_neither_it_nor_a_later_file(watcher: Watcher, mtime: float) -> None:
    drop(watcher, "now.csv")
    watcher.rest()
    drop(watcher, "copied.csv", mtime=mtime)
    assert watcher.rest() == ["copied.csv"]
    drop(watcher, "later.csv")
    assert watcher.rest() == ["later.csv"]


def test_a_file_that_gets_its_final_name_after_a_younger_one_was_taken_is_taken(watcher: Watcher) -> None:
    hidden = drop(watcher, ".older.csv", mtime=1_600_000_000)
    drop(watcher, "younger.csv", mtime=1_700_000_000)
    assert watcher.rest() == ["younger.csv"]
    hidden.rename(watcher.folder / "older.csv")
    assert watcher.rest() == ["older.csv"]


def test_a_file_written_slowly_under_its_final_name_is_taken_once_it_is_complete(watcher: Watcher) -> None:
    path = drop(watcher, "slow.csv")
    for _ in range(8):
        with path.open("a") as stream:
            stream.write("more\n")
        assert watcher.tick() == []
    assert watcher.rest() == ["slow.csv"]
    assert path.read_text().count("more") == 8


def test_two_files_at_once_are_both_taken_oldest_first(watcher: Watcher) -> None:
    drop(watcher, "a.csv", mtime=1_700_000_060)
    drop(watcher, "b.csv", mtime=1_700_000_000)
    assert watcher.rest() == ["b.csv", "a.csv"]


def test_a_file_that_was_replaced_is_taken_again(watcher: Watcher) -> None:
    drop(watcher, "a.csv")
    watcher.rest()
    drop(watcher, "a.csv", "a corrected one")
    assert watcher.rest() == ["a.csv"]


def test_a_delivery_waits_for_its_files_that_still_change_but_not_for_ever(watcher: Watcher) -> None:
    drop(watcher, "daily.csv")
    endless = drop(watcher, "endless.csv")
    taken_after = 0
    while not watcher.tick(together=True):
        taken_after += 1
        endless.write_text("x" * taken_after)
    assert watcher.taken == ["daily.csv"]
    # A hundred seconds are ten times the settle time; a tick takes five.
    assert taken_after == 20
    watcher.tick(together=True)
    watcher.tick(together=True)
    watcher.tick(together=True)
    assert watcher.taken == ["daily.csv", "endless.csv"]


def test_what_is_remembered_goes_with_the_files(watcher: Watcher) -> None:
    for number in range(50):
        drop(watcher, f"{number}.csv")
    watcher.rest()
    for path in watcher.folder.iterdir():
        path.unlink()
    watcher.tick()
    assert read_cursor(watcher.cursor) == {"taken": [], "waiting": {}}


@pytest.mark.parametrize("cursor", [None, "", "1402000000000000000/morning.csv", "17", "[]", '{"other": 1}'])
def test_a_cursor_of_an_earlier_version_does_not_stop_the_sensor(watcher: Watcher, cursor: str | None) -> None:
    drop(watcher, "a.csv")
    watcher.cursor = cursor
    assert watcher.rest() == ["a.csv"]


def test_a_clock_that_was_set_back_delays_a_file_by_the_settle_time_only(watcher: Watcher) -> None:
    drop(watcher, "a.csv")
    watcher.tick()
    watcher.now -= 100_000
    assert watcher.rest() == ["a.csv"]


_FILES = st.lists(
    st.builds(InboxFile, st.text(min_size=1, max_size=4), st.integers(0, 9), st.integers(0, 2**70), st.integers(1, 9)),
    unique_by=lambda file: file.name,
    max_size=6,
)


@given(_FILES, st.floats(0, 60))
@settings(deadline=None)
def test_every_file_at_rest_is_taken_exactly_once(files: list[InboxFile], settle: float) -> None:
    watch, taken, now = Watch(), [], 0.0
    for _ in range(16):
        ready = watch.settled(files, now, settle)
        taken += [file.name for file in ready]
        watch = Watch.from_json(json.loads(json.dumps(watch.after(files, ready, now).to_json())))
        now += 5.0
    assert sorted(taken) == sorted(file.name for file in files)


def test_a_file_that_cannot_be_read_is_looked_at_again_when_it_can(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(watcher, "locked.csv")
    access: Callable[..., bool] = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("locked.csv"))
    assert watcher.rest() == ["locked.csv"]
    assert watcher.rest() == []
    monkeypatch.setattr(os, "access", access)
    assert watcher.rest() == ["locked.csv"]


def test_what_is_remembered_is_a_file_that_a_short_cursor_names(tmp_path: Path) -> None:
    many = {"taken": [f"{number:016}" for number in range(1_000)], "waiting": {}}
    first = remember(tmp_path, None, {"taken": [], "waiting": {}})
    second = remember(tmp_path, first, many)
    assert (recall(tmp_path, second), len(second)) == (many, 16)
    # Were the second cursor never recorded, the first would be asked for again.
    assert recall(tmp_path, first) == {"taken": [], "waiting": {}}
    assert remember(tmp_path, second, many) == second
    assert [path.stem for path in tmp_path.iterdir()] == [second]


def test_a_cursor_whose_file_is_gone_and_one_that_is_a_path_remember_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"taken": ["a"]}')
    assert recall(tmp_path / "inbox", "0123456789abcdef") == {}
    assert recall(tmp_path / "inbox", "../secret") == {}
