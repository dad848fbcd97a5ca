"""Expired releases and the files that only they have go; what a kept release or a table of the last 7 days has stays readable."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.build.derived_tables import versions_of
from pipelines.maintenance.cleanup import Cleaned
from pipelines.maintenance.expiry import find_expired
from pipelines.orchestration.release import release_tables
from pipelines.storage.delta import LakeTable
from pipelines.storage.errors import DamagedTableError
from pipelines.storage.releases import Release, latest_release, record_release, releases
from pipelines.storage.retention import read_retention
from tests.support.cleaning import clean
from tests.support.faults import append_foreign, cut, flip_bit, log_entry, lose, newest_file

Command = Callable[..., tuple[int, str, str]]
#: Long after everything that these homes hold was written.
NOW = datetime.now(UTC) + timedelta(days=200)
DAYS = ("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05")


def release(pipeline: Any) -> Release:
    versions = versions_of(pipeline.lake, "XNYS", release_tables(pipeline.lake))
    made, _ = record_release(pipeline.lake, "XNYS", versions, code_version="1", config={}, sessions=[DAYS[0], DAYS[-1], 4])
    return made


def freed(done: Cleaned) -> dict[str, int]:
    return {share.what: share.count for share in done.freed if share.what in {"releases", "files of earlier versions"}}


@pytest.fixture(scope="module")
def filled(module_pipeline: Any, bars_csv: Callable[..., str]) -> Any:
    """Four deliveries of one year, so that each night rewrites the year's file, and a release after each but the third."""
    for number, day in enumerate(DAYS):
        module_pipeline.ingest(
            module_pipeline.deliver(f"{number}.csv", bars_csv([("AAPL", day, 100, 101, 99, 100, 1000 + number)]))
        )
        if number != 2:
            release(module_pipeline)
    return module_pipeline


@pytest.fixture
def four_nights(filled: Any, pipeline: Any) -> Any:
    return pipeline.go_on_from(filled)


def released_rows(pipeline: Any, made: Release) -> pl.DataFrame:
    rows: pl.DataFrame = pipeline.table("bars_daily").read(made.versions("XNYS")["bars_daily"])
    return rows


@pytest.mark.slow
@pytest.mark.measured
def test_files_that_only_expired_releases_have_go(four_nights: Any) -> None:
    first, second, last = releases(four_nights.lake)
    rows = released_rows(four_nights, last)
    done = clean(four_nights, NOW)
    # The last of the month is the newest; of bars_daily the three files of the nights before went.
    assert done.freed[0].what == "releases"
    assert freed(done)["releases"] == 2
    assert set(read_retention(four_nights.lake).expired) == {first.release_id, second.release_id}
    assert len(list(Path(four_nights.table("bars_daily").uri).rglob("part-*.parquet"))) == 1
    assert released_rows(four_nights, last).equals(rows)
    assert four_nights.rows("bars_daily").height == 4
    with pytest.raises(DamagedTableError, match="is missing"):
        released_rows(four_nights, first)
    assert freed(clean(four_nights, NOW)) == {}


@pytest.mark.slow
@pytest.mark.measured
def test_a_marked_release_keeps_its_files(four_nights: Any, marketlake: Command) -> None:
    first, second, _ = releases(four_nights.lake)
    assert marketlake("releases", "keep", first.release_id[:6], "--reason", "audit")[:2] == (
        0,
        f"{first.release_id} is kept for ever\n",
    )
    done = clean(four_nights, NOW)
    assert freed(done)["releases"] == 1
    assert released_rows(four_nights, first)["session_date"].cast(pl.String).to_list() == [DAYS[0]]
    kept = {share.why: share.count for share in done.kept if share.what == "releases"}
    assert kept == {"the newest": 1, "marked by `marketlake releases keep`": 1}
    code, out, _ = marketlake("releases")
    assert (code, "kept: audit" in out, f"expired {NOW:%Y-%m-%d}" in out) == (0, True, True)
    listed = {r["release_id"]: (r["kept"], r["expired_at"]) for r in json.loads(marketlake("releases", "--json")[1])}
    assert listed[first.release_id] == (True, None)
    assert listed[second.release_id][1].startswith(f"{NOW:%Y-%m-%d}")
    code, _, err = marketlake("sql", "select 1", "--release", second.release_id)
    assert (code, f"release {second.release_id} of " in err, "expired on" in err) == (1, True, True)
    code, _, err = marketlake("rollback", second.release_id)
    assert (code, "expired on" in err) == (2, True)
    assert marketlake("sql", "select 1", "--release", first.release_id)[0] == 0
    assert marketlake("releases", "keep", first.release_id, "--clear")[0] == 0
    assert freed(clean(four_nights, NOW))["releases"] == 1


@pytest.mark.slow
@pytest.mark.measured
def test_nothing_goes_while_releases_are_young(four_nights: Any) -> None:
    before = [released_rows(four_nights, made) for made in releases(four_nights.lake)]
    done = clean(four_nights, NOW - timedelta(days=200) + timedelta(days=80))
    # The third night was never released, and is older than 7 days.
    assert "releases" not in freed(done)
    assert [
        released_rows(four_nights, made).equals(rows) for made, rows in zip(releases(four_nights.lake), before, strict=True)
    ] == [True] * 3


@pytest.mark.slow
@pytest.mark.measured
def test_what_a_table_held_within_seven_days_stays(four_nights: Any, bars_csv: Callable[..., str]) -> None:
    table = four_nights.table("bars_daily")
    everything = {version: table.read(version) for version in range(1, table.version() + 1)}
    now = datetime.now(UTC) + timedelta(days=6, hours=23)
    for path in Path(table.uri).rglob("part-*.parquet"):
        os.utime(path, (0, 0))
    assert "files of earlier versions" not in freed(clean(four_nights, now))
    assert all(table.read(version).equals(rows) for version, rows in everything.items())


@pytest.mark.slow
@pytest.mark.measured
def test_a_dry_run_tells_the_same_and_writes_nothing(four_nights: Any) -> None:
    files = sorted(path for path in four_nights.settings.home.rglob("*") if path.is_file())
    told = clean(four_nights, NOW, dry_run=True)
    assert sorted(path for path in four_nights.settings.home.rglob("*") if path.is_file()) == files
    assert told.freed == clean(four_nights, NOW).freed


@pytest.mark.slow
@pytest.mark.measured
def test_a_clean_up_that_was_killed_before_it_deleted_is_finished_by_the_next(
    four_nights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow.fs import LocalFileSystem

    from pipelines.maintenance import expiry

    class Killed(LocalFileSystem):
        def delete_file(self, path: str) -> None:
            raise KeyboardInterrupt

    wanted = freed(clean(four_nights, NOW, dry_run=True))["files of earlier versions"]
    place = expiry.filesystem_of
    with monkeypatch.context() as patched:
        patched.setattr(expiry, "filesystem_of", lambda uri: (Killed(), place(uri)[1]))
        with pytest.raises(KeyboardInterrupt):
            clean(four_nights, NOW)
    assert len(read_retention(four_nights.lake).expired) == 2
    done = freed(clean(four_nights, NOW))
    assert done == {"files of earlier versions": wanted}


@pytest.mark.slow
@pytest.mark.measured
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (append_foreign, "a commit that marketlake did not make"),
        (lambda table: cut(log_entry(table)), "its log cannot be read"),
        (lambda table: lose(log_entry(table, 1)), "is damaged"),
        (lambda table: lose(log_entry(table)), "version 4 in its log cannot be read"),
    ],
)
def test_a_table_that_needs_a_repair_is_left_alone(four_nights: Any, damage: Callable[[LakeTable], None], told: str) -> None:
    table = four_nights.table("bars_daily")
    damage(table)
    files = sorted(Path(table.uri).rglob("part-*.parquet"))
    done = clean(four_nights, NOW)
    assert sorted(Path(table.uri).rglob("part-*.parquet")) == files
    (reason,) = [share.why for share in done.kept if share.what == "tables left alone"]
    assert told in reason
    assert "marketlake repair" in reason


@pytest.mark.slow
@pytest.mark.measured
def test_a_flipped_bit_of_a_kept_file_changes_nothing(four_nights: Any) -> None:
    last = latest_release(four_nights.lake)
    assert last is not None
    flip_bit(newest_file(four_nights.table("bars_daily")))
    clean(four_nights, NOW)
    with pytest.raises(DamagedTableError, match="has other content"):
        released_rows(four_nights, last)


@pytest.mark.slow
@pytest.mark.measured
def test_nothing_is_deleted_where_the_register_of_releases_is_damaged(four_nights: Any) -> None:
    register = LakeTable(four_nights.lake.uri("releases"), release_tables(four_nights.lake)["bars_daily"])
    cut(log_entry(register))
    files = sorted(path for path in four_nights.settings.home.rglob("*") if path.is_file())
    with pytest.raises(DamagedTableError, match="releases is damaged"):
        clean(four_nights, NOW)
    assert sorted(path for path in four_nights.settings.home.rglob("*") if path.is_file()) == files


@pytest.mark.slow
@pytest.mark.measured
def test_versions_that_were_left_are_those_that_can_be_read(four_nights: Any) -> None:
    clean(four_nights, NOW)
    table, retention = four_nights.table("bars_daily"), read_retention(four_nights.lake)
    for version in range(1, table.version() + 1):
        if retention.holds("XNYS", "bars_daily", version):
            table.read(version)
        else:
            with pytest.raises(DamagedTableError):
                table.read(version)


@pytest.mark.slow
@pytest.mark.measured
def test_an_exchange_that_is_no_longer_configured_is_cleaned_too(four_nights: Any) -> None:
    found = find_expired(four_nights.lake, (), NOW)
    assert found.tables["XNYS/bars_daily"].unheld
