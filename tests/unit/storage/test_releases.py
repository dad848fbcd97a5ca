"""Releases and the catalogue: one consistent set of versions, swapped in at once, kept for who reads it."""

import os
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from pipelines.market.tables import TABLES
from pipelines.storage.catalogue import delete_old_catalogues, publish_catalogue
from pipelines.storage.delta import LakeTable, empty_frame
from pipelines.storage.location import Lake
from pipelines.storage.query import NoCatalogueError, NotAQueryError, ask, open_catalogue
from pipelines.storage.releases import Release, UnknownReleaseError, find_release, latest_release, record_release, releases
from pipelines.storage.upsert import publish
from tests.support.indicator_tables import INDICATOR_TABLES

SCHEMAS = {name: schema for name, schema in {**TABLES, **INDICATOR_TABLES}.items() if name != "releases"}
D1, D2 = date(2024, 1, 2), date(2024, 1, 3)
LATER = datetime(2025, 2, 1, tzinfo=UTC)

Frame = Callable[..., pl.DataFrame]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def release(
    lake: Lake, versions: Mapping[str, int], exchange: str = "XNYS", code: str = "1", cash: float = 1.0
) -> tuple[Release, bool]:
    return record_release(lake, exchange, versions, code_version=code, config={"cash": cash}, sessions=[str(D1), str(D2), 2])


def put(lake: Lake, rows: pl.DataFrame, exchange: str = "XNYS") -> int:
    done = publish(lake, exchange, TABLES["bars_daily"], rows, priorities={}, batches=["b"])
    assert done.version is not None
    return done.version


def show(lake: Lake, shown: Release, home: Path) -> Path:
    return publish_catalogue(lake, shown, SCHEMAS, releases(lake), home / ".state", home / "marketlake.duckdb")


def test_unchanged_inputs_code_and_configuration_make_no_new_release(lake: Lake) -> None:
    first, is_new = release(lake, {"bars_daily": 1})
    assert is_new
    assert release(lake, {"bars_daily": 1}) == (first, False)
    assert [r.release_id for r in releases(lake)] == [first.release_id]


@pytest.mark.parametrize("change", [{"versions": {"bars_daily": 2}}, {"code": "2"}, {"cash": 2.0}, {"exchange": "XNSE"}])
def test_whatever_shapes_a_result_makes_a_new_release(lake: Lake, change: dict[str, object]) -> None:
    first, _ = release(lake, {"bars_daily": 1})
    second, is_new = release(lake, **{"versions": {"bars_daily": 1}, **change})  # type: ignore[arg-type]
    assert is_new
    assert (second.sequence, second.supersedes) == (2, first.release_id)


def test_a_release_of_one_exchange_carries_the_others_over(lake: Lake) -> None:
    release(lake, {"bars_daily": 7}, "XNSE")
    second, _ = release(lake, {"bars_daily": 1})
    assert second.table_versions == {"XNSE": {"bars_daily": 7}, "XNYS": {"bars_daily": 1}}
    assert second.versions("XLON") == {}


def test_a_release_reads_back_as_it_was_recorded(lake: Lake) -> None:
    assert latest_release(lake) is None
    first, _ = release(lake, {"bars_daily": 1})
    assert latest_release(lake) == find_release(lake, first.release_id) == first
    with pytest.raises(UnknownReleaseError, match=f"no release 'r9'; the latest are: {first.release_id}"):
        find_release(lake, "r9")


def test_the_link_names_the_new_release_and_the_file_is_read_only(lake: Lake, tmp_path: Path, daily: Frame) -> None:
    version = put(lake, daily(("A", D1, 10.0)))
    first, _ = release(lake, {"bars_daily": version})
    path = show(lake, first, tmp_path)
    link = tmp_path / "marketlake.duckdb"
    assert link.is_symlink()
    assert link.resolve() == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert not Path(os.readlink(link)).is_absolute(), "a home that is moved keeps working"
    written = path.stat().st_mtime_ns
    assert show(lake, first, tmp_path) == path
    assert path.stat().st_mtime_ns == written


def test_the_link_is_never_absent_while_releases_change(
    lake: Lake, tmp_path: Path, daily: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, _ = release(lake, {"bars_daily": put(lake, daily(("A", D1, 10.0)))})
    link = tmp_path / "marketlake.duckdb"
    show(lake, shown, tmp_path)
    seen = []
    really = os.replace

    def replace(source: Path, target: Path) -> None:
        seen.append(link.exists())
        really(source, target)
        seen.append(link.exists())

    monkeypatch.setattr(os, "replace", replace)
    following, _ = release(lake, {"bars_daily": put(lake, daily(("A", D2, 11.0)))})
    show(lake, following, tmp_path)
    assert len(seen) >= 4
    assert all(seen)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".state", "lake", "marketlake.duckdb"]


def test_a_reader_of_the_old_release_reads_on_and_a_new_one_sees_the_new(lake: Lake, tmp_path: Path, daily: Frame) -> None:
    first, _ = release(lake, {"bars_daily": put(lake, daily(("A", D1, 10.0)))})
    show(lake, first, tmp_path)
    link = tmp_path / "marketlake.duckdb"
    with open_catalogue(link, lake) as reader:
        version = put(lake, daily(("A", D1, 99.0), ("A", D2, 11.0), batch="b2", received_at=LATER))
        second, _ = release(lake, {"bars_daily": version})
        show(lake, second, tmp_path)
        assert reader.execute("SELECT session_date, close FROM bars_daily ORDER BY 1").fetchall() == [(D1, 10.0)]
        with open_catalogue(link, lake) as newer:
            assert newer.execute("SELECT close FROM bars_daily ORDER BY session_date").fetchall() == [(99.0,), (11.0,)]
    with open_catalogue(tmp_path / ".state" / "catalogue" / f"{first.release_id}.duckdb", lake) as older:
        assert older.execute("SELECT close FROM bars_daily").fetchall() == [(10.0,)]


def test_what_is_committed_but_not_released_is_not_seen(lake: Lake, tmp_path: Path, daily: Frame) -> None:
    shown, _ = release(lake, {"bars_daily": put(lake, daily(("A", D1, 10.0)))})
    show(lake, shown, tmp_path)
    put(lake, daily(("A", D2, 11.0), batch="b2"))
    with open_catalogue(tmp_path / "marketlake.duckdb", lake) as reader:
        assert reader.execute("SELECT count(*) FROM bars_daily").fetchall() == [(1,)]


def test_the_catalogue_unites_exchanges_and_has_every_table(lake: Lake, tmp_path: Path, daily: Frame) -> None:
    release(lake, {"bars_daily": put(lake, daily(("A", D1, 10.0), exchange="XNSE"), "XNSE")}, "XNSE")
    shown, _ = release(lake, {"bars_daily": put(lake, daily(("A", D1, 20.0)))})
    show(lake, shown, tmp_path)
    with open_catalogue(tmp_path / "marketlake.duckdb", lake) as reader:
        assert reader.execute("SELECT exchange, close FROM bars_daily ORDER BY 1").fetchall() == [("XNSE", 10.0), ("XNYS", 20.0)]
        names = {row[0] for row in reader.execute("SELECT table_name FROM information_schema.tables").fetchall()}
        assert names >= {*SCHEMAS, "releases"}
        assert reader.execute("SELECT release_id FROM releases ORDER BY sequence").fetchall() == [
            (r.release_id,) for r in releases(lake)
        ]
        undocumented = reader.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL").fetchall()
        assert undocumented == []


def test_times_are_shown_in_utc_whatever_the_host_s_zone(lake: Lake, tmp_path: Path, daily: Frame) -> None:
    shown, _ = release(lake, {"bars_daily": put(lake, daily(("A", D1, 10.0)))})
    show(lake, shown, tmp_path)
    with open_catalogue(tmp_path / "marketlake.duckdb", lake) as reader:
        assert reader.execute("SELECT known_at::VARCHAR FROM bars_daily").fetchall() == [("2024-01-02 21:00:00+00",)]


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TABLE mine AS SELECT 1",
        "DELETE FROM releases",
        "DROP VIEW bars_daily",
        "COPY (SELECT 1) TO '{outside}/out.csv'",
        "SELECT * FROM read_csv('{outside}/secret.csv')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/etc/*')",
        "ATTACH '{outside}/other.duckdb'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "RESET lock_configuration",
        "SELECT * FROM read_text('{lake}/../secret.csv')",
    ],
)
def test_a_query_neither_writes_nor_leaves_the_lake(lake: Lake, tmp_path: Path, daily: Frame, query: str) -> None:
    shown, _ = release(lake, {"bars_daily": put(lake, daily(("A", D1, 10.0)))})
    show(lake, shown, tmp_path)
    (tmp_path / "secret.csv").write_text("secret\n1\n")
    before = sorted(tmp_path.rglob("*"))
    with open_catalogue(tmp_path / "marketlake.duckdb", lake) as reader, pytest.raises(duckdb.Error):
        reader.execute(query.format(outside=tmp_path, lake=lake.root)).fetchall()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_query_does_not_write_into_the_lake_either(lake: Lake, tmp_path: Path, daily: Frame) -> None:
    shown, _ = release(lake, {"bars_daily": put(lake, daily(("A", D1, 10.0)))})
    show(lake, shown, tmp_path)
    with open_catalogue(tmp_path / "marketlake.duckdb", lake) as reader, pytest.raises(NotAQueryError, match="COPY is not a query"):
        ask(reader, f"COPY (SELECT 1) TO '{lake.root}/XNYS/out.csv'")
    assert not Path(lake.root, "XNYS", "out.csv").exists()


@pytest.mark.parametrize(
    "query", ["FROM bars_daily", "SHOW TABLES", "DESCRIBE bars_daily", "EXPLAIN ANALYZE SELECT 1", "PIVOT (FROM range(2)) ON range"]
)
def test_what_reads_is_answered(lake: Lake, tmp_path: Path, daily: Frame, query: str) -> None:
    shown, _ = release(lake, {"bars_daily": put(lake, daily(("A", D1, 10.0)))})
    show(lake, shown, tmp_path)
    with open_catalogue(tmp_path / "marketlake.duckdb", lake) as reader:
        assert ask(reader, query).fetchall()


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/out.csv'", "COPY is not a query"),
        ("explain (analyze, format json) COPY (SELECT 1) TO '{lake}/out.csv'", "COPY is not a query"),
        ("/* */ EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/out.csv'", "EXPLAIN is not a query"),
        ("SELECT 1; DROP TABLE bars_daily", "one statement at a time, these are 2"),
        ("SET threads = 1", "SET is not a query"),
        ("  -- nothing", "the query is empty"),
    ],
)
def test_what_does_not_read_is_refused_before_it_runs(lake: Lake, tmp_path: Path, daily: Frame, query: str, reason: str) -> None:
    shown, _ = release(lake, {"bars_daily": put(lake, daily(("A", D1, 10.0)))})
    show(lake, shown, tmp_path)
    with open_catalogue(tmp_path / "marketlake.duckdb", lake) as reader, pytest.raises(NotAQueryError, match=reason):
        ask(reader, query.format(lake=lake.root))
    assert not Path(lake.root, "out.csv").exists()


def test_without_a_release_the_error_says_what_to_do(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(NoCatalogueError, match="publish a release first"), open_catalogue(tmp_path / "marketlake.duckdb", lake):
        pass


def test_old_catalogues_go_but_never_the_published_one(lake: Lake, tmp_path: Path, daily: Frame) -> None:
    old, _ = release(lake, {"bars_daily": put(lake, daily(("A", D1, 10.0)))})
    gone = show(lake, old, tmp_path)
    current, _ = release(lake, {"bars_daily": put(lake, daily(("A", D2, 11.0)))})
    kept = show(lake, current, tmp_path)
    for path in (gone, kept):
        os.utime(path, (0, 0))
    assert delete_old_catalogues(tmp_path / ".state", tmp_path / "marketlake.duckdb", keep_days=7) == 1
    assert (gone.exists(), kept.exists()) == (False, True)


def test_a_release_of_the_same_rows_has_the_same_fingerprint_however_long_the_run_took(tmp_path: Path) -> None:
    table, made = TABLES["scanner_runs"], []
    for number, (duration, coverage) in enumerate(((12.5, 1.0), (99.0, 1.0), (12.5, 0.5))):
        lake = Lake(str(tmp_path / f"lake{number}"))
        row = dict.fromkeys(table.names) | {
            "scanner_name": "breakout",
            "as_of_ts": LATER,
            "mode": "nightly",
            "session_date": D1,
            "session_year": 2024,
            "duration_ms": duration,
            "coverage_pct": coverage,
        }
        filled = {
            c.name: row[c.name] if c.nullable or row[c.name] is not None else (0 if pa.types.is_integer(c.type) else "x")
            for c in table.columns
        }
        rows = pl.DataFrame([filled], schema=empty_frame(table).schema)
        version = LakeTable(lake.table_uri("XNYS", table.name), table).append(rows, {"why": "test"})
        assert LakeTable(lake.table_uri("XNYS", table.name), table).require_intact(version) == 1
        made.append(release(lake, {table.name: version})[0].fingerprint)
    assert made[0] == made[1] != made[2]
