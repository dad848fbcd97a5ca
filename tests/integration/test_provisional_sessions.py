"""A calendar whose known end has passed publishes what one that knows every holiday publishes.

The end is moved before Memorial Day, 2014-05-26, on real bars of weeks around it.
"""

import shutil
from datetime import date
from typing import Any

import polars as pl
import pytest

from pipelines.build.prepare import current_plan

pytestmark = pytest.mark.slow

KNOWN_UNTIL, HOLIDAY = date(2014, 5, 23), date(2014, 5, 26)


def state(home: Any, entry: str) -> None:
    folder = home.folder / "calendars"
    folder.mkdir(exist_ok=True)
    with (folder / f"{home.mic}.toml").open("a", encoding="utf-8") as file:
        file.write(f'{entry}\nsource = "for this test"\n')


@pytest.fixture(scope="module")
def provisional(based_home: Any, tape: Any, market: Any) -> Any:
    """The home of `one_night_later`, with a calendar that ends before the night's session and the last of the base."""
    home = based_home("provisional")
    state(home, f"[[known]]\nuntil = {KNOWN_UNTIL}")
    home.ingest(*tape.delivery(home.folder / "inbound", market.SESSIONS[0]), received=market.arrival(1))
    home.nightly()
    assert not current_plan(home.settings.state_dir, home.mic)["full"]
    return home


def test_a_night_beyond_the_known_end_publishes_what_a_full_calendar_does(
    provisional: Any, one_night_later: Any, market: Any
) -> None:
    known = one_night_later("known")
    assert [home.lake.calendar(home.mic).get(HOLIDAY) is None for home in (known, provisional)] == [True, False]

    assert provisional.rows("quarantine").is_empty()
    sessions = provisional.rows("sessions").filter(pl.col("session_date") <= market.SESSIONS[0])
    assert sessions.drop("status").equals(known.rows("sessions").head(sessions.height).drop("status"))
    beyond = sessions.filter(pl.col("session_date") > KNOWN_UNTIL)
    assert beyond.height > 5
    assert beyond["status"].unique().to_list() == ["provisional"]
    assert known.rows("sessions")["status"].head(sessions.height).unique().to_list() == ["known"]
    assert provisional.fingerprints(market.DERIVED) == known.fingerprints(market.DERIVED)
    assert set(provisional.releases()[-1].config["calendars"]) == {"XNYS"}
    assert "calendars" not in known.releases()[-1].config


def test_a_list_that_comes_later_changes_no_figure_and_one_against_the_bars_stops_the_run(
    provisional: Any, new_home: Any, market: Any
) -> None:
    from pipelines.orchestration.runs import JobFailedError

    home = market.copy_home(provisional, new_home("listed"))
    shutil.copytree(provisional.folder / "calendars", home.folder / "calendars")
    before = home.fingerprints(market.DERIVED)

    state(home, f"[[holiday]]\ndate = {HOLIDAY}")
    state(home, "[[known]]\nuntil = 2014-12-31")
    home.nightly()
    assert home.fingerprints(market.DERIVED) == before
    assert home.rows("sessions").filter(pl.col("session_date") <= market.SESSIONS[0])["status"].unique().to_list() == ["known"]

    state(home, f"[[holiday]]\ndate = {market.SESSIONS[0]}")
    with pytest.raises(JobFailedError, match=rf"bars of {market.SESSIONS[0]}, which was no session of XNYS.*marketlake withdraw"):
        home.nightly()
