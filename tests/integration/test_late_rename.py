"""A rename that comes after the bars, through the real jobs: what is published is what an early rename would have given."""

from datetime import date
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

pytestmark = pytest.mark.slow

FIRST, LAST = date(2014, 1, 2), date(2014, 4, 30)
RENAMED = date(2014, 4, 1)


@pytest.fixture(scope="module")
def homes(new_home: Any, tape: Any, market: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """IBM's bars as of a company that changed its ticker: one home learns of it after a release, the other before the bars."""
    folder = tmp_path_factory.mktemp("files")
    lines = [line.split(",", 2) for line in tape.daily(FIRST, LAST, ["IBM"])]
    named = [f"{'OLD' if day < str(RENAMED) else 'NEW'},{day},{rest}" for _, day, rest in lines]
    bars = market.write(folder / "bars.csv", named)
    rename = folder / "actions.csv"
    rename.write_text(f"symbol,ex_date,action,successor\nOLD,{RENAMED},rename,NEW\n")
    late, early = new_home("late"), new_home("early")
    late.ingest(bars, received=market.arrival(0))
    late.nightly()
    before = set(late.rows("indicators_daily")["instrument_id"])
    late.ingest(rename, received=market.arrival(1), reader="actions")
    late.nightly()
    early.ingest(rename, received=market.arrival(0), reader="actions")
    early.ingest(bars, received=market.arrival(0))
    early.nightly()
    return SimpleNamespace(late=late, early=early, before=before, rename=rename, sessions=len(lines))


def test_two_identities_become_one_in_every_published_table(homes: SimpleNamespace) -> None:
    assert homes.before == {"XNYS:OLD", "XNYS:NEW"}
    for table in ("bars_daily", "indicators_daily"):
        rows = homes.late.rows(table)
        assert set(rows["instrument_id"]) == {"XNYS:OLD"}, table
        assert rows.height == homes.sessions


def test_indicators_are_those_of_a_rename_that_came_first(homes: SimpleNamespace) -> None:
    late, early = (home.rows("indicators_daily").sort("session_date") for home in (homes.late, homes.early))
    figures = [name for name, kind in late.schema.items() if kind in (pl.Float64, pl.Float32)]
    assert late.select("session_date", "symbol", *figures).equals(early.select("session_date", "symbol", *figures))
    # Twenty sessions before the rename lie in the average of its day.
    assert late.filter(pl.col("session_date") == RENAMED)["sma_20"].is_not_null().all()


def test_the_release_before_can_still_be_asked(homes: SimpleNamespace) -> None:
    kept = homes.late.rows("bars_daily_superseded")
    assert set(kept["instrument_id"]) == {"XNYS:NEW"}
    assert len(homes.late.releases()) == 2


def test_the_same_rename_again_publishes_nothing(homes: SimpleNamespace, market: Any) -> None:
    versions = homes.late.versions()
    homes.late.ingest(homes.rename, received=market.arrival(2), reader="actions")
    homes.late.nightly()
    assert homes.late.versions() == versions
    assert len(homes.late.releases()) == 2
