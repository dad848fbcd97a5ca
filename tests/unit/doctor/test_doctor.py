"""`marketlake doctor`: a sound home has no finding; each planted fault is found by the check it belongs to, and by no other."""

import re
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pipelines.build.derived_tables import versions_of
from pipelines.doctor import Finding, examine
from pipelines.orchestration.instance import open_instance
from pipelines.orchestration.release import release_tables
from pipelines.package_data import code_version
from pipelines.settings import Settings
from pipelines.storage.catalogue import publish_catalogue
from pipelines.storage.delta import Change, empty_frame
from pipelines.storage.locks import home_lock
from pipelines.storage.releases import record_release, releases
from tests.support.faults import append_foreign, cut, flip_bit, lose, newest_file

#: Monday to Wednesday of a week whose Thursday, Thanksgiving, is no session and whose Friday is a half day.
DAYS = ("2026-11-23", "2026-11-24", "2026-11-25")
EVENING = datetime(2026, 11, 25, 22, tzinfo=UTC)
PRICES = (100, 101, 99, 100, 1000)


def at(day: int, month: int = 11) -> datetime:
    """23:00 UTC, after New York's close and before midnight there."""
    return datetime(2026, month, day, 23, tzinfo=UTC)


def publish(pipeline: Any) -> None:
    """Release the lake as it is, and publish its catalogue."""
    lake, settings = pipeline.lake, pipeline.settings
    versions = versions_of(lake, "XNYS", release_tables(lake))
    sessions = [DAYS[0], DAYS[-1], len(DAYS)]
    release, _ = record_release(lake, "XNYS", versions, code_version=code_version(), config={}, sessions=sessions)
    publish_catalogue(lake, release, release_tables(lake), releases(lake), settings.state_dir, settings.catalogue_link)


@pytest.fixture(scope="module")
def sound(module_pipeline: Any, bars_csv: Callable[..., str]) -> Any:
    """A home of two instruments and three sessions, which came on the evening of the last, all released; left as it is."""
    rows = [(symbol, day, *PRICES) for symbol in ("AAPL", "IBM") for day in DAYS]
    module_pipeline.ingest(module_pipeline.deliver("bars.csv", bars_csv(rows), received_at=EVENING))
    publish(module_pipeline)
    return module_pipeline


@pytest.fixture
def marred(sound: Any, pipeline: Any) -> Any:
    """A copy of that home, to plant a fault in."""
    shutil.copytree(sound.settings.lake_root, pipeline.settings.lake_root)
    publish(pipeline)
    return pipeline


def change(pipeline: Any, name: str, of: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Replace the rows of a table, past the gate."""
    table = pipeline.table(name)
    rows = of(table.read()).cast(dict(empty_frame(table.schema).schema))
    years = None if table.schema.partition_by is None else [2026]
    table.update(lambda _: Change(rows, years), {"why": "planted"})


def arrived(rows: pl.DataFrame, when: datetime, count: int) -> pl.DataFrame:
    """Register of raw files with another file of `count` rows."""
    another = rows.head(1).with_columns(batch_id=pl.lit("later"), received_at=pl.lit(when), rows_read=pl.lit(count))
    return pl.concat([rows, another.cast(dict(rows.schema))])


def quarantined(when: datetime, rule: str = "high_below_low") -> Callable[[pl.DataFrame], pl.DataFrame]:
    """One row in quarantine."""
    row = {"batch_id": "later", "row_number": 2, "table_name": "bars_daily", "exchange": "XNYS", "source": "csv"}
    said = {"reason": "high 90 is below low 110", "rule": rule, "row": "{}", "quarantined_at": when}
    return lambda rows: pl.concat([rows, pl.DataFrame([{**row, **said}])], how="diagonal_relaxed").select(rows.columns)


def found(settings: Settings, now: datetime = EVENING) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(settings, now)}


def severities(settings: Settings, now: datetime = EVENING) -> dict[str, str]:
    """Checks that are not all right, with how bad it is."""
    return {name: finding.severity for name, finding in found(settings, now).items() if finding.severity != "ok"}


@pytest.mark.slow
@pytest.mark.measured
def test_a_sound_home_has_no_finding(sound: Any) -> None:
    assert severities(sound.settings) == {}
    assert all(not finding.advice for finding in found(sound.settings).values())


# --- freshness


@pytest.mark.parametrize(
    ("now", "behind", "severity"),
    [
        (at(26), "", "ok"),  # Thanksgiving: no session has closed since
        (at(27), ", 1 session behind 2026-11-27", "ok"),
        (at(29), ", 1 session behind 2026-11-27", "ok"),  # Sunday
        (at(30), ", 2 sessions behind 2026-11-30", "error"),
    ],
)
def test_an_exchange_in_use_is_stale_two_sessions_behind_holidays_not_counted(
    sound: Any, now: datetime, behind: str, severity: str
) -> None:
    finding = found(sound.settings, now)["freshness XNYS"]
    assert (finding.finding, finding.severity) == (f"released up to 2026-11-25{behind}", severity)
    assert ("marketlake ingest PATH" in finding.advice) == bool(behind)


def test_the_number_of_sessions_is_a_setting(sound: Any) -> None:
    patient = sound.settings.model_copy(update={"stale_after_sessions": 3})
    assert severities(patient, at(30)) == {}
    assert severities(patient, at(1, month=12)) == {"freshness XNYS": "error"}


def test_history_that_nobody_continues_warns(marred: Any) -> None:
    """The bundled bars end years before they arrive: a demo is not red for it."""
    change(marred, "raw_files", lambda rows: rows.with_columns(received_at=pl.lit(at(1, month=12))))
    now = at(31, month=12)
    assert severities(marred.settings, now) == {"freshness XNYS": "warning"}
    assert "history: no delivery ever came as its sessions closed" in found(marred.settings, now)["freshness XNYS"].finding


def test_a_delivery_on_the_morning_after_counts_as_in_use(marred: Any) -> None:
    change(marred, "raw_files", lambda rows: rows.with_columns(received_at=pl.lit(datetime(2026, 11, 27, 12, tzinfo=UTC))))
    assert severities(marred.settings, at(31, month=12)) == {"freshness XNYS": "error"}


def test_a_configured_exchange_without_bars_warns_and_says_both_ways_out(sound: Any) -> None:
    both = sound.settings.model_copy(update={"exchanges": ("XNSE", "XNYS")})
    assert severities(both) == {"freshness XNSE": "warning", "calendar XNSE": "warning"}
    advice = found(both)["freshness XNSE"].advice
    assert "marketlake ingest PATH --source NAME --exchange XNSE" in advice
    assert "take XNSE out of MARKETLAKE_EXCHANGES" in advice


def test_bars_that_were_ingested_and_not_released_are_named(marred: Any) -> None:
    friday = pl.lit(date(2026, 11, 27))
    change(marred, "bars_daily", lambda rows: pl.concat([rows, rows.head(1).with_columns(session_date=friday)]))
    finding = found(marred.settings, at(27))["freshness XNYS"]
    assert finding.severity == "warning"
    assert "released up to 2026-11-25" in finding.finding
    assert "delivered up to 2026-11-27" in finding.finding
    assert finding.advice == "run `marketlake nightly --exchange XNYS`"


# --- calendar and clock


def test_the_end_of_the_calendar_warns_before_it_and_after_it(sound: Any) -> None:
    near = found(sound.settings, datetime(2027, 11, 27, tzinfo=UTC))["calendar XNYS"]
    assert (near.severity, near.finding) == ("warning", "sessions are known until 2027-12-31 only, 34 days from now")
    past = found(sound.settings, datetime(2028, 1, 3, tzinfo=UTC))["calendar XNYS"]
    assert past.severity == "warning"
    assert past.finding.startswith("sessions are known until 2027-12-31; later weekdays are provisional sessions")
    assert "`marketlake calendar add`" in past.advice


def test_a_clock_before_this_version_is_an_error(sound: Any) -> None:
    assert found(sound.settings, datetime(2024, 1, 1, tzinfo=UTC))["clock"].severity == "error"


# --- release, catalogue, code


def test_a_home_without_a_release_is_an_error(home: Settings) -> None:
    assert severities(home) == {"release": "error", "freshness XNYS": "warning"}


def test_a_catalogue_that_is_no_database_is_an_error(marred: Any) -> None:
    catalogue = marred.settings.catalogue_link.resolve()
    catalogue.chmod(0o644)
    catalogue.write_bytes(b"not a database")
    finding = found(marred.settings)["catalogue"]
    assert finding.severity == "error"
    assert str(catalogue) in finding.finding
    assert f"delete {catalogue}" in finding.advice


def test_a_catalogue_whose_data_are_gone_names_the_relation(marred: Any) -> None:
    for file in Path(marred.settings.lake_root, "XNYS", "bars_daily").rglob("*.parquet"):
        file.unlink()
    finding = found(marred.settings)["catalogue"]
    assert finding.severity == "error"
    assert finding.finding.startswith("bars_daily cannot be read: ")
    expected = {"lake": "error", "catalogue": "error", "instruments XNYS": "error", "freshness XNYS": "error"}
    assert severities(marred.settings) == expected


def test_a_missing_and_a_cut_file_of_the_release_are_seen_and_named(marred: Any) -> None:
    cut(newest_file(marred.table("instrument_aliases")))
    assert severities(marred.settings)["lake"] == "error"
    finding = found(marred.settings)["lake"]
    assert re.search(
        r"XNYS/instrument_aliases is damaged: part-\S+ \([\d,]+ rows\) has another size than was written", finding.finding
    )
    assert "marketlake repair" in finding.advice
    lose(newest_file(marred.table("instrument_aliases")))
    assert "is missing" in found(marred.settings)["lake"].finding


def test_changed_content_is_seen_by_a_deep_look_alone(marred: Any) -> None:
    flip_bit(newest_file(marred.table("instrument_aliases")))
    assert "lake" not in severities(marred.settings)
    (finding,) = [f for f in examine(marred.settings, EVENING, deep=True) if f.severity == "error"]
    assert (finding.check, "has other content than was written" in finding.finding) == ("lake", True)


def test_a_deep_look_compares_the_kept_raw_files(marred: Any) -> None:
    assert [f.severity for f in examine(marred.settings, EVENING, deep=True) if f.check.startswith("raw files")] == ["ok"]
    (kept,) = [path for path in Path(marred.settings.lake_root, "XNYS", "raw").rglob("*") if path.is_file()]
    kept.chmod(0o644)
    flip_bit(kept)
    (finding,) = [f for f in examine(marred.settings, EVENING, deep=True) if f.severity == "error"]
    assert (finding.check, finding.finding) == ("raw files XNYS", "kept copies that are missing or changed: bars.csv")


def test_another_programs_commit_and_a_lost_log_are_named(marred: Any) -> None:
    append_foreign(marred.table("bars_daily"))
    assert "has a commit that marketlake did not make" in found(marred.settings)["lake"].finding
    shutil.rmtree(Path(marred.table("instrument_aliases").uri, "_delta_log"))
    messages = [f.finding for f in examine(marred.settings, EVENING) if f.check == "lake"]
    assert any("XNYS/instrument_aliases is damaged: its log is gone" in message for message in messages)


def test_a_lost_entry_of_the_releases_is_no_home_without_a_release(marred: Any) -> None:
    releases_log = Path(marred.settings.lake_root, "releases", "_delta_log")
    sorted(releases_log.glob("*.json"))[-1].unlink()
    finding = found(marred.settings)["release"]
    assert finding.severity == "error"
    assert "entries were lost" in finding.finding


def test_a_writer_at_work_is_named(marred: Any) -> None:
    with home_lock(marred.settings.state_dir, "a test"):
        assert re.search(r"at work now: process \d+ \(a test\) since ", found(marred.settings)["home"].finding)
    assert "at work" not in found(marred.settings)["home"].finding


def test_of_one_exchange_the_others_are_known_still(sound: Any) -> None:
    settings = sound.settings.model_copy(update={"exchanges": ("XNYS", "XNSE")})
    for mic in settings.exchanges:
        (settings.inbox_dir / mic / "csv").mkdir(parents=True)
    findings = examine(settings, EVENING, mics=("XNSE",))
    shutil.rmtree(settings.inbox_dir)
    assert {f.check for f in findings if f.check.endswith("XNYS")} == set()
    assert next(f for f in findings if f.check == "inbox XNSE").severity == "ok"


def test_a_register_of_releases_that_cannot_be_read_is_an_error(marred: Any) -> None:
    for entry in Path(marred.settings.lake_root, "releases", "_delta_log").iterdir():
        entry.write_text("cut")
    assert severities(marred.settings) == {"release": "error"}


def test_a_catalogue_that_leads_nowhere_is_an_error(marred: Any) -> None:
    marred.settings.catalogue_link.resolve().unlink()
    assert severities(marred.settings) == {"catalogue": "error"}


def test_a_release_of_other_code_warns(sound: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.doctor.releases.code_version", lambda: "9.9.9+other")
    assert severities(sound.settings) == {"code": "warning"}


# --- the user's files


@pytest.fixture
def file_of(sound: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Settings]:
    """Write a file of the home and name it in its setting."""

    def write(setting: str, content: str) -> Settings:
        path = sound.settings.home / f"{setting}.txt"
        path.write_text(content)
        monkeypatch.setenv(f"MARKETLAKE_{setting.upper()}", str(path))
        return Settings()

    return write


@pytest.mark.parametrize(
    ("setting", "content", "told"),
    [
        ("indicators", "indicators:\n  - name: rsii\n", "indicators.txt:2"),
        ("scanners", "scanners:\n  - name: odd\n    when: close >\n", "scanners.txt"),
        ("universes", "universe,symbol,valid_from\nmine,AAPL,2024-99-99\n", "universes.txt"),
    ],
)
def test_a_broken_file_is_an_error_with_its_place(
    file_of: Callable[[str, str], Settings], setting: str, content: str, told: str
) -> None:
    settings = file_of(setting, content)
    assert severities(settings) == {setting: "error"}
    assert told in found(settings)[setting].finding


def test_a_sound_file_is_counted(file_of: Callable[[str, str], Settings]) -> None:
    settings = file_of("universes", "universe,symbol\nmine,AAPL\n")
    assert severities(settings) == {}
    assert found(settings)["universes"].finding.endswith("universes.txt: 1 listed")


def test_a_faulty_plugin_warns(sound: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.indicators.registry import installed

    monkeypatch.setitem(installed().broken, "odd", "plug-in odd: cannot be imported")
    assert severities(sound.settings) == {"plug-ins": "warning"}


# --- quarantine and suspected actions


def test_a_week_with_much_in_quarantine_warns_and_later_no_more(marred: Any) -> None:
    """One row of two, besides the six that arrived two days before."""
    change(marred, "raw_files", lambda rows: arrived(rows, at(27), 2))
    change(marred, "quarantine", quarantined(at(27)))
    assert severities(marred.settings, at(27)) == {"quarantine XNYS": "warning"}
    finding = found(marred.settings, at(27))["quarantine XNYS"]
    assert finding.finding == "1 rows, 1 of them of the last 7 days (12.5% of what arrived), by high_below_low"
    assert finding.advice == "run `marketlake quarantine list --exchange XNYS`"
    assert found(marred.settings, at(5, month=12))["quarantine XNYS"].severity == "ok"


def test_a_few_rows_of_a_large_delivery_are_no_finding_and_a_refused_session_is(marred: Any) -> None:
    change(marred, "raw_files", lambda rows: arrived(rows, at(27), 200))
    change(marred, "quarantine", quarantined(at(27)))
    finding = found(marred.settings, at(27))["quarantine XNYS"]
    assert (finding.severity, finding.finding) == ("ok", "1 rows, 1 of them of the last 7 days")
    change(marred, "quarantine", quarantined(at(27), "session_refused:range_is_possible"))
    assert severities(marred.settings, at(27)) == {"quarantine XNYS": "warning"}


def test_a_suspected_split_warns_with_the_command_that_records_it(marred: Any) -> None:
    row = {
        "exchange": "XNYS",
        "instrument_id": "XNYS:AAPL",
        "session_date": date(2026, 11, 24),
        "flag": "unrecorded_split",
        "symbol": "AAPL",
        "since": date(2026, 11, 23),
        "price_ratio": 0.5,
        "split_ratio": 2.0,
        "volume_ratio": None,
        "session_year": 2026,
    }
    change(marred, "price_flags", lambda _: pl.DataFrame([row], infer_schema_length=1))
    assert severities(marred.settings) == {"actions XNYS": "warning"}
    finding = found(marred.settings)["actions XNYS"]
    assert finding.finding == "1 suspected action that nobody recorded: 'AAPL 2026-11-24'"
    assert "AAPL,2026-11-24,split,2" in finding.advice
    assert "--source actions --exchange XNYS" in finding.advice


# --- runs


def run_nightly(settings: Settings, *, fails: bool) -> None:
    """A run of a job with the nightly job's name."""

    @dg.op
    def build() -> None:
        if fails:
            raise RuntimeError("disk full at\nrow 5")

    @dg.job(name="XNYS_nightly")
    def job() -> None:
        build()

    with open_instance(settings) as instance:
        job.execute_in_process(instance=instance, raise_on_error=False)


@pytest.mark.slow
def test_runs_that_failed_since_the_last_good_one_are_an_error(marred: Any) -> None:
    run_nightly(marred.settings, fails=True)
    finding = found(marred.settings)["runs"]
    assert finding.severity == "error"
    assert finding.finding.startswith("XNYS_nightly: run failed and none succeeded; last ")
    assert finding.finding.endswith("step build: RuntimeError: disk full at row 5")

    run_nightly(marred.settings, fails=False)
    assert severities(marred.settings) == {}

    run_nightly(marred.settings, fails=True)
    run_nightly(marred.settings, fails=True)
    logs = {path: path.read_text() for path in Path(marred.settings.lake_root, "XNYS", "bars_daily", "_delta_log").glob("*.json")}
    for path in logs:
        path.write_text("cut")
    # What made the runs fail: the check that asks for bars says so, and ends no command.
    assert found(marred.settings)["runs"].finding.startswith("a table of the lake cannot be read: ")
    for path, whole in logs.items():
        path.write_text(whole)
    assert found(marred.settings)["runs"].finding.startswith("XNYS_nightly: 2 runs failed since the last good one, ")


def test_failed_runs_of_an_exchange_without_bars_warn(home: Settings) -> None:
    run_nightly(home, fails=True)
    assert found(home)["runs"].severity == "warning"
