"""A process that dies at a commit point loses nothing: the same command again gives what an undisturbed one gives."""

import random
import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.storage.crash_points import COMMIT_POINTS
from pipelines.storage.locks import home_lock
from pipelines.storage.query import open_catalogue

pytestmark = pytest.mark.slow

#: In the order in which a run comes by them, so that none is behind the next run already.
AT_INGEST = (
    "raw.stored",
    "quarantine.committed",
    "raw.registered",
    "staged.written",
    "gate.recorded:5",
    "superseded.committed",
    "lake.committed:1",
    "lake.committed:4",
)
AT_NIGHTLY = (
    "build.finished",
    "derived.committed:3",
    "research.committed:1",
    "release.recorded",
    "catalogue.written",
    "catalogue.published",
)


def test_every_commit_point_is_tried() -> None:
    assert {name.partition(":")[0] for name in (*AT_INGEST, *AT_NIGHTLY)} == set(COMMIT_POINTS)


@pytest.fixture(scope="module")
def case(based_home: Any, new_home: Any, tape: Any, market: Any, tmp_path_factory: Any) -> SimpleNamespace:
    """A delivery with something for every point (a restatement, a bad row, minutes) and homes before and after it, undisturbed."""
    session = market.SESSIONS[0]
    folder = tmp_path_factory.mktemp("delivery")
    daily = tape.daily(session, session)
    restated = [line.rpartition(",")[0] + ",12345678" for line in tape.daily(market.BASE[1], market.BASE[1], ["IBM"])]
    # High below low: no bar of any market.
    bad = [f"SPY,{market.SESSIONS[1]},190,180,195,190,1000"]
    files = [market.write(folder / "daily.csv", [*daily, *restated, *bad]), market.write(folder / "m.csv", tape.minutes(session))]
    before = based_home("before")
    undisturbed = market.copy_home(before, new_home("undisturbed"))
    report = undisturbed.ingest(*files, received=market.arrival(1))
    assert (report.tables["bars_daily"]["restated"], report.tables["bars_daily"]["quarantined"]) == (1, 1)
    ingested = market.copy_home(undisturbed, new_home("ingested"))
    undisturbed.nightly()
    arguments = ("ingest", *map(str, files), "--source", "csv", "--received-at", market.arrival(1).isoformat(), "--json")
    return SimpleNamespace(before=before, ingested=ingested, after=undisturbed, arguments=arguments, files=files)


def _answer(home: Any, market: Any) -> tuple[Any, ...]:
    with open_catalogue(home.settings.catalogue_link, home.lake) as connection:
        return market.answer(connection)


def _content(seen: tuple[Any, ...]) -> tuple[Any, ...]:
    """An answer without the release's name, which tells the code's and the tables' versions."""
    return seen[1:-1]


def _crashed(home: Any, point: str, *arguments: str) -> None:
    code, output = home.run(*arguments, MARKETLAKE_CRASH_AT=point)
    assert code == -signal.SIGKILL, f"the command never came by {point}: {code}\n{output[-2000:]}"
    # Raises LockHeldError if the dead process still holds it.
    with home_lock(home.settings.state_dir, "test"):
        assert "STARTED" not in home.runs().values()


def test_an_ingest_killed_at_every_commit_point_in_turn_is_completed_by_the_last(case: Any, new_home: Any, market: Any) -> None:
    home = market.copy_home(case.before, new_home("crash"))
    published = _answer(home, market)

    for point in AT_INGEST:
        _crashed(home, point, *case.arguments)
        assert _answer(home, market) == published, point

    # The bad row is one in five of its file.
    assert home.ingest(*case.files, received=market.arrival(1)).exit_code == 1
    tables = (*market.INGESTED, "raw_files", "quarantine")
    assert home.fingerprints(tables) == case.after.fingerprints(tables)
    assert len(home.releases()) == len(case.before.releases())


def test_a_nightly_killed_at_every_commit_point_in_turn_is_completed_by_the_last(case: Any, new_home: Any, market: Any) -> None:
    home = market.copy_home(case.ingested, new_home("crash"))
    old, new = _content(_answer(home, market)), _content(_answer(case.after, market))
    assert old != new

    for point in AT_NIGHTLY:
        _crashed(home, point, "nightly")
        assert _content(_answer(home, market)) == (new if point == "catalogue.published" else old), point

    home.nightly()
    tables = (*market.INGESTED, *market.DERIVED)
    assert home.fingerprints(tables) == case.after.fingerprints(tables)
    assert _content(_answer(home, market)) == new
    assert len(home.releases()) == len(case.after.releases())
    assert sorted(home.runs().values()) == ["FAILURE"] * len(AT_NIGHTLY) + ["SUCCESS"]


def test_a_kill_at_any_moment_loses_nothing(case: Any, new_home: Any, market: Any) -> None:
    home = market.copy_home(case.before, new_home("killed"))
    old, new = _content(_answer(home, market)), _content(_answer(case.after, market))
    moments = random.Random(20141006)

    for _ in range(4):
        for arguments, longest in ((case.arguments, 8.0), (("nightly",), 16.0)):
            process = home.start(*arguments)
            # The moment is what is tried here; nothing is waited for.
            time.sleep(moments.uniform(0.3, 1.0) * longest / 2)
            market.kill(process)
            assert _content(_answer(home, market)) in {old, new}

    # The bad row is one in five of its file.
    assert home.ingest(*case.files, received=market.arrival(1)).exit_code == 1
    home.nightly()
    tables = (*market.INGESTED, *market.DERIVED, "raw_files", "quarantine")
    assert home.fingerprints(tables) == case.after.fingerprints(tables)
    assert _content(_answer(home, market)) == new
    assert len(home.releases()) <= len(case.after.releases()) + 1
    assert set(home.runs().values()) <= {"FAILURE", "SUCCESS"}
