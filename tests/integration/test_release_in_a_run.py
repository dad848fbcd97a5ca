"""A release from quarantine is a run of the ingest job: its checks are recorded, a refusal or a crash leaves nothing half done."""

import json
import signal
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.slow

DAY = date(2014, 3, 3)
#: Held by the row rule implausible_range (20 times); the second is beyond the gate's range_is_possible (50 times) too.
WIDE, WIDER = f"WIDE,{DAY},10,40,1,10,100", f"WIDER,{DAY},10,4000,1,10,100"


@pytest.fixture(scope="module")
def case(new_home: Any, market: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A home whose quarantine holds two rows of one delivery, released by the command: one passes, one does not."""
    home = new_home("release")
    file = market.write(tmp_path_factory.mktemp("file") / "bars.csv", [f"FINE,{DAY},10,11,9,10,100", WIDE, WIDER])
    home.ingest(file, received=market.arrival(0))
    batch = home.rows("quarantine")["batch_id"][0]
    before = home.versions()
    arguments = ("quarantine", "release", batch[:8])
    crashed = home.run(*arguments, "3", "--reason", "confirmed", MARKETLAKE_CRASH_AT="lake.committed:4")
    held = home.rows("quarantine")["released_at"].null_count()
    later = home.run(*arguments, "3", "--reason", "confirmed", MARKETLAKE_CRASH_AT="lake.committed:7")
    published, still_held = home.rows("bars_daily")["symbol"].sort().to_list(), home.rows("quarantine")["released_at"].null_count()
    again = home.run(*arguments, "3", "--reason", "confirmed", "--json")
    released = home.versions()
    twice = home.run(*arguments, "3", "--reason", "confirmed")
    refused = home.run(*arguments, "4", "--reason", "confirmed")
    return SimpleNamespace(
        later=later, published=published, still_held=still_held,
        home=home, file=file, market=market, before=before, crashed=crashed, held=held, again=again, released=released,
        twice=twice, refused=refused, after=home.versions(),
    )  # fmt: skip


def test_a_command_killed_between_commits_or_after_all_is_completed_by_the_same_command(case: SimpleNamespace) -> None:
    assert (case.crashed[0], case.later[0]) == (-signal.SIGKILL, -signal.SIGKILL)
    # Before the last table and after it: the record is written when all are published.
    assert (case.held, case.still_held, case.published) == (2, 2, ["FINE", "WIDE"])
    code, output = case.again
    assert code == 0, output
    report = json.loads(output[output.index("{") :])
    assert (report["status"], report["accepted"] + report["unchanged"], report["overruled"]) == (
        "released",
        1,
        ["implausible_range"],
    )
    assert sorted(case.home.rows("instruments")["symbol"]) == ["FINE", "WIDE"]


def test_twice_is_said_and_changes_nothing(case: SimpleNamespace) -> None:
    code, output = case.twice
    assert code == 0
    assert "already released" in output
    assert ": confirmed" in output


def test_what_the_gate_refuses_stays_out_and_its_red_run_is_on_record(case: SimpleNamespace) -> None:
    code, output = case.refused
    assert code == 1
    assert f"nothing is released: the gate of bars_daily refused: {DAY}: range_is_possible" in output
    assert "add --overrule session_refused:range_is_possible" in output
    assert case.after == case.released
    assert "FAILURE" in case.home.runs().values()


def test_the_same_file_again_changes_nothing(case: SimpleNamespace) -> None:
    report = case.home.ingest(case.file, received=case.market.arrival(1))
    # One of three rows stays in quarantine.
    assert report.exit_code == 1
    assert report.tables["bars_daily"]["unchanged"] == 2
    assert report.tables["bars_daily"]["quarantined"] == 1
    assert case.home.versions() == case.after
