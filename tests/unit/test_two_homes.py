"""Two homes with different settings live in one process, and each gets its own."""

import os
from datetime import date
from pathlib import Path

import duckdb
import pytest

from pipelines.build.derived_tables import derived_schemas
from pipelines.build.lake_schema import create_lake_schema
from pipelines.indicators.registry import home_registry
from pipelines.scanners.build_configuration import configure_build
from pipelines.scanners.project import HomeProject
from pipelines.scanners.rules.file import RuleFileError
from pipelines.settings import Settings
from pipelines.sources.limits import configured_limits
from pipelines.storage.location import Lake

HOLIDAY = date(2024, 3, 5)  # a Tuesday on which New York traded
FILES = {
    "indicators.yml": "indicators:\n  - name: rsi\n    window: 7\n",
    "scanners.yml": "scanners:\n  washed_out:\n    when: rsi_7 < 20\n    side: BUY\n    universe: mine\n",
    "lists.csv": "universe,symbol\nmine,AAPL\n",
    "calendars/XNYS.toml": f'[[holiday]]\ndate = {HOLIDAY}\nsource = "ours"\n',
}


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    """A home that states nothing."""
    return Settings(home=tmp_path / "plain")


@pytest.fixture
def stated(tmp_path: Path) -> Settings:
    """A home that states something of every kind."""
    home = tmp_path / "stated"
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    files = {"indicators": "indicators.yml", "scanners": "scanners.yml", "universes": "lists.csv"}
    return Settings(home=home, max_line_bytes=1_500, liquid_value=5.0, suspected_actions="mark", **files)


def seen(settings: Settings) -> dict[str, object]:
    """What parts of the code that are handed a home's values make of them."""
    lake, project = Lake.from_settings(settings), HomeProject.from_settings(settings)
    choices = project.choices()
    with duckdb.connect() as connection:
        create_lake_schema(connection, home_registry(lake.indicators))
        columns = connection.sql("select * from lake.indicators_daily").columns
    return {
        "longest line": configured_limits(settings).line_bytes,
        "is a session": lake.calendar("XNYS").get(HOLIDAY) is not None,
        "universes": choices.universes.names,
        "liquid": choices.universes.rules["min_traded_value"].to_list(),
        "effects": choices.finding_effects.rows(),
        "rsi_7 of the lake": "rsi_7" in derived_schemas(lake.indicators)["indicators_daily"].names,
        "rsi_7 of a build": "rsi_7" in columns,
        "added scanners": list(project.additions().origins),
        "declared": "washed_out" in project.declared_scanners(),
        "project": project.directory().is_relative_to(settings.home),
    }


def test_each_sees_its_own_whichever_was_asked_before(plain: Settings, stated: Settings) -> None:
    environment = dict(os.environ)
    of_plain = {
        "longest line": 100_000,
        "is a session": True,
        "universes": ["all", "liquid"],
        "liquid": [10_000_000.0],
        "effects": [],
        "rsi_7 of the lake": False,
        "rsi_7 of a build": False,
        "added scanners": [],
        "declared": False,
        "project": False,
    }
    of_stated = {
        "longest line": 1_500,
        "is a session": False,
        "universes": ["all", "liquid", "mine"],
        "liquid": [5.0],
        "effects": [("suspected_action", "mark")],
        "rsi_7 of the lake": True,
        "rsi_7 of a build": True,
        "added scanners": ["washed_out"],
        "declared": True,
        "project": True,
    }
    assert [seen(home) for home in (plain, stated, plain)] == [of_plain, of_stated, of_plain]
    assert dict(os.environ) == environment


def test_what_is_built_for_one_home_is_out_of_date_for_the_other(plain: Settings, stated: Settings) -> None:
    fingerprints = [configure_build(["XNYS"], HomeProject.from_settings(home)).fingerprint for home in (plain, stated, plain)]
    assert fingerprints[0] == fingerprints[2] != fingerprints[1]
    assert [word.partition(":")[2] == "built-in" for word in fingerprints[1].split() if word.startswith("indicators:")] == [False]


def test_a_rule_on_another_home_s_indicator_is_refused(stated: Settings) -> None:
    lacking = HomeProject.from_settings(stated.model_copy(update={"indicators": None}))
    assert list(HomeProject.from_settings(stated).additions().origins) == ["washed_out"]
    with pytest.raises(RuleFileError, match="no column 'rsi_7'"):
        lacking.additions()


def test_a_changed_file_of_indicators_is_read_again(stated: Settings) -> None:
    assert stated.indicators is not None
    before = home_registry(stated.indicators)
    assert home_registry(stated.indicators) is before
    stated.indicators.write_text("indicators:\n  - name: rsi\n    window: 21\n", encoding="utf-8")
    assert ("rsi_7" in before.columns(), "rsi_21" in home_registry(stated.indicators).columns()) == (True, True)
    assert "rsi_7" not in home_registry(stated.indicators).columns()
