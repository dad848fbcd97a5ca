"""The gate as a blocking check of the ingest job: a refused session changes nothing, the others go in, no way leads around it."""

import logging
from datetime import date, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest

from pipelines.definitions import build_definitions
from pipelines.ingest import parsing
from pipelines.ingest.batches import read_batch
from pipelines.ingest.publish import run_gate
from pipelines.ingest.requests import save_request
from pipelines.orchestration.ingest_run import ingest
from pipelines.orchestration.instance import open_instance
from pipelines.orchestration.jobs import ingest_job_name
from pipelines.orchestration.keys import INGESTED, staged_key, table_key
from pipelines.orchestration.runs import JobFailedError
from pipelines.sources.reading import read_file
from pipelines.sources.registry import load_sources
from pipelines.storage.delta import LakeTable
from tests.support.pipeline import stage_request

BEFORE, BAD, NEXT = date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)
pytestmark = [pytest.mark.slow, pytest.mark.measured]

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CHECK = dg.AssetCheckKey(staged_key("XNYS", "bars_1m"), "gate_bars_1m")


def minutes(day: date, *, close: float = 100.0, odd: float | None = None) -> list[tuple[object, ...]]:
    """A session's first hour; one of its minutes may be at a price of its own."""
    opened = datetime.fromisoformat(f"{day} 09:30")
    prices = [odd if odd and n == 30 else close for n in range(60)]
    return [("ODD", opened + timedelta(minutes=n), p, p, p, p, 100) for n, p in enumerate(prices)]


@pytest.fixture(scope="module")
def case(module_dagster_pipeline, bars_csv) -> SimpleNamespace:
    """Two sessions in the lake, then a delivery that restates both, one with a minute at a hundredfold, and adds a third."""
    pipeline = module_dagster_pipeline
    request = pipeline.order(pipeline.deliver("first.csv", bars_csv([*minutes(BEFORE), *minutes(BAD)])))
    first = ingest(pipeline.settings, request)
    before = pipeline.rows("bars_1m")
    rows = [*minutes(BEFORE, close=100.5), *minutes(BAD, odd=10_000.0), *minutes(NEXT)]
    order = pipeline.order(pipeline.deliver("second.csv", bars_csv(rows)))
    parsed: list[str] = []

    def count(sources, name, raw, options):
        parsed.append(raw.name)
        return read_file(sources, name, raw, options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "read_file", count)
        report = ingest(pipeline.settings, order)
    with open_instance(pipeline.settings) as instance:
        # Newest first: the second delivery, the first one.
        runs = instance.get_runs()
        logged = instance.all_logs(runs[0].run_id)
        history = instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=20)
        daily = dg.AssetCheckKey(staged_key("XNYS", "bars_daily"), "gate_bars_daily")
        unjudged = instance.event_log_storage.get_asset_check_execution_history(daily, limit=20)
        sessions = {t: instance.get_materialized_partitions(table_key("XNYS", t)) for t in INGESTED}
        latest = dg.AssetRecordsFilter(table_key("XNYS", "bars_1m"), asset_partitions=[str(BAD)])
        shown = instance.fetch_materializations(latest, limit=1).records[0].asset_materialization
        sessions |= {f"staged_{t}": instance.get_materialized_partitions(staged_key("XNYS", t)) for t in INGESTED}
        newest = instance.get_latest_materialization_event(table_key("XNYS", "bars_1m"))
    assert shown is not None
    assert newest is not None
    facts = {
        "newest": newest.asset_materialization,
        "shown": shown.metadata,
        "runs": runs,
        "logged": logged,
        "history": history,
        "unjudged": unjudged,
        "parsed": parsed,
        "sessions": sessions,
    }
    return SimpleNamespace(pipeline=pipeline, first=first, before=before, order=order, report=report, **facts)


def test_the_refused_session_is_as_it_was_and_the_others_are_published(case: SimpleNamespace) -> None:
    after = case.pipeline.rows("bars_1m")
    assert case.first.exit_code == 0
    assert after.filter(pl.col("session_date") == BAD).equals(case.before.filter(pl.col("session_date") == BAD))
    closes = dict(after.group_by("session_date").agg(pl.col("close").unique()).rows())
    assert closes == {BEFORE: [100.5], BAD: [100.0], NEXT: [100.0]}
    superseded = case.pipeline.rows("bars_1m_superseded")
    assert superseded["session_date"].unique().to_list() == [BEFORE]


def test_the_report_names_session_and_expectation_and_ends_with_one(case: SimpleNamespace) -> None:
    report = case.report
    assert report.exit_code == 1
    assert report.refused == {"bars_1m": [f"refused: {BAD}: range_is_possible"]}
    assert report.tables["bars_1m"] == {
        "read": 180,
        "accepted": 60,
        "unchanged": 0,
        "restated": 60,
        "duplicates": 0,
        "quarantined": 60,
    }
    assert [f["status"] for f in report.files] == ["accepted"]


def test_the_file_is_parsed_once_although_a_session_of_it_is_refused(case: SimpleNamespace) -> None:
    assert case.parsed == ["second.csv"]


def test_one_run_shows_the_refusal_as_a_failed_check_and_publishes_the_rest(case: SimpleNamespace) -> None:
    assert [r.status for r in case.runs] == [dg.DagsterRunStatus.SUCCESS] * 2
    events = [e.dagster_event for e in case.logged if e.dagster_event]
    made = {e.asset_key for e in events if e.is_step_materialization}
    assert made >= {staged_key("XNYS", "bars_1m"), table_key("XNYS", "bars_1m")}
    (validation,) = [
        e.asset_check_evaluation_data
        for e in events
        if e.event_type_value == "ASSET_CHECK_EVALUATION" and not e.event_specific_data.passed
    ]
    # Of severity ERROR it would keep the other sessions from being published.
    assert (validation.asset_check_key, validation.severity, validation.blocking) == (CHECK, dg.AssetCheckSeverity.WARN, True)
    assert validation.description == f"refused: {BAD}: range_is_possible"
    assert r"range\_is\_possible | critical" in validation.metadata["failed"].value
    assert str(BAD) in validation.metadata["failed"].value
    assert (validation.metadata["sessions"].value, validation.metadata["sessions_refused"].value) == (3, 1)


def test_the_runs_log_says_as_an_error_what_is_refused(case: SimpleNamespace) -> None:
    said = [entry.user_message for entry in case.logged if entry.level == logging.ERROR]
    assert any(f"the gate of bars_1m refused: {BAD}: range_is_possible" in line for line in said), said


def test_the_gate_of_a_table_without_rows_has_no_result(case: SimpleNamespace) -> None:
    """Minutes alone were delivered: no expectation on daily bars ran, so none held."""
    judged = {
        e.dagster_event.asset_check_evaluation_data.asset_check_key.name
        for e in case.logged
        if e.dagster_event and e.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
    }
    assert "gate_bars_1m" in judged
    assert "gate_bars_daily" not in judged
    assert {record.status.value for record in case.unjudged} == {"PLANNED"}


def test_a_table_is_materialised_for_the_sessions_of_which_the_runs_brought_rows_and_no_other(case: SimpleNamespace) -> None:
    """Minutes of three sessions, nothing else; the instrument is new on the first of them."""
    made = {name: sessions for name, sessions in case.sessions.items() if sessions}
    assert made.pop("bars_1m") == made.pop("staged_bars_1m") == {str(BEFORE), str(BAD), str(NEXT)}
    assert made.pop("instruments") == {str(BEFORE)}
    assert set(made) <= {"staged_instruments", "instrument_aliases", "staged_instrument_aliases"}


def test_the_tables_page_opens_with_its_newest_session_and_the_figures_of_the_whole_run(case: SimpleNamespace) -> None:
    assert case.newest.partition == str(NEXT)
    assert {"delta_version", "whole_run", "rows_accepted", "rows_restated"} <= case.newest.metadata.keys()


def test_a_sessions_page_shows_its_rows_in_the_table(case: SimpleNamespace) -> None:
    """Of the session that was refused the second time: the minutes of its first delivery."""
    assert case.shown["dagster/partition_row_count"].value == 60


def test_the_checks_history_has_one_line_a_run(case: SimpleNamespace) -> None:
    assert [(record.run_id, record.partition) for record in case.history] == [(run.run_id, None) for run in case.runs]
    assert {record.status.value for record in case.history} <= {"SUCCEEDED", "FAILED"}, "a line without a verdict"


def test_rows_of_the_refused_session_lie_in_quarantine_once(case: SimpleNamespace) -> None:
    held = case.pipeline.rows("quarantine")
    assert held.group_by("table_name", "rule", "session_date").len().rows() == [
        ("bars_1m", "session_refused:range_is_possible", BAD, 60)
    ]
    assert held["row_number"].n_unique() == 60


def test_the_same_delivery_again_is_unchanged_and_still_kept_out(case: SimpleNamespace) -> None:
    version = case.pipeline.table("bars_1m").version()
    again = ingest(case.pipeline.settings, case.order)
    assert again.tables["bars_1m"] == {
        "read": 180,
        "accepted": 0,
        "unchanged": 120,
        "restated": 0,
        "duplicates": 0,
        "quarantined": 60,
    }
    assert case.pipeline.table("bars_1m").version() == version
    assert case.pipeline.rows("quarantine").height == 60


def run_without_checks(pipeline, order, *keys: dg.AssetKey) -> dg.ExecuteInProcessResult:
    """Some assets of the ingest job, and none of its checks: as the UI can launch it."""
    save_request(order, pipeline.settings.state_dir)
    config = {**QUIET, "ops": {"XNYS__raw_files": {"config": {"request_id": order.request_id}}}}
    job = build_definitions(pipeline.settings).resolve_job_def(ingest_job_name("XNYS"))
    part = job.get_subset(asset_selection={table_key("XNYS", "raw_files"), *keys}, asset_check_selection=set())
    with open_instance(pipeline.settings) as instance:
        return part.execute_in_process(instance=instance, run_config=config, partition_key="2024-01-05", raise_on_error=False)


def why(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [e for e in result.all_events if e.is_step_failure]
    return f"{event.step_key}: {event.step_failure_data.error.cause.message.strip()}"


@pytest.fixture
def sound(case: SimpleNamespace, bars_csv, request: pytest.FixtureRequest):
    """An order of a sound session, staged and not judged; different bytes for each test."""
    pipeline, price = case.pipeline, 100 + len(request.node.name)
    rows = [("SOUND", "2024-01-05", price, price + 1, price - 1, price, 100)]
    order = pipeline.order(pipeline.deliver("sound.csv", bars_csv(rows)))
    return order, stage_request(pipeline.lake, order, load_sources(), pipeline.settings.state_dir, pipeline.limits)


def sound_rows(case: SimpleNamespace) -> int:
    return LakeTable(case.pipeline.lake.table_uri("XNYS", "bars_daily"), case.pipeline.table("bars_daily").schema).read().height


def test_a_run_that_leaves_the_check_out_publishes_nothing(case: SimpleNamespace, sound) -> None:
    order, _ = sound
    before = sound_rows(case)
    result = run_without_checks(case.pipeline, order, staged_key("XNYS", "bars_daily"), table_key("XNYS", "bars_daily"))
    assert not result.success
    assert "GateNotPassedError" in why(result)
    assert "run the check gate_bars_daily on staged_bars_daily first" in why(result)
    assert not result.get_asset_check_evaluations()
    assert sound_rows(case) == before


def test_rows_changed_after_their_pass_are_not_published(case: SimpleNamespace, sound, bars_csv) -> None:
    """The same bar with another close, as if the file had been changed between the gate and the commit."""
    _, folder = sound
    pipeline, state, before = case.pipeline, case.pipeline.settings.state_dir, sound_rows(case)
    for table in ("instruments", "bars_daily"):
        run_gate(pipeline.lake, "XNYS", table, folder, state)
    (bar,) = read_batch(folder, "bars_daily").select("symbol", "session_date", "open", "high", "low", "close", "volume").rows()
    changed = pipeline.order(pipeline.deliver("sound.csv", bars_csv([(*map(str, bar[:2]), *bar[2:5], bar[5] + 0.5, bar[6])])))
    result = run_without_checks(pipeline, changed, table_key("XNYS", "instruments"), table_key("XNYS", "bars_daily"))
    assert not result.success
    assert "GateNotPassedError" in why(result)
    assert sound_rows(case) == before


def test_a_pass_counts_for_a_later_run_of_the_same_rows_and_suite(case: SimpleNamespace, sound) -> None:
    """The other side of the two tests before: it is the missing pass that refuses, not the selection."""
    order, folder = sound
    before = sound_rows(case)
    for table in ("instruments", "bars_daily"):
        run_gate(case.pipeline.lake, "XNYS", table, folder, case.pipeline.settings.state_dir)
    result = run_without_checks(case.pipeline, order, table_key("XNYS", "instruments"), table_key("XNYS", "bars_daily"))
    assert result.success
    assert sound_rows(case) == before + 1


def test_a_fault_in_parsing_leaves_a_failed_run_that_says_it_and_nothing_else(
    case: SimpleNamespace, bars_csv, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = case.pipeline
    order = pipeline.order(pipeline.deliver("faulty.csv", bars_csv([("FAULTY", "2024-01-05", 10, 11, 9, 10, 100)])))
    before = {table: pipeline.table(table).version() for table in (*INGESTED, "raw_files", "quarantine")}

    def fail(*_: object) -> None:
        raise RuntimeError("a fault of the parser")

    monkeypatch.setattr(parsing, "read_file", fail)
    with pytest.raises(JobFailedError, match=r"step XNYS__raw_files failed: .*a fault of the parser \(run ") as failed:
        ingest(pipeline.settings, order)

    with open_instance(pipeline.settings) as instance:
        run = instance.get_runs(limit=1)[0]
        logged = instance.all_logs(run.run_id)
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert run.run_id[:8] in str(failed.value)
    errors = [str(entry.dagster_event.step_failure_data.error) for entry in logged if _failed_step(entry)]
    assert len(errors) == 1
    assert "a fault of the parser" in errors[0]
    assert not [e for e in logged if e.dagster_event and e.dagster_event.is_step_materialization]
    assert not order.folder(pipeline.settings.state_dir).exists()
    assert {table: pipeline.table(table).version() for table in before} == before


def _failed_step(entry: dg.EventLogEntry) -> bool:
    return entry.dagster_event is not None and entry.dagster_event.is_step_failure
