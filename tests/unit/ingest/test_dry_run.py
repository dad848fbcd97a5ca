"""A dry run says what the ingest then does, to the row, and leaves no trace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.ingest.arrivals import collect
from pipelines.ingest.dry_run import DryRun, DryRunFailedError, run_dry
from pipelines.orchestration.ingest_run import ingest
from pipelines.orchestration.runs import JobFailedError
from pipelines.sources.registry import load_sources, source

pytestmark = pytest.mark.slow
_LATER = datetime(2025, 3, 2, tzinfo=UTC)


def minutes(day: str, *, price: float = 100.0, odd: float | None = None) -> list[tuple[object, ...]]:
    first = datetime.fromisoformat(f"{day} 09:30")
    closes = [odd if odd and n == 30 else price for n in range(60)]
    return [("ODD", first + timedelta(minutes=n), c, c, c, c, 100) for n, c in enumerate(closes)]


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def trial(pipeline, path: Path) -> DryRun:
    found = collect(pipeline.lake, "XNYS", [path], source("csv"), received_at=_LATER, store=False)
    return run_dry(pipeline.lake, found.order, load_sources(), found.paths, pipeline.limits)


def test_the_account_is_that_of_the_ingest_and_nothing_is_written(dagster_pipeline, bars_csv) -> None:
    """One session is new, one corrected, one refused by the gate, one all out of line, and a row is broken."""
    pipeline = dagster_pipeline
    pipeline.ingest(pipeline.deliver("known.csv", bars_csv([*minutes("2023-12-29"), *minutes("2024-01-02")])))
    delivered = [
        *minutes("2024-01-02", price=100.5),
        *minutes("2024-01-03", odd=10_000.0),
        *minutes("2024-01-04", price=1.0),
        *minutes("2024-01-05"),
        ("ODD", "2024-01-05 11:00", 5, 4, 6, 5, 1),
    ]
    path = pipeline.settings.home / "new.csv"
    path.write_text(bars_csv(delivered))
    before = everything(pipeline.settings.home)

    tried = trial(pipeline, path)

    assert everything(pipeline.settings.home) == before
    order = collect(pipeline.lake, "XNYS", [path], source("csv"), received_at=_LATER).order
    done = ingest(pipeline.settings, order)
    assert tried.tables == done.tables
    assert tried.refused == done.refused
    assert tried.files == done.files
    assert list(tried.account.rules) == list(done.account.rules)
    assert list(tried.account.sessions) == list(done.account.sessions)
    assert done.tables["bars_1m"] == {
        "read": 241,
        "accepted": 60,
        "unchanged": 0,
        "restated": 60,
        "duplicates": 0,
        "quarantined": 121,
    }
    assert {rule["rule"] for rule in done.account.rules} == {"session_refused:range_is_possible", "out_of_line", "high_below_low"}
    assert {entry["session"] for entry in done.account.sessions} == {"2024-01-03", "2024-01-04"}
    assert done.exit_code == 1
    # Again: what was refused stays out, and the trial knows it.
    again = trial(pipeline, path)
    assert again.tables == ingest(pipeline.settings, order).tables
    assert again.tables["bars_1m"]["unchanged"] == 120


def test_sessions_refused_after_others_were_taken_out_fail_the_trial_as_they_fail_the_ingest(dagster_pipeline, bars_csv) -> None:
    """Two sessions in another unit: the second continues the first, and is out of scale once that is refused."""
    pipeline = dagster_pipeline
    days = {"2024-01-02": 1, "2024-01-03": 2, "2024-01-04": 2.02}
    daily = {
        day: [(f"S{n:02}", day, *(round(p * scale, 2) for p in (10, 10.1, 9.9, 10)), 100 + n) for n in range(10)]
        for day, scale in days.items()
    }
    pipeline.ingest(pipeline.deliver("known.csv", bars_csv(daily.pop("2024-01-02"))))
    path = pipeline.settings.home / "new.csv"
    path.write_text(bars_csv([row for rows in daily.values() for row in rows]))
    before = everything(pipeline.settings.home)

    with pytest.raises(DryRunFailedError) as tried:
        trial(pipeline, path)

    assert everything(pipeline.settings.home) == before
    with pytest.raises(JobFailedError) as failed:
        ingest(pipeline.settings, collect(pipeline.lake, "XNYS", [path], source("csv"), received_at=_LATER).order)
    assert str(tried.value).split("; an ingest")[0] == str(failed.value).split("; see the run")[0]
    assert "2024-01-04: market_keeps_its_scale" in str(tried.value)


def test_a_dry_run_in_an_empty_home_makes_no_lake(dagster_pipeline, bars_csv, tmp_path: Path) -> None:
    path = tmp_path / "first.csv"
    path.write_text(bars_csv(minutes("2024-01-02")))
    assert trial(dagster_pipeline, path).tables["bars_1m"]["accepted"] == 60
    assert not (dagster_pipeline.settings.home / "lake").exists()
