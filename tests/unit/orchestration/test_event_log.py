"""Sessions recorded in bulk are the events that one after another would be: each with its own session, figures and words."""

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from pipelines.orchestration.event_log import SessionEventLog, record_sessions

KEY = dg.AssetKey(["XNYS", "bars_daily"])
FIRST = date(2024, 1, 1)


@pytest.fixture
def storage(tmp_path: Path) -> SessionEventLog:
    return SessionEventLog(str(tmp_path))


def recorded(storage: SessionEventLog) -> dict[str | None, tuple[str | None, dict[str, Any]]]:
    """Message and figures by session, read as the asset pages read them."""
    wanted = dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION, asset_key=KEY)
    found: dict[str | None, tuple[str | None, dict[str, Any]]] = {}
    for record in storage.get_event_records(wanted):
        event = record.event_log_entry.dagster_event
        assert event is not None
        assert record.partition_key == event.partition
        made = event.step_materialization_data.materialization
        found[event.partition] = (event.message, {name: value.value for name, value in made.metadata.items()})
    return found


def record(storage: SessionEventLog, sessions: dict[date, dict[str, Any]]) -> None:
    run = SimpleNamespace(run_id="12345678-1234-1234-1234-123456789012", job_name="XNYS_nightly")
    instance = SimpleNamespace(event_log_storage=storage)
    record_sessions(SimpleNamespace(instance=instance, run=run), KEY, sessions)  # type: ignore[arg-type]


def test_every_session_keeps_its_own_figures(storage: SessionEventLog) -> None:
    sessions = {FIRST + timedelta(days=i): {"rows": i % 3} for i in range(40)}
    record(storage, sessions)

    assert recorded(storage) == {str(day): (f"XNYS/bars_daily of {day}", figures) for day, figures in sessions.items()}


def test_a_figure_that_names_another_session_stays_as_it_is(storage: SessionEventLog) -> None:
    sessions = {FIRST + timedelta(days=i): {"first_seen": str(FIRST)} for i in range(5)}
    record(storage, sessions)

    assert {str(figures["first_seen"]) for _, figures in recorded(storage).values()} == {str(FIRST)}
    assert set(recorded(storage)) == {str(day) for day in sessions}


@pytest.mark.slow
@pytest.mark.measured
def test_the_files_of_many_runs_can_be_written_in_turn(storage: SessionEventLog) -> None:
    """More runs than prepared statements are kept for."""
    for number in range(20):
        with storage.run_connection(f"{number:08}-0000-0000-0000-000000000000") as connection:
            connection.exec_driver_sql("select 1")
    record(storage, {FIRST: {"rows": 1}})
    assert set(recorded(storage)) == {str(FIRST)}


def test_after_a_wipe_events_are_written_to_new_files(storage: SessionEventLog, tmp_path: Path) -> None:
    with storage.run_connection("12345678-1234-1234-1234-123456789012") as connection:
        connection.exec_driver_sql("select 1")
    record(storage, {FIRST: {"rows": 1}})
    storage.wipe()
    assert recorded(storage) == {}

    with storage.run_connection("12345678-1234-1234-1234-123456789012") as connection:
        connection.exec_driver_sql("select 1")
    assert (tmp_path / "12345678-1234-1234-1234-123456789012.db").is_file()


def test_what_the_database_has_is_asked_until_it_is_there(storage: SessionEventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, there = [], set()
    (dagsters,) = SessionEventLog.__bases__

    def ask(_: Any, name: str) -> bool:
        asked.append(name)
        return name in there

    for method in ("has_asset_key_col", "has_secondary_index"):
        monkeypatch.setattr(dagsters, method, ask)
    assert not storage.has_asset_key_col("made_later")
    there.add("made_later")
    assert all(storage.has_asset_key_col("made_later") for _ in range(3))
    assert asked == ["made_later", "made_later"]
    assert storage.has_secondary_index("made_later")
    assert len(asked) == 3, "an index of the name of a column is another question"
