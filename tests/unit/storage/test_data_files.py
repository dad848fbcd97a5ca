"""Files of a Delta table: encoded for what they hold, the same bytes for the same rows, and visible only through a commit."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from pipelines.market.schema import Column, TableSchema
from pipelines.storage.delta import Change, LakeTable

FIRST, SECOND = date(2024, 1, 2), date(2024, 1, 3)

MEASURES = TableSchema(
    name="measures",
    description="Figures by day.",
    key=("session_date", "name", "ts"),
    columns=(
        Column("session_date", pa.date32(), "The session."),
        Column("name", pa.string(), "Who."),
        Column("ts", pa.timestamp("us", tz="UTC"), "When."),
        Column("value", pa.float64(), "A figure.", nullable=True),
        Column("short", pa.float32(), "A shorter figure.", nullable=True),
        Column("count", pa.int64(), "How many.", nullable=True),
        Column("state", pa.list_(pa.float64()), "Figures carried on.", nullable=True),
    ),
    partition_by="session_date",
    sort_by=("name", "ts"),
)


def rows(*days: date, values: tuple[float | None, ...] = (1.5, float("nan"), None, -0.0, 5e-324)) -> pl.DataFrame:
    """A row a value for each day, in an order that is not the file's."""
    return pl.DataFrame(
        [
            {
                "session_date": day,
                "name": f"N{number % 2}",
                "ts": datetime(2024, 1, 2, 9, number, tzinfo=UTC),
                "value": value,
                "short": value,
                "count": number,
                "state": [number / 3, value],
            }
            for day in days
            for number, value in enumerate(values)
        ],
        schema_overrides={"short": pl.Float32, "count": pl.Int64, "ts": pl.Datetime("us", "UTC")},
    )


def table(folder: Path, schema: TableSchema = MEASURES) -> LakeTable:
    return LakeTable(str(folder / "lake" / "measures"), schema)


def content(folder: Path) -> dict[str, bytes]:
    """Every data file of a lake by its path, whether or not a commit names it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def test_floats_are_split_by_bytes_and_have_neither_dictionary_nor_statistics(tmp_path: Path) -> None:
    version = table(tmp_path).append(rows(FIRST), {})
    (file,) = table(tmp_path).files(version)
    group = pq.ParquetFile(file).metadata.row_group(0)
    columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    for name in ("value", "short", "state.list.element"):
        assert "BYTE_STREAM_SPLIT" in columns[name].encodings
        assert not columns[name].has_dictionary_page
        assert columns[name].statistics is None
    assert columns["name"].has_dictionary_page
    assert "DELTA_BINARY_PACKED" in columns["ts"].encodings
    assert columns["ts"].statistics.min < columns["ts"].statistics.max


def test_every_reader_finds_the_values_bit_for_bit(tmp_path: Path) -> None:
    given = rows(FIRST, SECOND)
    version = table(tmp_path).append(given, {})
    expected = given.sort("session_date", "name", "ts")
    assert table(tmp_path).read(version).sort("session_date", "name", "ts").equals(expected, null_equal=True)
    files = table(tmp_path).files(version)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql("SELECT * FROM read_parquet($1) ORDER BY session_date, name, ts", params=[files]).pl()
    assert found.select("value", "short", "state").equals(expected.select("value", "short", "state"), null_equal=True)
    assert [str(value) for value in found["value"]] == [str(value) for value in expected["value"]]


def test_the_same_rows_in_any_order_are_the_same_bytes(tmp_path: Path) -> None:
    for folder, given in ((tmp_path / "a", rows(FIRST, SECOND)), (tmp_path / "b", rows(FIRST, SECOND).reverse())):
        table(folder).append(given, {})
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert len(content(tmp_path / "a")) == 2


def test_rows_and_keys_of_a_file_stand_in_the_log(tmp_path: Path) -> None:
    version = table(tmp_path).append(rows(FIRST, SECOND), {})
    assert table(tmp_path).row_count() == 10
    assert table(tmp_path).partition_values(version) == [FIRST, SECOND]
    assert table(tmp_path).files(version, [SECOND])[0] in table(tmp_path).files(version)


def test_parts_of_a_change_become_one_version(tmp_path: Path) -> None:
    table(tmp_path).append(rows(FIRST, SECOND), {})

    def parts(read: Callable[..., pl.DataFrame]) -> Iterator[Change]:
        for day in (FIRST, SECOND):
            yield Change(read([day]).with_columns(count=pl.lit(7, pl.Int64)), [day])

    assert table(tmp_path).update_in_parts(parts, {"why": "test"}) == 2
    assert table(tmp_path).read()["count"].unique().to_list() == [7]
    assert table(tmp_path).scan_versions()[0]["why"] == "test"


def test_a_change_that_fails_half_way_is_not_seen(tmp_path: Path) -> None:
    version = table(tmp_path).append(rows(FIRST, SECOND), {})
    before = table(tmp_path).read()

    def parts(read: Callable[..., pl.DataFrame]) -> Iterator[Change]:
        yield Change(read([FIRST]).head(1), [FIRST])
        raise MemoryError

    with pytest.raises(MemoryError):
        table(tmp_path).update_in_parts(parts, {})
    assert table(tmp_path).version() == version
    assert table(tmp_path).read().equals(before, null_equal=True)
    # What it had written takes no place: the disk may be full.
    assert len(content(tmp_path)) == len(table(tmp_path).files(version))


def test_a_writer_that_lost_leaves_no_files_behind(tmp_path: Path) -> None:
    table(tmp_path).append(rows(FIRST), {})
    calls: list[int] = []

    def decide(read: Callable[..., pl.DataFrame]) -> Change:
        stored = read([SECOND])
        calls.append(stored.height)
        if len(calls) == 1:
            table(tmp_path).append(rows(SECOND), {})
        return Change(pl.concat([stored, rows(SECOND, values=(9.0,)).with_columns(name=pl.lit("new"))]), [SECOND])

    version = table(tmp_path).update(decide, {})
    assert calls == [0, 5]
    # The one that was replaced stays: earlier versions read it.
    assert len(content(tmp_path)) == len(table(tmp_path).files(version or 0)) + 1


def test_a_writer_that_lost_to_the_same_rows_leaves_the_winners_files(tmp_path: Path) -> None:
    """Both write one file under one name: the same rows for the same version."""
    table(tmp_path).append(rows(FIRST), {})
    calls: list[int] = []

    def decide(read: Callable[..., pl.DataFrame]) -> Change:
        stored = read([SECOND])
        calls.append(stored.height)
        if len(calls) == 1:
            table(tmp_path).append(rows(SECOND), {})
        return Change(rows(SECOND), [] if stored.height else [SECOND])

    assert table(tmp_path).update(decide, {}) == 2
    assert calls == [0, 5]
    assert table(tmp_path).read().height == 10


def test_a_log_that_cannot_be_written_is_not_taken_for_another_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = table(tmp_path).append(rows(FIRST), {})

    def refuse(*_: object, **__: object) -> None:
        raise CommitFailedError("the disk is full")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", refuse)
    with pytest.raises(CommitFailedError, match="the disk is full"):
        table(tmp_path).update(lambda _: Change(rows(SECOND), [SECOND]), {})
    assert len(content(tmp_path)) == len(table(tmp_path).files(version))


def test_a_column_that_came_later_is_missing_in_older_files(tmp_path: Path) -> None:
    table(tmp_path).append(rows(FIRST), {})
    wider = replace(MEASURES, columns=(*MEASURES.columns, Column("later", pa.float64(), "Came later.")))
    table(tmp_path, wider).append(rows(SECOND).with_columns(later=pl.lit(2.0)), {})
    found = table(tmp_path, wider).read()
    assert found.filter(pl.col("session_date") == FIRST)["later"].null_count() == 5
    assert found.filter(pl.col("session_date") == SECOND)["later"].to_list() == [2.0] * 5
    # And one that is chosen no longer is left out from then on.
    version = table(tmp_path).append(rows(date(2024, 1, 4)), {})
    assert "later" in table(tmp_path).columns(version)
    assert table(tmp_path, wider).read(partitions=[date(2024, 1, 4)])["later"].null_count() == 5
