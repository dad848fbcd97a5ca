"""Many small files of a partition become one: the same rows, every earlier version still readable, nothing else touched."""

import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.build.plan import plan_build
from pipelines.ingest.traded_sessions import traded_calendar
from pipelines.maintenance.compaction import compact_tables
from pipelines.market.tables.operations import RELEASES
from pipelines.storage.delta import LakeTable
from pipelines.storage.fingerprint import fingerprint
from pipelines.storage.releases import record_release, releases
from tests.support.cleaning import clean
from tests.support.faults import append_foreign, flip_bit, newest_file

Command = Callable[..., tuple[int, str, str]]
PRICES = (100, 101, 99, 100, 1000)
DAYS = [date(2024, 1, 2) + timedelta(days=n) for n in (0, 1, 2, 3, 6, 7, 8, 9)]


def register(pipeline: Any) -> LakeTable:
    return LakeTable(pipeline.lake.uri("releases"), RELEASES)


def head_files(table: LakeTable) -> list[str]:
    version = table.version()
    assert version is not None
    return table.files(version)


@pytest.fixture
def ten_nights(pipeline: Any) -> Any:
    """A register of releases that ten nights wrote."""
    for number in range(10):
        record_release(pipeline.lake, "XNYS", {}, code_version=str(number), config={}, sessions=[])
    return pipeline


@pytest.fixture
def scattered(pipeline: Any, bars_csv: Callable[..., str]) -> Any:
    """Bars of 2023 in one file, and of 2024 in eight: rows that were appended one by one."""
    rows = [("AAPL", day, *PRICES) for day in ("2023-12-28", "2023-12-29", *map(str, DAYS))]
    pipeline.ingest(pipeline.deliver("bars.csv", bars_csv(rows)))
    table = pipeline.table("bars_daily")
    everything = table.read()
    beside = LakeTable(f"{table.uri}_beside", table.schema)
    for part in (
        everything.filter(pl.col("session_year") == 2023),
        *everything.filter(pl.col("session_year") == 2024).iter_slices(1),
    ):
        beside.append(part, {"why": "test"})
    os.rename(table.uri, f"{table.uri}_before")
    os.rename(beside.uri, table.uri)
    assert len(head_files(table)) == 9
    return pipeline


def test_the_register_of_releases_is_written_as_one_file(ten_nights: Any) -> None:
    before, table = releases(ten_nights.lake), register(ten_nights)
    assert len(head_files(table)) == 10
    (done,) = compact_tables(ten_nights.lake, ["XNYS"], dry_run=False)
    assert (done.table, done.files, done.partitions) == ("releases", 10, 1)
    assert len(head_files(table)) == 1
    assert releases(ten_nights.lake) == before
    assert table.read(10).height == 10
    assert compact_tables(ten_nights.lake, ["XNYS"], dry_run=False) == []


def test_a_release_after_it_goes_on_from_it(ten_nights: Any) -> None:
    compact_tables(ten_nights.lake, ["XNYS"], dry_run=False)
    made, is_new = record_release(ten_nights.lake, "XNYS", {}, code_version="next", config={}, sessions=[])
    assert (made.sequence, is_new, len(releases(ten_nights.lake))) == (11, True, 11)


def test_only_a_partition_of_many_small_files_is_written_anew(scattered: Any) -> None:
    table = scattered.table("bars_daily")
    before, version = table.read(), table.version()
    (of_2023,) = [file for file in head_files(table) if "session_year=2023" in file]
    (done,) = compact_tables(scattered.lake, ["XNYS"], dry_run=False)
    assert (done.table, done.files, done.partitions) == ("XNYS/bars_daily", 8, 1)
    assert len(head_files(table)) == 2
    assert of_2023 in head_files(table)
    assert fingerprint(table.read(), table.schema) == fingerprint(before, table.schema)
    assert table.read(version).equals(before)
    assert table.find_damage(table.version(), deep=True) == []
    assert table.own_version() == version + 1


def test_the_next_build_has_nothing_to_do_for_it(scattered: Any) -> None:
    lake = scattered.lake
    before = {name: scattered.table(name).version() for name in ("bars_daily", "instruments", "instrument_aliases")}
    compact_tables(lake, ["XNYS"], dry_run=False)
    plan = plan_build(lake, "XNYS", before, full=False, sessions=[], named=[], days=traded_calendar(lake, "XNYS"))
    assert plan.inputs["bars_daily"] == before["bars_daily"] + 1
    assert plan.is_empty


def test_a_dry_run_tells_the_same_and_writes_nothing(scattered: Any) -> None:
    version = scattered.table("bars_daily").version()
    told = compact_tables(scattered.lake, ["XNYS"], dry_run=True)
    assert scattered.table("bars_daily").version() == version
    assert told == compact_tables(scattered.lake, ["XNYS"], dry_run=False) != []


def test_seven_files_stay(pipeline: Any) -> None:
    for number in range(7):
        record_release(pipeline.lake, "XNYS", {}, code_version=str(number), config={}, sessions=[])
    assert compact_tables(pipeline.lake, ["XNYS"], dry_run=False) == []


@pytest.mark.parametrize("damage", [append_foreign, lambda table: flip_bit(newest_file(table))])
def test_a_table_that_needs_a_repair_is_left_alone(scattered: Any, damage: Callable[[LakeTable], None]) -> None:
    table = scattered.table("bars_daily")
    damage(table)
    version = table.version()
    assert compact_tables(scattered.lake, ["XNYS"], dry_run=False) == []
    assert table.version() == version


def test_what_was_replaced_goes_after_seven_days(ten_nights: Any) -> None:
    table = register(ten_nights)

    def files_after(days: int) -> int:
        clean(ten_nights, datetime.now(UTC) + timedelta(days=days))
        return len(list(Path(table.uri).glob("part-*.parquet")))

    assert [files_after(0), files_after(6), files_after(8)] == [11, 11, 1]
    assert len(releases(ten_nights.lake)) == 10


def test_the_command_says_what_became_fewer_files(ten_nights: Any, marketlake: Command) -> None:
    told = json.loads(marketlake("maintain", "--dry-run", "--json")[1])["compacted"]
    assert [(c["table"], c["files"], c["partitions"]) for c in told] == [("releases", 10, 1)]
    code, out, _ = marketlake("maintain")
    assert (code, "compacted" in out, "releases" in out) == (0, True, True)
    assert json.loads(marketlake("maintain", "--json")[1])["compacted"] == []
