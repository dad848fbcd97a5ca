"""`marketlake maintain`: frees what is old and held by nothing, keeps the rest, says both; a dry run deletes nothing."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.cleaning import clean

Command = Callable[..., tuple[int, str, str]]
NOW = datetime(2025, 6, 1, tzinfo=UTC)
PRICES = (100, 101, 99, 100, 1000)


def file(path: Path, age_days: float, content: str = "x" * 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return aged(path, age_days)


def aged(path: Path, age_days: float) -> Path:
    moment = (NOW - timedelta(days=age_days)).timestamp()
    os.utime(path, (moment, moment))
    return path


@pytest.fixture
def lived_in(pipeline: Any, bars_csv: Callable[..., str]) -> Any:
    """A home with two deliveries in its lake, and old and young things of every kind in its state."""
    for number, day in enumerate(("2024-01-02", "2024-01-03")):
        pipeline.ingest(pipeline.deliver(f"{number}.csv", bars_csv([("AAPL", day, *PRICES)])))
    state = pipeline.settings.state_dir
    for name, old in (("old", 8), ("young", 6)):
        file(state / "staged" / "XNYS" / name / "bars_daily.parquet", old)
        aged(state / "staged" / "XNYS" / name, old)
        file(state / "build" / f"{name}.duckdb", old)
        file(state / "catalogue" / f"{name}.duckdb", old)
        file(state / "logs" / f"{name}.log", old * 12)
        file(Path(pipeline.table("bars_daily").uri, "session_year=2024", f"part-00000009-{name}.parquet"), old)
    return pipeline


@pytest.mark.slow
@pytest.mark.measured
def test_what_is_old_goes_and_what_is_young_or_needed_stays(lived_in: Any) -> None:
    state, table = lived_in.settings.state_dir, lived_in.table("bars_daily")
    current = (state / "staged" / "XNYS" / "current").read_text()
    aged(state / "staged" / "XNYS" / current, 400)
    # Files of every version of the table are old, too.
    for path in Path(table.uri).rglob("part-*.parquet"):
        if "young" not in path.name:
            aged(path, 400)
    before = [table.read(version) for version in range(1, 3)]
    done = clean(lived_in, NOW)
    assert {share.what: share.count for share in done.freed if share.what not in {"records of the gate", "requests"}} == {
        "staged batches": 1,
        "build databases": 1,
        "catalogues": 1,
        "logs": 1,
        "orphans": 1,
    }
    assert not list(state.rglob("old*"))
    assert {path.parent.name for path in state.rglob("young*")} >= {"build", "catalogue", "logs", "XNYS"}
    assert (state / "staged" / "XNYS" / current).is_dir()
    assert all(table.read(version).equals(rows) for version, rows in zip(range(1, 3), before, strict=True))
    assert [path.name for path in Path(table.uri).rglob("*young*")] == ["part-00000009-young.parquet"]
    assert all(share.why for share in (*done.freed, *done.kept))
    assert clean(lived_in, NOW).freed == ()


def test_a_dry_run_tells_the_same_and_deletes_nothing(lived_in: Any) -> None:
    files = sorted(path for path in lived_in.settings.home.rglob("*") if path.is_file())
    told = clean(lived_in, NOW, dry_run=True)
    assert sorted(path for path in lived_in.settings.home.rglob("*") if path.is_file()) == files
    assert told.freed == clean(lived_in, NOW).freed


def test_a_file_of_another_program_that_the_log_names_is_no_orphan(lived_in: Any) -> None:
    from tests.support.faults import append_foreign

    table = lived_in.table("bars_daily")
    append_foreign(table)
    for path in Path(table.uri).rglob("*.parquet"):
        aged(path, 400)
    clean(lived_in, NOW)
    assert table.read().height == 3


def test_the_command_says_what_it_freed_and_kept(lived_in: Any, marketlake: Command) -> None:
    code, out, _ = marketlake("maintain", "--dry-run", "--json")
    content = json.loads(out)
    assert (code, content["dry_run"]) == (0, True)
    assert {share["what"] for share in content["freed"]} >= {"staged batches", "build databases"}
    code, out, _ = marketlake("maintain")
    assert (code, "freed" in out, "the newest versions, kept releases or the last 7 days have them" in out) == (0, True, True)


def test_the_weekly_job_does_the_same_and_shows_it(lived_in: Any) -> None:
    import dagster as dg

    from pipelines.orchestration.maintenance import maintenance_job, maintenance_schedule
    from pipelines.orchestration.resources import run_resources

    with dg.DagsterInstance.ephemeral() as instance:
        result = maintenance_job().execute_in_process(instance=instance, resources=run_resources(lived_in.settings))
    assert result.success
    assert not list((lived_in.settings.state_dir / "build").glob("old*"))
    assert maintenance_schedule().cron_schedule == "0 3 * * 0"
