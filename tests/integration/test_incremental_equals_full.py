"""Sessions that arrive one by one, late, restated or with a late split give what one build of everything gives."""

import math
import shutil
from datetime import date
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from pipelines.build import prepare
from pipelines.build.commit import commit_build
from pipelines.build.parts import divide_plan
from pipelines.bundled import bundled_folder
from pipelines.orchestration.assets import models
from pipelines.orchestration.runs import JobFailedError

pytestmark = pytest.mark.slow

#: A restated row becomes known when its file arrives, in whatever order it is built; releases are named by their sequence.
OBSERVED = ("release_id", "superseded_by_batch")
RESTATED = date(2014, 5, 20)
#: Stand on signals as they were issued: a home that took in everything at once issued none before the restatements.
ON_RECORD = ("scanner_signals", "confluence", "signal_outcomes", "scanner_performance")


class KilledError(Exception):
    """Stands for the end of a process."""


@pytest.fixture(scope="module")
def delivered(based_home: Any, new_home: Any, tape: Any, market: Any, tmp_path_factory: Any) -> SimpleNamespace:
    """A home that ran a nightly after every delivery, and one that took in the same deliveries and ran a single one."""
    folder = tmp_path_factory.mktemp("deliveries")
    first, late, split, last = market.SESSIONS[:4]
    restated = [_with_close(line, 187.0) for line in tape.daily(RESTATED, RESTATED, ["IBM"])]
    factors = bundled_folder() / "lean" / "equity" / "usa" / "factor_files" / "aapl.csv"
    deliveries = [
        ("csv", [*tape.delivery(folder, first), *tape.delivery(folder, split)]),
        ("csv", [market.write(folder / "restated.csv", restated), *tape.delivery(folder, late)]),
        ("lean", [factors]),
        ("csv", tape.delivery(folder, last)),
    ]
    stepwise, at_once = based_home("stepwise"), new_home("at_once")
    at_once.ingest(*tape.base(folder), received=market.arrival(0))
    for day, (reader, files) in enumerate(deliveries, start=1):
        stepwise.ingest(*files, received=market.arrival(day), reader=reader)
        stepwise.nightly()
        at_once.ingest(*files, received=market.arrival(day), reader=reader)
    ingested = new_home("ingested")
    shutil.copytree(at_once.folder / "lake", ingested.folder / "lake")
    at_once.nightly(full=True)
    return SimpleNamespace(stepwise=stepwise, at_once=at_once, ingested=ingested, deliveries=deliveries)


def _with_close(line: str, close: float) -> str:
    symbol, day, opening, high, low, _, volume = line.split(",")
    return f"{symbol},{day},{opening},{max(float(high), close)},{min(float(low), close)},{close},{volume}"


def test_every_delivery_is_a_release(delivered: Any) -> None:
    assert len(delivered.stepwise.releases()) == 1 + len(delivered.deliveries)
    assert len(delivered.at_once.releases()) == 1


def test_built_step_by_step_equals_built_at_once(delivered: Any, market: Any) -> None:
    tables = [name for name in (*market.INGESTED, *market.DERIVED) if name not in ON_RECORD]
    stepwise, at_once = (home.fingerprints(tables, OBSERVED) for home in (delivered.stepwise, delivered.at_once))
    assert {name for name in tables if stepwise[name] != at_once[name]} == set()
    assert delivered.stepwise.rows("indicators_1m").height > 1000
    assert delivered.stepwise.rows("bars_daily_superseded").height == 1


def test_signals_are_the_same_but_for_those_that_were_issued_before_a_restatement(delivered: Any) -> None:
    stepwise, at_once = (home.rows("scanner_signals") for home in (delivered.stepwise, delivered.at_once))
    both = stepwise.join(at_once.select("signal_id", anew="known_at"), on="signal_id")
    early = both.filter(pl.col("known_at") < pl.col("anew"))

    assert 0 < early.height < both.height
    assert set(early["symbol"]) == {"IBM"}
    rest = [rows.join(early, on="signal_id", how="anti").sort("signal_id") for rows in (stepwise, at_once)]
    assert rest[0].equals(rest[1], null_equal=True)
    assert sorted(stepwise["signal_id"]) == sorted(at_once["signal_id"])


def test_a_split_learned_late_carries_the_average_into_the_new_basis(delivered: Any) -> None:
    aapl = pl.col("symbol") == "AAPL"
    until = pl.col("session_date") <= date(2014, 6, 9)
    bars = delivered.stepwise.rows("bars_daily").filter(aapl, until).sort("session_date").tail(20)
    closes = bars["close"].to_list()
    # Seven new shares for one on 9 June 2014: the nineteen closes before are worth a seventh each.
    expected = math.fsum([*(close / 7 for close in closes[:-1]), closes[-1]]) / 20

    found = delivered.stepwise.rows("indicators_daily").filter(aapl, pl.col("session_date") == date(2014, 6, 9))

    assert bars["session_date"].to_list()[-1] == date(2014, 6, 9)
    assert found["sma_20"].item() == pytest.approx(expected, rel=1e-12)


def test_the_restated_close_is_what_the_indicators_saw(delivered: Any) -> None:
    ibm = pl.col("symbol") == "IBM"
    bars = delivered.stepwise.rows("bars_daily").filter(ibm, pl.col("session_date") <= date(2014, 6, 4))
    closes = bars.sort("session_date").tail(20)["close"].to_list()
    found = delivered.stepwise.rows("indicators_daily").filter(ibm, pl.col("session_date") == date(2014, 6, 4))
    assert 187.0 in closes
    assert found["sma_20"].item() == pytest.approx(math.fsum(closes) / 20, rel=1e-12)


def test_the_same_deliveries_again_change_no_table_and_publish_nothing(delivered: Any, market: Any) -> None:
    home = delivered.stepwise
    versions, releases = home.versions(), home.releases()

    for day, (reader, files) in enumerate(delivered.deliveries, start=1):
        report = home.ingest(*files, received=market.arrival(20 + day), reader=reader)
        assert all(row["accepted"] == row["restated"] == 0 for row in report.tables.values())
    home.nightly()

    assert home.versions() == versions
    assert home.releases() == releases


def test_a_full_rebuild_of_the_same_lake_changes_no_table_and_publishes_nothing(delivered: Any) -> None:
    home = delivered.stepwise
    versions, releases = home.versions(), home.releases()

    home.nightly(full=True)

    assert {name: (versions[name], now) for name, now in home.versions().items() if versions[name] != now} == {}
    assert home.releases() == releases


@pytest.fixture
def build_in_parts(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """Builds are divided into parts of some 80 sessions of daily bars or one of minutes; gives the parts of each."""
    divided: list[list[Any]] = []

    def divide(lake: Any, plan: Any) -> list[Any]:
        divided.append(divide_plan(lake, plan, most_daily=250, most_minutes=400))
        return divided[-1]

    monkeypatch.setattr(prepare, "divide_plan", divide)
    return divided


def test_built_in_parts_equals_built_at_once_though_a_run_was_killed_between_them(
    delivered: Any, build_in_parts: list[list[Any]], market: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts end anywhere: amid the base, before and after the restatement, at every session that has minutes."""
    home, committed = delivered.ingested, []

    def commit(lake: Any, part: Any, state_dir: Any) -> Any:
        if len(committed) == 3 and len(build_in_parts) == 1:
            raise KilledError
        committed.append(part.until)
        return commit_build(lake, part, state_dir)

    monkeypatch.setattr(models, "commit_build", commit)
    with pytest.raises(JobFailedError, match="KilledError"):
        home.nightly()
    home.nightly()
    parts = build_in_parts[0]
    assert len(parts) > 4
    # The second run went on with the part that the first did not finish, and did none again.
    assert committed == [part.until for part in parts] == [part.until for part in build_in_parts[1]]
    tables = [*market.INGESTED, *market.DERIVED]
    in_parts, at_once = (each.fingerprints(tables, OBSERVED) for each in (home, delivered.at_once))
    assert {name for name in tables if in_parts[name] != at_once[name]} == set()


def test_rebuilt_in_parts_changes_no_table_and_publishes_nothing(delivered: Any, build_in_parts: list[list[Any]]) -> None:
    """Whatever the last build left of later sessions is not seen by the parts before them."""
    home = delivered.at_once
    versions, releases = home.versions(), home.releases()
    home.nightly(full=True)
    assert len(build_in_parts[0]) > 4
    assert {name: (versions[name], now) for name, now in home.versions().items() if versions[name] != now} == {}
    assert home.releases() == releases
