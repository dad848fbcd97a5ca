"""`marketlake rollback`: an older release is published again and stays it, whatever is released, until the hold is cleared."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.build.derived_tables import versions_of
from pipelines.doctor import examine
from pipelines.orchestration.release import release_tables
from pipelines.storage.catalogue import publish_catalogue
from pipelines.storage.hold import published_release, read_hold
from pipelines.storage.releases import Release, record_release, releases
from tests.support.faults import lose, newest_file

Command = Callable[..., tuple[int, str, str]]
PRICES = (100, 101, 99, 100, 1000)


def release(pipeline: Any, bars_csv: Callable[..., str], day: date) -> Release:
    """Take in a session and release it, publishing what a run would."""
    lake, settings = pipeline.lake, pipeline.settings
    pipeline.ingest(pipeline.deliver(f"{day}.csv", bars_csv([("AAPL", str(day), *PRICES)])))
    versions = versions_of(lake, "XNYS", release_tables(lake))
    made, _ = record_release(lake, "XNYS", versions, code_version="1", config={}, sessions=[str(day), str(day), 1])
    shown = published_release(lake)
    assert shown is not None
    publish_catalogue(lake, shown, release_tables(lake), releases(lake), settings.state_dir, settings.catalogue_link)
    return made


@pytest.fixture
def two(pipeline: Any, bars_csv: Callable[..., str]) -> tuple[Release, Release]:
    return release(pipeline, bars_csv, date(2024, 1, 2)), release(pipeline, bars_csv, date(2024, 1, 3))


def sessions(marketlake: Command) -> int:
    code, out, err = marketlake("sql", "select count(distinct session_date) as n from bars_daily", "--format", "json")
    assert code == 0, err
    return int(json.loads(out)[0]["n"])


@pytest.mark.slow
@pytest.mark.measured
def test_a_rolled_back_release_stays_published_until_the_hold_is_cleared(
    pipeline: Any, two: tuple[Release, Release], marketlake: Command, bars_csv: Callable[..., str]
) -> None:
    before = {name: pipeline.table(name).version() for name in ("bars_daily", "instruments")}
    assert sessions(marketlake) == 2
    code, out, _ = marketlake("rollback", two[0].release_id[:6], "--reason", "wrong splits")
    assert code == 0
    assert f"{two[0].release_id} stays published (held since " in out
    assert "wrong splits); `marketlake rollback --clear` publishes the newest release" in " ".join(out.split())
    assert sessions(marketlake) == 1
    assert {name: pipeline.table(name).version() for name in before} == before
    assert releases(pipeline.lake) == list(two)

    third = release(pipeline, bars_csv, date(2024, 1, 4))
    assert sessions(marketlake) == 1
    # The state is derived: without it the hold stands all the same.
    pipeline.settings.catalogue_link.unlink()
    assert sessions(marketlake) == 1

    code, out, _ = marketlake("rollback", "--clear", "--json")
    assert (code, json.loads(out)) == (0, {"published": third.release_id, "held": False})
    assert read_hold(pipeline.lake) is None
    assert sessions(marketlake) == 3


@pytest.mark.slow
@pytest.mark.measured
def test_doctor_warns_of_a_hold(pipeline: Any, two: tuple[Release, Release], marketlake: Command) -> None:
    marketlake("rollback", two[0].release_id)
    (finding,) = [f for f in examine(pipeline.settings) if f.check == "catalogue"]
    assert (finding.severity, finding.advice) == ("warning", "`marketlake rollback --clear` publishes the newest release")
    assert two[0].release_id in finding.finding
    assert two[1].release_id in finding.finding


@pytest.mark.slow
@pytest.mark.measured
def test_what_cannot_be_published_is_not_held(pipeline: Any, two: tuple[Release, Release], marketlake: Command) -> None:
    code, _, err = marketlake("rollback", "r9")
    assert (code, "no release 'r9'" in err) == (2, True)
    assert marketlake("rollback")[0] == marketlake("rollback", two[0].release_id, "--clear")[0] == 2
    path = Path(pipeline.table("bars_daily").files(two[0].versions("XNYS")["bars_daily"])[0])
    assert path != newest_file(pipeline.table("bars_daily"))
    lose(path)
    code, _, err = marketlake("rollback", two[0].release_id)
    assert code == 1
    assert f"{two[0].release_id} cannot be published: XNYS/bars_daily is damaged: {path.name}" in err
    assert read_hold(pipeline.lake) is None


@pytest.mark.slow
@pytest.mark.measured
def test_a_hold_that_cannot_be_read_is_named_with_the_way_out(
    pipeline: Any, two: tuple[Release, Release], marketlake: Command
) -> None:
    marketlake("rollback", two[0].release_id)
    Path(pipeline.settings.lake_root, "hold.json").write_text("{", encoding="utf-8")
    pipeline.settings.catalogue_link.unlink()
    code, _, err = marketlake("sql", "select 1")
    assert code == 1
    assert "hold.json, which says what release stays published, is damaged: run `marketlake rollback ID`" in err
    assert marketlake("rollback", "--clear")[0] == 0
    assert sessions(marketlake) == 2
