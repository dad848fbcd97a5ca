"""Deleting `.state/` changes nothing, nor does the zone of the machine; an exchange with little or no data is no fault."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.market.calendar import calendar

pytestmark = pytest.mark.slow


def test_without_its_state_a_home_goes_on_as_if_nothing_had_happened(
    based_home: Any, one_night_later: Any, new_home: Any, market: Any
) -> None:
    kept, lost = one_night_later("kept"), new_home("lost")
    based = based_home("based")
    shutil.copytree(based.folder / "lake", lost.folder / "lake")
    (lost.folder / "marketlake.duckdb").symlink_to(f".state/catalogue/{based.releases()[-1].release_id}.duckdb")
    shutil.rmtree(lost.settings.state_dir)

    # The very files: `raw_files` names each as it was given, and the release holds that table.
    delivered = kept.rows("raw_files").filter(pl.col("received_at") == market.arrival(1)).get_column("name")
    lost.ingest(*map(Path, delivered), received=market.arrival(1))
    lost.nightly()

    tables = (*market.INGESTED, *market.DERIVED)
    assert lost.fingerprints(tables) == kept.fingerprints(tables)
    assert lost.versions() == kept.versions()
    assert [r.fingerprint for r in lost.releases()] == [r.fingerprint for r in kept.releases()]


def test_a_nightly_of_an_exchange_without_a_bar_says_so_and_leaves_no_release(new_home: Any) -> None:
    home = new_home("empty", "XNSE")
    code, output = home.run("nightly", "--json")
    assert code == 1, output[-2000:]
    assert "XNSE has no bars, so nothing was built and nothing released" in output
    assert "Traceback" not in output
    assert home.releases() == []


def test_three_shares_and_a_dozen_sessions_come_out_alike_in_every_zone_of_the_machine(
    new_home: Any, market: Any, tmp_path: Any
) -> None:
    sessions = [s.session_date for s in calendar("XNSE").between(date(2024, 1, 1), date(2024, 1, 31))][:12]
    daily = [
        f"{symbol},{day},{base + n},{base + n + 2},{base + n - 2},{base + n + 1},{1000 + n}"
        for symbol, base in (("INFY", 1500), ("TCS", 3700), ("ITC", 460))
        for n, day in enumerate(sessions)
    ]
    # Times as an Indian vendor writes them, without a zone.
    minutes = [f"INFY,{sessions[-1]} {9 + m // 60:02d}:{m % 60:02d},1510,1512,1509,1511,{m}" for m in range(15, 45)]
    files = [market.write(tmp_path / "daily.csv", daily), market.write(tmp_path / "minutes.csv", minutes)]
    found = {}
    # Ahead of UTC and behind it; in UTC itself all the other tests run.
    for zone in ("Asia/Kolkata", "America/New_York"):
        home = new_home("zone", "XNSE")
        for arguments in (
            ("ingest", *map(str, files), "--source", "csv", "--received-at", market.arrival(0).isoformat()),
            ("nightly",),
        ):
            code, output = home.run(*arguments, TZ=zone)
            assert code == 0, (zone, output[-2000:])
        found[zone] = home.fingerprints((*market.INGESTED, *market.DERIVED))
        assert home.rows("indicators_daily").height == 36
        assert str(home.rows("bars_1m")["ts"].min()) == f"{sessions[-1]} 03:45:00+00:00"

    assert found["America/New_York"] == found["Asia/Kolkata"]
