"""Files and logs that are not as they were written: each is met with one line that names it, and nothing is built on top of it."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines.market.tables import TABLES
from pipelines.storage.delta import LakeTable
from pipelines.storage.errors import DamagedTableError, ForeignCommitError
from pipelines.storage.integrity import MARK, checksum_of, recorded_checksum
from pipelines.storage.location import Lake
from pipelines.storage.releases import record_release
from pipelines.storage.upsert import publish
from tests.support.faults import FILE_FAULTS, append_foreign, cut, flip_bit, log_entry, lose, newest_file, remove_folder

Frame = Callable[..., pl.DataFrame]
FIRST, NEXT_YEAR = date(2024, 1, 2), date(2025, 1, 2)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "my lake"))


@pytest.fixture
def bars(lake: Lake, daily: Frame) -> LakeTable:
    """Daily bars of two years, a file each."""
    put(lake, daily(("A", FIRST, 10.0), ("B", FIRST, 20.0), ("A", NEXT_YEAR, 11.0)))
    return LakeTable(lake.table_uri("XNYS", "bars_daily"), TABLES["bars_daily"])


def put(lake: Lake, rows: pl.DataFrame) -> None:
    publish(lake, "XNYS", TABLES["bars_daily"], rows, priorities={}, batches=["b"])


def test_every_file_of_a_commit_has_its_size_and_checksum_in_the_log(bars: LakeTable) -> None:
    entry = [json.loads(line) for line in log_entry(bars).read_text().splitlines()]
    added = [action["add"] for action in entry if "add" in action]
    assert len(added) == 2
    for action in added:
        content = (Path(bars.uri) / action["path"]).read_bytes()
        assert (action["size"], recorded_checksum(action["path"])) == (len(content), checksum_of(content))
    (information,) = [action["commitInfo"] for action in entry if "commitInfo" in action]
    assert information[MARK].startswith("2 files, sha256 ")


def test_pages_have_checksums_for_readers_that_compare_them(bars: LakeTable) -> None:
    path = newest_file(bars)
    read = pq.ParquetFile(path, page_checksum_verification=True)
    read.read()
    groups = read.metadata.row_group(0)
    (close,) = [c for c in map(groups.column, range(groups.num_columns)) if c.path_in_schema == "close"]
    flip_bit(path, close.data_page_offset + close.total_compressed_size - 1)
    with pytest.raises(OSError, match="CRC"):
        pq.ParquetFile(path, page_checksum_verification=True).read()


@pytest.mark.parametrize("name", FILE_FAULTS)
def test_a_damaged_file_is_named_and_not_read(name: str, bars: LakeTable) -> None:
    fault, words = FILE_FAULTS[name]
    path = newest_file(bars)
    fault(path)
    with pytest.raises(DamagedTableError) as met:
        bars.read()
    message = str(met.value)
    assert f"XNYS/bars_daily is damaged: {path.name} (1 rows of 2025) {words}" in message
    assert "run `marketlake repair`" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", FILE_FAULTS)
def test_a_partition_beside_a_damaged_file_can_be_read(name: str, bars: LakeTable) -> None:
    FILE_FAULTS[name][0](newest_file(bars))
    assert bars.read(partitions=[2024]).height == 2


@pytest.mark.parametrize("name", FILE_FAULTS)
def test_nothing_is_merged_with_a_damaged_file(name: str, lake: Lake, bars: LakeTable, daily: Frame) -> None:
    FILE_FAULTS[name][0](newest_file(bars))
    before = bars.version()
    with pytest.raises(DamagedTableError, match="XNYS/bars_daily is damaged"):
        put(lake, daily(("C", NEXT_YEAR, 30.0)))
    assert bars.version() == before


def test_a_glance_that_compares_nothing_names_the_file_that_it_cannot_decode(bars: LakeTable) -> None:
    cut(newest_file(bars))
    with pytest.raises(DamagedTableError, match="has another size than was written"):
        bars.read(columns=["instrument_id"], verify=False)


def test_nothing_is_committed_on_top_of_another_programs_commit(lake: Lake, bars: LakeTable, daily: Frame) -> None:
    append_foreign(bars)
    before = bars.version()
    with pytest.raises(ForeignCommitError, match=r"XNYS/bars_daily has a commit that marketlake did not make: version 2 .*gate"):
        put(lake, daily(("C", FIRST, 30.0)))
    with pytest.raises(ForeignCommitError):
        bars.append(bars.read().head(1), {})
    with pytest.raises(ForeignCommitError):
        bars.own_version()
    assert bars.version() == before


def test_commits_of_earlier_versions_count_as_own(lake: Lake, bars: LakeTable, daily: Frame) -> None:
    entry = log_entry(bars)
    lines = [json.loads(line) for line in entry.read_text().splitlines()]
    for action in lines:
        action.get("commitInfo", {}).pop(MARK, None)
    entry.write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert bars.own_version() == 1
    put(lake, daily(("C", FIRST, 30.0)))
    assert bars.own_version() == 2


@pytest.mark.parametrize("fault", [cut, lose])
def test_a_log_entry_that_is_cut_or_lost_below_the_newest_is_named(fault: Callable[[Path], None], lake: Lake, daily: Frame) -> None:
    for close in (10.0, 11.0, 12.0):
        put(lake, daily(("A", FIRST, close), batch=f"b{close}"))
    table = LakeTable(lake.table_uri("XNYS", "bars_daily"), TABLES["bars_daily"])
    fault(log_entry(table, 2))
    with pytest.raises(DamagedTableError, match=r"XNYS/bars_daily is damaged: .* its log .* run `marketlake repair`"):
        table.read()


def test_a_lost_log_is_no_empty_table(bars: LakeTable) -> None:
    for path in (Path(bars.uri) / "_delta_log").iterdir():
        path.unlink()
    with pytest.raises(DamagedTableError, match="its log is gone, its data files are there"):
        bars.version()


def test_a_table_that_is_gone_is_no_table_and_its_versions_are_missed(bars: LakeTable) -> None:
    remove_folder(bars)
    assert bars.version() is None
    with pytest.raises(DamagedTableError, match="XNYS/bars_daily is gone, and version 1 of it is needed"):
        bars.files(1)


def test_a_release_is_identified_by_what_its_tables_hold(tmp_path: Path, daily: Frame) -> None:
    def release(name: str, close: float, *, restated: bool = False) -> str:
        lake = Lake(str(tmp_path / name))
        if restated:
            put(lake, daily(("A", NEXT_YEAR, 1.0)))
        put(lake, daily(("A", FIRST, close)))
        version = LakeTable(lake.table_uri("XNYS", "bars_daily"), TABLES["bars_daily"]).version()
        assert version is not None
        return record_release(lake, "XNYS", {"bars_daily": version}, code_version="1", config={}, sessions=[])[0].release_id

    assert release("one", 10.0) == release("copy", 10.0)
    assert release("one else", 11.0) != release("one", 10.0)
    assert release("more", 10.0, restated=True) != release("one", 10.0)
