"""Faults of the machine end a command with one line, and a defect of the program still shows where it is."""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.cli.environment_faults import describe_fault
from pipelines.settings import Settings


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no room is left on the disk"),
        (errno.EROFS, "mounted read-only"),
        (errno.EACCES, "may not write there"),
        (errno.EMFILE, "too many open files"),
    ],
)
def test_what_the_operating_system_refused_is_said_with_place_and_way_out(number: int, words: str) -> None:
    message = describe_fault(OSError(number, os.strerror(number), "/home/lake"))
    assert message is not None
    assert message.startswith("/home/lake: ")
    assert words in message


def test_a_cause_deep_in_a_library_is_found() -> None:
    error = RuntimeError("step failed")
    error.__cause__ = sqlite3.OperationalError("database or disk is full")
    assert "no room is left on the disk" in str(describe_fault(error))


def test_a_defect_is_no_fault_of_the_machine() -> None:
    assert describe_fault(ValueError("3 is not 4")) is None


@pytest.mark.parametrize("fault", ["cut", "overwritten"])
def test_a_damaged_database_of_dagster_is_named(
    fault: str, home: Settings, marketlake: Callable[..., tuple[int, str, str]]
) -> None:
    path = home.dagster_home / "history" / "runs.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.execute("create table runs (id integer, body text)")
        connection.executemany("insert into runs values (?, ?)", [(n, "x" * 100) for n in range(1_000)])
    if fault == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    bars = Path(home.home, "AAPL.csv")
    bars.write_text("date,open,high,low,close,volume\n2024-01-02,1,1,1,1,1\n", encoding="utf-8")
    code, _, err = marketlake("ingest", str(bars), "--source", "csv")
    assert code == 1
    assert f"error: Dagster's database {path} is damaged (" in err
    assert "starts with an empty history" in err
    assert "Traceback" not in err


def test_a_sound_database_is_let_be(home: Settings) -> None:
    from pipelines.orchestration.home_config import require_sound_databases

    path = home.dagster_home / "history" / "index.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.execute("create table events (id integer)")
    require_sound_databases(home.dagster_home)


@pytest.fixture
def cut_history(home: Settings) -> Path:
    """A database of Dagster's that is shorter than its header says, as one is for a moment while a transaction is written."""
    path = home.dagster_home / "schedules" / "schedules.db"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table ticks (id integer, body text)")
        connection.executemany("insert into ticks values (?, ?)", [(n, "x" * 100) for n in range(1_000)])
    return path


def test_a_database_that_is_being_written_is_let_be(home: Settings, cut_history: Path) -> None:
    from pipelines.orchestration.home_config import require_sound_databases

    with closing(sqlite3.connect(cut_history, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        writer.execute("insert into ticks values (1, 'y')")
        os.truncate(cut_history, cut_history.stat().st_size // 2)
        require_sound_databases(home.dagster_home)


def test_a_database_that_is_cut_is_named_though_a_killed_process_left_its_journal(home: Settings, cut_history: Path) -> None:
    from pipelines.orchestration.home_config import HistoryUnavailableError, require_sound_databases

    os.truncate(cut_history, cut_history.stat().st_size // 2)
    cut_history.with_name(f"{cut_history.name}-journal").write_bytes(b"")
    with pytest.raises(HistoryUnavailableError, match=r"schedules\.db is damaged \(it has [\d,]+ of [\d,]+ bytes\)"):
        require_sound_databases(home.dagster_home)
