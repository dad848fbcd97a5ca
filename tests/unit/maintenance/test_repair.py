"""Repair of what was ingested: each planted fault is put right from the raw files, and the tables hold what they held before."""

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.build.derived_tables import versions_of
from pipelines.ingest.withdrawal import Withdrawal, withdraw_delivery
from pipelines.maintenance.repair import Repaired, repair_exchange, repair_releases
from pipelines.market.tables import TABLES
from pipelines.orchestration.release import release_tables
from pipelines.storage.catalogue import publish_catalogue
from pipelines.storage.delta import LakeTable
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.fingerprint import fingerprint
from pipelines.storage.releases import latest_release, record_release, releases
from tests.support.faults import FILE_FAULTS, append_foreign, cut, flip_bit, log_entry, lose, newest_file, remove_folder

DAYS = ("2024-01-02", "2024-01-03", "2024-01-04", "2025-01-02")
ARRIVAL = datetime(2025, 3, 1, 12, tzinfo=UTC)
#: Tables that deliveries fill, and of which this home has rows.
FILLED = ("bars_daily", "bars_daily_superseded", "instruments", "instrument_aliases", "raw_files", "quarantine")

Fault = Callable[[LakeTable], object]


def of_file(name: str) -> Fault:
    return lambda table: FILE_FAULTS[name][0](newest_file(table))


FAULTS: dict[str, Fault] = {
    **{name: of_file(name) for name in FILE_FAULTS},
    "folder removed": remove_folder,
    "newest log entry cut": lambda table: cut(log_entry(table)),
    "newest log entry lost": lambda table: lose(log_entry(table)),
    "log removed": lambda table: shutil.rmtree(Path(table.uri, "_delta_log")),
    "foreign commit": append_foreign,
}
#: One fault of each kind and each kind of table; the other pairs are slow for their number.
FAST = {
    ("bit flip", "bars_daily"),
    ("folder removed", "quarantine"),
    ("newest log entry cut", "instruments"),
    ("foreign commit", "bars_daily_superseded"),
}


def release(pipeline: Any) -> None:
    lake, settings = pipeline.lake, pipeline.settings
    versions = versions_of(lake, "XNYS", release_tables(lake))
    made, _ = record_release(lake, "XNYS", versions, code_version="1", config={}, sessions=[DAYS[0], DAYS[-1], 4])
    publish_catalogue(lake, made, release_tables(lake), releases(lake), settings.state_dir, settings.catalogue_link)


@pytest.fixture(scope="module")
def sound(module_pipeline: Any, bars_csv: Callable[..., str]) -> Any:
    """Deliveries one after another: bars with a bad one, a new instrument, a restatement, and one that was withdrawn."""

    def deliver(number: int, *rows: tuple[object, ...]) -> Any:
        text = bars_csv(rows)
        delivery = module_pipeline.deliver(f"{number}.csv", text, received_at=ARRIVAL + timedelta(days=number))
        module_pipeline.ingest(delivery)
        release(module_pipeline)
        return delivery

    prices = (100, 101, 99, 100, 1000)
    deliver(0, *(("AAPL", day, *prices) for day in DAYS[:3]), ("AAPL", DAYS[3], 100, 90, 110, 100, 5))
    deliver(1, *(("IBM", day, *prices) for day in DAYS), ("AAPL", DAYS[3], *prices))
    deliver(2, ("IBM", DAYS[0], 100, 102, 99, 101, 1100))
    wrong = deliver(3, ("IBM", DAYS[3], 100, 103, 99, 102, 1200), ("AAPL", DAYS[3], 100, 103, 99, 102, 1200))
    withdrawal = Withdrawal(wrong.batch_id, "sent in error", "tester", ARRIVAL + timedelta(days=4))
    withdraw_delivery(module_pipeline.lake, "XNYS", withdrawal, module_pipeline.settings.state_dir, timedelta(0))
    release(module_pipeline)
    return module_pipeline


@pytest.fixture
def home(sound: Any, pipeline: Any) -> Any:
    """A copy of that home, to plant a fault in."""
    shutil.copytree(sound.settings.lake_root, pipeline.settings.lake_root)
    return pipeline


def contents(pipeline: Any) -> dict[str, str]:
    return {name: fingerprint(pipeline.rows(name), TABLES[name]) for name in FILLED}


def repair(pipeline: Any) -> Repaired:
    return repair_exchange(pipeline.lake, "XNYS", latest_release(pipeline.lake), pipeline.settings.state_dir, pipeline.limits)


@pytest.mark.slow
@pytest.mark.measured
def test_nothing_is_changed_where_nothing_is_damaged(home: Any) -> None:
    before = {name: home.table(name).version() for name in FILLED}
    report = repair(home)
    assert (report.done, report.lost, report.needs_build) == ([], [], False)
    assert {name: home.table(name).version() for name in FILLED} == before


@pytest.mark.parametrize(
    ("fault", "table"),
    [
        pytest.param(fault, table, id=f"{fault}-{table}", marks=() if (fault, table) in FAST else pytest.mark.slow)
        for fault in FAULTS
        for table in ("bars_daily", "instruments", "bars_daily_superseded", "quarantine")
    ],
)
def test_a_damaged_table_holds_again_what_the_raw_files_say(fault: str, table: str, sound: Any, home: Any) -> None:
    FAULTS[fault](home.table(table))
    report = repair(home)
    assert report.lost == []
    assert any(line.startswith(f"XNYS/{table}: ") for line in report.done), report.done
    assert contents(home) == contents(sound)
    assert repair(home).done == []


@pytest.mark.slow
@pytest.mark.measured
def test_a_file_that_is_lost_comes_back_under_its_name_and_serves_every_release(sound: Any, home: Any) -> None:
    path = newest_file(home.table("bars_daily"))
    content = path.read_bytes()
    flip_bit(path)
    report = repair(home)
    assert any("equal to what was written by its checksum" in line for line in report.done)
    assert path.read_bytes() == content
    for made in releases(home.lake):
        version = made.versions("XNYS")["bars_daily"]
        assert home.table("bars_daily").read(version).equals(sound.table("bars_daily").read(version))


@pytest.mark.slow
@pytest.mark.measured
def test_a_register_that_is_damaged_is_read_from_an_earlier_version(sound: Any, home: Any) -> None:
    flip_bit(newest_file(home.table("raw_files")))
    report = repair(home)
    known = home.rows("raw_files").sort("batch_id")
    assert known["batch_id"].to_list() == sound.rows("raw_files").sort("batch_id")["batch_id"].to_list()
    assert any(line.startswith("XNYS/raw_files: ") for line in report.done)


@pytest.mark.slow
@pytest.mark.measured
def test_a_raw_file_that_is_lost_too_is_named(home: Any) -> None:
    remove_folder(home.table("bars_daily"))
    kept = [path for path in Path(home.settings.lake_root, "XNYS", "raw").rglob("*") if path.is_file()]
    kept[0].unlink()
    report = repair(home)
    assert len(report.lost) == 1
    assert ".csv is missing or changed; ask the vendor for it again" in report.lost[0]
    assert home.rows("bars_daily").height > 0


@pytest.mark.slow
@pytest.mark.measured
def test_old_releases_of_a_table_that_began_anew_are_refused_and_never_other_rows(home: Any) -> None:
    version = releases(home.lake)[0].versions("XNYS")["bars_daily"]
    remove_folder(home.table("bars_daily"))
    repair(home)
    with pytest.raises(DamagedTableError, match=f"version {version} in its log is gone"):
        home.table("bars_daily").read(version)


@pytest.mark.parametrize("fault", ["newest log entry cut", "newest log entry lost", "folder removed", "bit flip", "foreign commit"])
def test_the_register_of_releases_comes_back_from_a_catalogue(fault: str, sound: Any, home: Any) -> None:
    catalogues = sound.settings.state_dir / "catalogue"
    known = releases(home.lake)
    register = LakeTable(home.lake.uri("releases"), TABLES["releases"])
    if fault == "foreign commit":
        row = register.read().head(1).with_columns(release_id=pl.lit("r00099-00000000"), sequence=pl.lit(99, pl.Int64))
        append_foreign(register, row)
    else:
        FAULTS[fault](register)
    report = repair_releases(home.lake, catalogues)
    assert len(report.done) == 1
    assert releases(home.lake) == known
    assert repair_releases(home.lake, catalogues).done == []


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize("fault", ["bit flip of each file", "log removed"])
def test_what_is_brought_back_is_read_a_partition_at_a_time(
    fault: str, sound: Any, home: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = home.table("bars_daily")
    if fault == "log removed":
        FAULTS[fault](table)
    else:
        for file in table.files(table.version()):
            flip_bit(Path(file))
    asked: list[Sequence[object] | None] = []
    read, beside = LakeTable.read, str(home.settings.state_dir / "repair")

    def record(of: LakeTable, version: int | None = None, partitions: Sequence[Any] | None = None, *rest: Any, **more: Any) -> Any:
        if of.uri.startswith(beside) and of.schema.name == "bars_daily" and not rest and not more:
            asked.append(partitions)
        return read(of, version, partitions, *rest, **more)

    monkeypatch.setattr(LakeTable, "read", record)
    assert repair(home).lost == []
    assert [partitions for partitions in asked if partitions is None or len(partitions) > 1] == []
    monkeypatch.undo()
    assert contents(home) == contents(sound)
