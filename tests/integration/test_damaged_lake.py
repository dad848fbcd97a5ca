"""A lake that a disk, a person or another program has damaged: each command says it in one line, and after `marketlake repair` the
tables equal those of a home that nothing happened to.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.repair import repair_home
from pipelines.orchestration.runs import JobFailedError
from pipelines.storage.delta import LakeTable
from pipelines.storage.errors import DamagedTableError
from tests.support.faults import FILE_FAULTS, append_foreign, cut, log_entry, newest_file, remove_folder

pytestmark = pytest.mark.slow

Fault = Callable[[LakeTable], object]


def of_file(name: str) -> Fault:
    return lambda table: FILE_FAULTS[name][0](newest_file(table))


def cut_newest_entry(table: LakeTable) -> None:
    cut(log_entry(table))


#: A source, a derived, a state and a research table, and what is done to each.
CASES: dict[str, tuple[str, Fault]] = {
    **{f"{name} of {table}": (table, of_file(name)) for name in FILE_FAULTS for table in ("bars_daily", "indicators_daily")},
    "bit flip of indicator_state_daily": ("indicator_state_daily", of_file("bit flip")),
    "bit flip of bars_1m": ("bars_1m", of_file("bit flip")),
    "deleted of instruments": ("instruments", of_file("deleted")),
    "cut of scanner_signals": ("scanner_signals", of_file("cut")),
    "folder of indicators_daily": ("indicators_daily", remove_folder),
    "folder of scanner_performance": ("scanner_performance", remove_folder),
    "log entry of bars_daily": ("bars_daily", cut_newest_entry),
    "log entry of indicators_daily": ("indicators_daily", cut_newest_entry),
    "foreign commit of bars_daily": ("bars_daily", append_foreign),
    "foreign commit of scanner_signals": ("scanner_signals", append_foreign),
}
#: Damages of one home, each of another table.
REPAIRED_TOGETHER = [
    ("bit flip of bars_daily", "deleted of indicators_daily", "cut of scanner_signals"),
    ("cut of bars_daily", "bit flip of indicators_daily", "bit flip of bars_1m"),
    ("deleted of bars_daily", "folder of indicators_daily", "bit flip of indicator_state_daily", "folder of scanner_performance"),
    ("log entry of bars_daily", "cut of indicators_daily", "deleted of instruments"),
    ("foreign commit of bars_daily", "log entry of indicators_daily", "foreign commit of scanner_signals"),
]


@pytest.fixture(scope="module")
def undisturbed(one_night_later: Callable[[str], Any], market: Any, tape: Any) -> Any:
    home = one_night_later("undisturbed")
    home.ingest(*tape.delivery(home.folder / "inbound", market.SESSIONS[1]), received=market.arrival(2))
    home.nightly()
    return home


@pytest.mark.parametrize("case", CASES)
def test_a_damage_is_named_and_nothing_is_released(case: str, one_night_later: Callable[[str], Any]) -> None:
    name, fault = CASES[case]
    home = one_night_later("damaged")
    fault(home.table(name))
    before = [release.release_id for release in home.releases()]
    with pytest.raises((DamagedTableError, JobFailedError)) as met:
        home.nightly(full=True)
    assert f"XNYS/{name}" in str(met.value)
    assert "run `marketlake repair`" in str(met.value)
    assert "\n" not in str(met.value).strip()
    assert [release.release_id for release in home.releases()] == before


def test_every_damage_is_repaired_in_some_home() -> None:
    assert sorted(case for together in REPAIRED_TOGETHER for case in together) == sorted(CASES)


@pytest.mark.parametrize("cases", REPAIRED_TOGETHER, ids=", ".join)
def test_damages_are_repaired(
    cases: tuple[str, ...], one_night_later: Callable[[str], Any], undisturbed: Any, market: Any, tape: Any
) -> None:
    home = one_night_later("damaged")
    for name, fault in (CASES[case] for case in cases):
        fault(home.table(name))
    done, lost = repair_home(home.settings, [home.mic], build=True)
    assert lost == []
    for name, _ in (CASES[case] for case in cases):
        assert any(line.startswith(f"XNYS/{name}: ") for line in done), done
    assert repair_home(home.settings, [home.mic], build=True) == ([], [])
    home.ingest(*tape.delivery(home.folder / "inbound", market.SESSIONS[1]), received=market.arrival(2))
    home.nightly()
    tables = [*market.INGESTED, *market.DERIVED, "quarantine"]
    assert home.fingerprints(tables, market_observed(market)) == undisturbed.fingerprints(tables, market_observed(market))


def market_observed(market: Any) -> tuple[str, ...]:
    """Columns that tell of the run: a backtest's own version and time."""
    return ("execution_time_seconds", "duration_ms", "last_updated")


def test_a_lost_register_of_releases_comes_back_from_the_catalogue(one_night_later: Callable[[str], Any]) -> None:
    home = one_night_later("releases")
    known = home.releases()
    shutil.rmtree(Path(home.lake.uri("releases")))
    assert home.releases() == []
    done, lost = repair_home(home.settings, [home.mic], build=True)
    assert lost == []
    assert "releases put back on record" in done[0]
    assert home.releases() == known
    assert os.path.isdir(home.lake.uri("releases"))
